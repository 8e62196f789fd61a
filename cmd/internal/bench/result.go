package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Result is what was measured.
type Result struct {
	Scenario string  `json:"scenario"`
	Target   string  `json:"target"`
	Publish  string  `json:"publish,omitempty"`
	Clients  int     `json:"clients"`
	Subjects int     `json:"subjects"`
	Size     int     `json:"size,omitempty"`
	Payload  string  `json:"payload,omitempty"`
	Skew     bool    `json:"skew,omitempty"`     // few subjects get most events
	Wildcard bool    `json:"wildcard,omitempty"` // every client follows all subjects
	Conflate string  `json:"conflate,omitempty"` // the interval
	Gzip     bool    `json:"gzip,omitempty"`
	Rate     float64 `json:"rate"` // events a second that were asked for; 0: as fast as they go

	// Seconds is how long was measured: from the end of the warm-up, or the first
	// request of a resume, to the last delivery.
	Seconds             float64 `json:"seconds"`
	Published           uint64  `json:"published"` // in that time
	PublishedPerSecond  float64 `json:"published_per_second"`
	Deliveries          uint64  `json:"deliveries"` // in that time
	DeliveriesPerSecond float64 `json:"deliveries_per_second"`
	// Conflated is how many deliveries conflation has spared, warm-up and all.
	Conflated uint64 `json:"conflated,omitempty"`
	// WireBytes is what the clients read from their sockets in that time, frames and
	// heartbeats and all.
	WireBytes            uint64  `json:"wire_bytes"`
	WireBytesPerDelivery float64 `json:"wire_bytes_per_delivery"`
	// Bookmark is where a resume's clients came back to: see Options.
	Bookmark string `json:"bookmark,omitempty"`

	// What went wrong, from the first event on, warm-up and all.
	Lost       uint64 `json:"lost"`                // events that a client did not get; conflated: last ones
	LostBy     int    `json:"lost_by,omitempty"`   // clients that lack some
	LostFrom   uint64 `json:"lost_from,omitempty"` // the lowest place in a subject from which one does
	Repeated   uint64 `json:"repeated"`            // that came again
	Disordered uint64 `json:"disordered"`          // that came after a later one
	Strayed    uint64 `json:"strayed"`             // that the client had not asked for
	Gaps       uint64 `json:"gaps"`                // ringcast.gap events
	Closed     int    `json:"closed"`              // connections that the server ended

	Latency *Latency `json:"latency_ms,omitempty"`
	Server  *Server  `json:"server,omitempty"`
	// ClientCPUSeconds is the processor time of the load generator itself.
	ClientCPUSeconds float64 `json:"client_cpu_seconds"`
}

// Latency is the time from when an event was due until a client had it, and in the
// scenario Return from before a client connects until it has its first event, in
// milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Server is what the server's processes used while it was measured.
type Server struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	// CPUPerDelivery is in microseconds; 0 without deliveries.
	CPUPerDelivery float64 `json:"cpu_us_per_delivery"`
	// Memory is in bytes, at the end; PerClient is what it grew by from before the
	// clients connected, divided among them.
	Memory          int64   `json:"memory_bytes"`
	MemoryPerClient float64 `json:"memory_bytes_per_client"`
}

// Faultless returns nil when every client got every event once and in order.
func (r *Result) Faultless() error {
	if r.Lost+r.Repeated+r.Disordered+r.Strayed+r.Gaps == 0 && r.Closed == 0 {
		return nil
	}
	return fmt.Errorf("not every client got every event: %s", r.faults())
}

func (r *Result) faults() string {
	lost := fmt.Sprintf("%d lost", r.Lost)
	if r.LostBy > 0 {
		lost += fmt.Sprintf(" (by %d clients, from event %d of a subject on)", r.LostBy, r.LostFrom)
	}
	return fmt.Sprintf("%s, %d repeated, %d out of order, %d of another subject, %d gaps, %d connections closed by the server",
		lost, r.Repeated, r.Disordered, r.Strayed, r.Gaps, r.Closed)
}

func newLatency(h *histogram) *Latency {
	if h.total == 0 {
		return nil
	}
	at := func(q float64) float64 { return float64(h.quantile(q)) / 1e6 }
	return &Latency{P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999), Max: float64(h.max) / 1e6}
}

func newServer(before, begin, end usage, deliveries uint64, clients int) *Server {
	s := &Server{CPUSeconds: (end.cpu - begin.cpu).Seconds(), Memory: end.memory}
	if deliveries > 0 {
		s.CPUPerDelivery = s.CPUSeconds * 1e6 / float64(deliveries)
	}
	if clients > 0 {
		s.MemoryPerClient = float64(end.memory-before.memory) / float64(clients)
	}
	return s
}

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("scenario", "%s, target %s: %d clients on %d subjects", r.Scenario, r.Target, r.Clients, r.Subjects)
	row("measured", "%.2f s", r.Seconds)
	if r.Publish != "" {
		row("published", "%d events over %s, %.0f a second, %d bytes each", r.Published, r.Publish, r.PublishedPerSecond, r.Size)
	}
	if r.Scenario != Idle {
		row("deliveries", "%d, %.0f a second, %.0f bytes each on the wire", r.Deliveries, r.DeliveriesPerSecond, r.WireBytesPerDelivery)
		row("faults", "%s", r.faults())
	}
	if r.Conflated > 0 {
		row("conflated", "%d deliveries were not needed", r.Conflated)
	}
	if r.Bookmark != "" {
		row("bookmark", "%s", r.Bookmark)
	}
	if l := r.Latency; l != nil {
		row("latency", "p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms", l.P50, l.P90, l.P99, l.P999, l.Max)
	}
	if s := r.Server; s != nil {
		row("server", "%.2f s of processor time, %.2f µs a delivery", s.CPUSeconds, s.CPUPerDelivery)
		row("memory", "%.1f MiB, %.1f KiB more for each client", float64(s.Memory)/(1<<20), s.MemoryPerClient/(1<<10))
	}
	row("load generator", "%.2f s of processor time", r.ClientCPUSeconds)
	return t.Flush()
}

func perSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
