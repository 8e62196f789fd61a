package metrics

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"ringcast/replay"
	"ringcast/transport/ask"
	"ringcast/transport/gateway"
	"ringcast/transport/jetstream"
)

// family is a metric that is read at a scrape.
type family struct {
	name, help string
	kind       prometheus.ValueType
	// labels are those of a metric that has several time series.
	labels []label
	read   func(*reading) []sample
}

// label is one with all the values that it can have; no list where these are told by
// the build.
type label struct {
	name   string
	values []string
}

// sample is a value with those of the labels, in their order.
type sample struct {
	value  float64
	labels []string
}

// reading is what the parts say at a scrape.
type reading struct {
	counters      gateway.Counters
	figures       gateway.Figures
	ring          replay.Stats
	oldest        float64 // when the oldest event of the ring was stored; 0: it is empty
	client        jetstream.Status
	reader        jetstream.ReaderStatus
	subscriptions int
	keysReady     bool
	commitsFailed uint64
	published     [3]uint64 // stored, duplicate, failed
	asked         ask.Tally
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// families are all metrics but distributions and those of the process, by subject.
var families = []family{
	{"ringcast_events_total", "Events taken in from the stream. Those that refill the ring after a restart or a reset count again.",
		counter, nil, one(func(r *reading) float64 { return float64(r.counters.Events) })},
	{"ringcast_event_bytes_total", "Payloads, subjects and types of the events taken in.",
		counter, nil, one(func(r *reading) float64 { return float64(r.counters.EventBytes) })},

	{"ringcast_ring_events", "Events in the ring, those not yet in its file included.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.ring.Events) })},
	{"ringcast_ring_events_limit", "Events that the ring holds at most (ring-max-events).",
		gauge, nil, one(func(r *reading) float64 { return float64(r.ring.MaxEvents) })},
	{"ringcast_ring_bytes", "What the events in the ring count for against ringcast_ring_bytes_limit.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.ring.Cost) })},
	{"ringcast_ring_bytes_limit", "What the ring holds at most (ring-max-bytes).",
		gauge, nil, one(func(r *reading) float64 { return float64(r.ring.MaxBytes) })},
	{"ringcast_ring_age_limit_seconds", "How long the ring keeps an event at most (ring-max-age).",
		gauge, nil, one(func(r *reading) float64 { return r.ring.MaxAge.Seconds() })},
	{"ringcast_ring_file_bytes", "Size of the ring's file. It does not shrink: its space is used again.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.ring.FileSize) })},
	{"ringcast_ring_subjects", "Subjects of the events in the ring, which are indexed in memory.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.ring.Subjects) })},
	{"ringcast_ring_floor_sequence", "Sequence before the oldest event in the ring: whoever resumes below it is served from the stream.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.ring.Bounds.Floor.Seq) })},
	{"ringcast_ring_head_sequence", "Sequence of the newest event in the ring.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.ring.Bounds.Head.Seq) })},
	{"ringcast_ring_oldest_timestamp_seconds", "When the oldest event in the ring was stored in the stream, as Unix time; 0 while the ring is empty.",
		gauge, nil, one(func(r *reading) float64 { return r.oldest })},
	{"ringcast_ring_commit_failures_total", "Commits to the ring's file that failed. Their events stay in memory and are tried again.",
		counter, nil, one(func(r *reading) float64 { return float64(r.commitsFailed) })},
	{"ringcast_ring_resets_total", "How often the ring was emptied, by why: the stream was replaced or rewound or the file damaged (reset); retention removed events before they were read (overtaken); the stream was further ahead than the ring holds (skipped).",
		counter, []label{{"reason", []string{"reset", "overtaken", "skipped"}}}, func(r *reading) []sample {
			return counts("reset", r.reader.Resets, "overtaken", r.reader.Overtaken, "skipped", r.reader.Skipped)
		}},

	{"ringcast_nats_connected", "1 while there is a connection to NATS, else 0.",
		gauge, nil, one(func(r *reading) float64 { return truth(r.client.Connected) })},
	{"ringcast_nats_reconnects_total", "How often the connection to NATS was made again.",
		counter, nil, one(func(r *reading) float64 { return float64(r.client.Reconnects) })},
	{"ringcast_stream_head_sequence", "Sequence of the newest event that the stream is known to hold.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.reader.LastSeq) })},
	{"ringcast_stream_lag_events", "Events of the stream that the ring has yet to take in, as of the last look at the stream.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.reader.Lag) })},
	{"ringcast_caught_up", "1 once the ring was level with the stream since the start, else 0.",
		gauge, nil, one(func(r *reading) float64 { return truth(r.reader.CaughtUp) })},
	{"ringcast_reader_restarts_total", "How often reading the stream was begun again.",
		counter, nil, one(func(r *reading) float64 { return float64(r.reader.Restarts) })},
	{"ringcast_mirror_cut_off", "1 while the stream is a mirror that has no contact with its origin, else 0.",
		gauge, nil, one(func(r *reading) float64 { return truth(r.reader.Mirror.CutOff) })},
	{"ringcast_mirror_lag_events", "Events that the stream, where it is a mirror, has yet to get from its origin, as far as is known: what is stored there while the mirror is cut off is not.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.reader.Mirror.Lag) })},
	{"ringcast_mirror_diverged", "1 while the stream is a mirror with events that its origin does not have, since that was made again or put back, else 0. Nothing is read then.",
		gauge, nil, one(func(r *reading) float64 { return truth(r.reader.Mirror.Diverged) })},
	{"ringcast_invalid_types_total", "Events that were published with a type that is not allowed, and are delivered without one.",
		counter, nil, one(func(r *reading) float64 { return float64(r.reader.InvalidTypes) })},

	{"ringcast_streams_open", "Event streams open, by format and by what carries them: the connection itself, taken over from net/http (plain HTTP/1.1), or net/http.",
		gauge, []label{{"format", []string{"raw", "cloudevents", "json"}}, {"carrier", []string{"taken_over", "net_http"}}}, func(r *reading) (all []sample) {
			for _, s := range r.figures.Streams {
				all = append(all, sample{float64(s.Open), []string{s.Format, s.Carrier}})
			}
			return all
		}},
	{"ringcast_stream_seats", "Streams, and pages being waited for, that are open and count against ringcast_stream_seats_limit.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.figures.Seats) })},
	{"ringcast_stream_seats_limit", "How many of them may be open (max-streams); 0: any number.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.figures.MaxSeats) })},
	{"ringcast_streams_catching_up", "Streams on connections taken over that have a goroutine of their own at the moment: they begin, wait for the disk or the history, or for their client.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.figures.CatchingUp) })},
	{"ringcast_subscriptions", "Subscriptions open in the hub: those of streams and of pages being read.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.subscriptions) })},
	{"ringcast_streams_opened_total", "Streams that were opened.",
		counter, nil, one(func(r *reading) float64 { return float64(r.counters.Streams) })},
	{"ringcast_pages_total", "JSON pages that were answered.",
		counter, nil, one(func(r *reading) float64 { return float64(r.counters.Pages) })},
	{"ringcast_deliveries_total", "Events sent to clients, on streams and in pages, once for each client.",
		counter, nil, one(func(r *reading) float64 { return float64(r.counters.Deliveries) })},
	{"ringcast_delivery_bytes_total", "Bytes sent to clients on streams and in pages, before TLS.",
		counter, nil, one(func(r *reading) float64 { return float64(r.counters.DeliveryBytes) })},
	{"ringcast_resumes_total", "Requests for a stream with a last event ID, by how it began: after that id (resumed), with a gap of that reason (expired, reset, unknown), with the answer that all subjects have ended (finished), or not to be told at once (pending).",
		counter, []label{{"outcome", []string{"resumed", "expired", "reset", "unknown", "finished", "pending"}}}, func(r *reading) []sample {
			o := r.counters.Outcomes
			return counts("resumed", o.Resumed, "expired", o.Expired, "reset", o.Reset, "unknown", o.Unknown, "finished", o.Finished, "pending", o.Pending)
		}},
	{"ringcast_gaps_total", "Gaps that clients were told of, on streams and in pages, by reason.",
		counter, []label{{"reason", []string{"expired", "reset", "unknown"}}}, func(r *reading) []sample {
			g := r.counters.Gaps
			return counts("expired", g.Expired, "reset", g.Reset, "unknown", g.Unknown)
		}},
	{"ringcast_questions_total", "Questions asked of this gateway, by what came of them: accepted by a worker; repeated, with the key of one before; not taken, for one of the reasons of the protocol; or failed, where they could not be recorded or sent.",
		counter, []label{{"outcome", ask.Outcomes()}}, func(r *reading) []sample { return tallied(ask.Outcomes(), r.asked.Questions) }},
	{"ringcast_answers_ended_total", "Answers whose end this gateway has heard of, whichever gateway they were asked of: with finish, with an error of the worker's own, or one of the protocol's reasons.",
		counter, []label{{"end", ask.Ends()}}, func(r *reading) []sample { return tallied(ask.Ends(), r.asked.Answers) }},
	{"ringcast_answers_open", "Answers under way, on all gateways, as far as this one has heard of them.",
		gauge, nil, one(func(r *reading) float64 { return float64(r.asked.Open) })},
	{"ringcast_write_timeouts_total", "Streams that were cut because their client did not read for the write time-out (write-timeout).",
		counter, nil, one(func(r *reading) float64 { return float64(r.counters.WriteTimeouts) })},

	{"ringcast_publishes_total", "Publications over HTTP that reached NATS or could not, by outcome.",
		counter, []label{{"outcome", []string{"stored", "duplicate", "failed"}}}, func(r *reading) []sample {
			return counts("stored", r.published[0], "duplicate", r.published[1], "failed", r.published[2])
		}},
	{"ringcast_refusals_total", "Requests refused by one of the limits.",
		counter, []label{{"limit", []string{"streams", "streams_per_identity", "streams_per_address", "connect_rate", "publish_rate", "subjects", "body_size"}}}, func(r *reading) []sample {
			l := r.counters.Refusals
			return counts("streams", l.Streams, "streams_per_identity", l.StreamsPerIdentity, "streams_per_address", l.StreamsPerAddress,
				"connect_rate", l.ConnectRate, "publish_rate", l.PublishRate, "subjects", l.Subjects, "body_size", l.BodySize)
		}},
	{"ringcast_problems_total", "Requests answered with a problem (RFC 9457), by status.",
		counter, []label{{"status", []string{"400", "401", "403", "404", "413", "415", "429", "500", "503", "other"}}}, func(r *reading) (all []sample) {
			for _, status := range slices.Sorted(maps.Keys(r.figures.Problems)) {
				all = append(all, sample{float64(r.figures.Problems[status]), []string{status}})
			}
			return all
		}},
	{"ringcast_token_keys_ready", "1 while there are keys to verify tokens with, or access needs none; else 0. Those that were read before stay when they cannot be read again.",
		gauge, nil, one(func(r *reading) float64 { return truth(r.keysReady) })},
}

// distribution is a metric that is observed: a histogram.
type distribution struct {
	name, help string
	buckets    []float64
}

const (
	batchEvents     = "ringcast_batch_events"
	commitDuration  = "ringcast_ring_commit_duration_seconds"
	resumeEvents    = "ringcast_resume_events"
	publishDuration = "ringcast_publish_duration_seconds"
)

var distributions = []distribution{
	{batchEvents, "Events that were taken in from the stream at a time.",
		prometheus.ExponentialBuckets(1, 4, 7)}, // up to 4,096, the reader's bound
	{commitDuration, "Time that a commit to the ring's file took, those that failed left out.",
		prometheus.ExponentialBuckets(0.0001, 4, 9)}, // up to 6.6 s
	{resumeEvents, "How many events the stream was ahead of a client that resumed, its own and those of other subjects.",
		[]float64{0, 1, 10, 100, 1e3, 1e4, 1e5, 1e6}},
	{publishDuration, "Time until the stream had acknowledged a publication over HTTP, those that failed left out.",
		prometheus.ExponentialBuckets(0.0005, 2, 14)}, // up to 4.1 s; it is given up after 5
}

// buildInfo is always 1.
var buildInfo = family{name: "ringcast_build_info", help: "Always 1; which program this is.", kind: gauge,
	labels: []label{{"version", nil}, {"commit", nil}, {"go_version", nil}}}

// one reads a metric without labels.
func one(value func(*reading) float64) func(*reading) []sample {
	return func(r *reading) []sample { return []sample{{value: value(r)}} }
}

// counts makes samples of pairs: a label's value and the count.
func counts(pairs ...any) (all []sample) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, sample{float64(pairs[i+1].(uint64)), []string{pairs[i].(string)}})
	}
	return all
}

// tallied makes samples of counts by name, with every name that there is.
func tallied(names []string, counts map[string]uint64) (all []sample) {
	for _, name := range names {
		all = append(all, sample{float64(counts[name]), []string{name}})
	}
	return all
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
