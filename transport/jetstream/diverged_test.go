package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

const originName = "ORIGIN"

// mirrored is a server with a stream and a mirror of it, which has the name that streams
// have in these tests.
type mirrored struct {
	t   *testing.T
	url string
	js  natsjs.JetStream
}

func startMirrored(t *testing.T) *mirrored {
	t.Helper()
	s := startServer(t)
	m := &mirrored{t, s.ClientURL(), direct(t, s.ClientURL())}
	m.makeOrigin()
	m.makeMirror()
	return m
}

func (m *mirrored) makeOrigin() {
	m.t.Helper()
	makeStream(m.t, m.js, func(c *natsjs.StreamConfig) { c.Name = originName })
}

func (m *mirrored) makeMirror() {
	m.t.Helper()
	makeStream(m.t, m.js, func(c *natsjs.StreamConfig) {
		c.Subjects, c.Mirror = nil, &natsjs.StreamSource{Name: originName}
	})
}

func (m *mirrored) remove(stream string) {
	m.t.Helper()
	if err := m.js.DeleteStream(testContext(m.t), stream); err != nil {
		m.t.Fatal(err)
	}
}

// publish publishes n events to the origin, named by the prefix and their number.
func (m *mirrored) publish(prefix string, n int) {
	m.t.Helper()
	for i := range n {
		msg, id := &nats.Msg{Subject: "events.a", Data: fmt.Appendf(nil, "%s%d", prefix, i)}, natsjs.WithMsgID(fmt.Sprint("test-", published.Add(1)))
		awaitThat(m.t, "an acknowledgement", func() bool { // the server may just be back, and one be lost with the connection before
			ctx, cancel := context.WithTimeout(testContext(m.t), 2*time.Second)
			defer cancel()
			_, err := m.js.PublishMsg(ctx, msg, id)
			return err == nil
		})
	}
}

// await waits until the mirror has so many events. The server looks for an origin that it
// heard nothing of for ten seconds.
func (m *mirrored) await(seq uint64) {
	m.t.Helper()
	awaitThat(m.t, fmt.Sprintf("%d events in the mirror", seq), func() bool {
		s, err := m.js.Stream(testContext(m.t), streamName)
		return err == nil && s.CachedInfo().State.LastSeq == seq
	})
}

// connect connects with a log.
func (m *mirrored) connect() (*jetstream.Client, *logBuffer) {
	m.t.Helper()
	log := &logBuffer{}
	c, err := jetstream.Connect(testContext(m.t), jetstream.Options{URL: m.url, Logger: log.logger()})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(c.Close)
	return c, log
}

func withLog(log *logBuffer) func(*jetstream.ReaderOptions) {
	return func(o *jetstream.ReaderOptions) { o.Logger = log.logger() }
}

const divergedWarning = "its origin was made again or put back"

func wantDiverged(t *testing.T, c *jetstream.Client, r *jetstream.Reader) {
	t.Helper()
	awaitThat(t, "the divergence", func() bool {
		s := r.Status()
		return s.Mirror.Diverged && strings.Contains(s.Problem, "one of the two has to be made again")
	})
	h := jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName})
	if _, _, err := h.At(testContext(t), 1); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("the history of a mirror that has diverged answers, with %v", err)
	}
	if _, err := c.PublishAfter(testContext(t), broker.Publication{Subject: "events.after"}, 0); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("an event that will not be seen here is stored, or not for %v", err)
	}
}

// The server does not notice that an origin was made again. The reader does, and goes on
// once the mirror was made again too.
func TestReader_diverged(t *testing.T) {
	t.Parallel() // the server takes its time
	m := startMirrored(t)
	m.publish("old", 10)
	c, log := m.connect()
	sink := newSink()
	r, _ := run(t, c, sink, withLog(log))
	sink.awaitHead(t, 10)

	m.remove(originName)
	m.makeOrigin()
	m.publish("new", 5)
	wantDiverged(t, c, r)
	m.publish("new", 25)
	m.await(30)
	wantDiverged(t, c, r)
	if diff := cmp.Diff(numbered("old", 0, 10), sink.payloads()); diff != "" || sink.resetCount() > 0 {
		t.Errorf("after %d resets the sink has not what it had of the mirror (-want +got):\n%s", sink.resetCount(), diff)
	}

	m.remove(streamName)
	m.makeMirror()
	sink.awaitHead(t, 30)
	if got := sink.payloads(); got[0] != "new0" || len(got) != 30 || sink.resetCount() != 1 {
		t.Errorf("after %d resets the sink has %q", sink.resetCount(), got)
	}
	awaitThat(t, "no divergence", func() bool { s := r.Status(); return !s.Mirror.Diverged && s.Problem == "" && s.Mirror.Lag == 0 })
	if n := strings.Count(log.String(), divergedWarning); n != 1 {
		t.Errorf("%d warnings, want one:\n%s", n, log)
	}
}

// A mirror that went on with another origin's events while nobody looked is found out by
// who comes later, and by who has read some of them.
func TestReader_diverged_long_ago(t *testing.T) {
	t.Parallel()
	m := startMirrored(t)
	m.publish("old", 10)
	m.await(10)
	full, spliced := newSink(), newSink()
	c, _ := m.connect()
	for _, sink := range []*memSink{full, spliced} {
		_, stop := run(t, c, sink)
		sink.awaitHead(t, 10)
		stop()
	}
	m.remove(originName)
	m.makeOrigin()
	m.publish("new", 200)
	m.await(200)
	stream, err := m.js.Stream(testContext(t), streamName)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(testContext(t), 11)
	if err != nil || string(msg.Data) != "new10" {
		t.Fatalf("the mirror has %v, %v: it was not spliced", msg, err)
	}
	if err := spliced.Append([]broker.Event{{ID: broker.ID{Seq: 11, Stamp: msg.Time.UnixNano()}, Subject: "events.a", Data: msg.Data}}); err != nil {
		t.Fatal(err)
	}
	for name, sink := range map[string]*memSink{"an empty ring": newSink(), "a ring of before": full, "a ring with both": spliced} {
		t.Run(name, func(t *testing.T) {
			c, log := m.connect()
			r, _ := run(t, c, sink, withLog(log))
			wantDiverged(t, c, r)
			if got := sink.payloads(); slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, "new") }) {
				t.Errorf("the sink has %q", got)
			}
			if want := map[*memSink]int{spliced: 1}[sink]; sink.resetCount() != want {
				t.Errorf("%d resets, want %d", sink.resetCount(), want)
			}
		})
	}
}

// An older copy of the origin that is put back has some events in common with the mirror.
func TestReader_diverged_older_copy(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	m := &mirrored{t, s.ClientURL(), direct(t, s.ClientURL())}
	m.makeOrigin()
	m.makeMirror()
	origin := filepath.Join(s.dir, "jetstream", "$G", "streams", originName)
	m.publish("a", 10)
	m.await(10)
	s.stop()
	older := copyOf(t, origin)
	s.start()
	m.publish("b", 10)
	m.await(20)
	c, log := m.connect()
	sink := newSink()
	r, _ := run(t, c, sink, withLog(log))
	sink.awaitHead(t, 20)
	s.stop()
	restore(t, origin, older)
	s.start()
	m.publish("c", 18)
	m.await(28)
	wantDiverged(t, c, r)
	if got := sink.payloads(); slices.Contains(got, "c10") {
		t.Errorf("the sink has %q", got)
	}
	late, _ := m.connect()
	empty := newSink()
	r, _ = run(t, late, empty)
	wantDiverged(t, late, r)
	if got := empty.payloads(); len(got) > 0 {
		t.Errorf("a sink that came later has %q", got)
	}

	m.remove(streamName)
	m.makeMirror()
	for _, sink := range []*memSink{sink, empty} {
		sink.awaitHead(t, 28)
		if got, want := sink.payloads(), append(numbered("a", 0, 10), numbered("c", 0, 18)...); !slices.Equal(got, want) {
			t.Errorf("the sink has %q, want %q", got, want)
		}
	}
}

// askable has questions about the origin answered, which come under another prefix, while
// on is true; that the mirror reads the origin, always.
type askable struct {
	t  *testing.T
	nc *nats.Conn
	on []*nats.Subscription
}

const originAPI = "there.API"

// makeMirrorThere makes the mirror with the other prefix.
func (m *mirrored) makeMirrorThere() {
	m.t.Helper()
	makeStream(m.t, m.js, func(c *natsjs.StreamConfig) {
		c.Subjects, c.Mirror = nil, &natsjs.StreamSource{Name: originName, External: &natsjs.ExternalStream{APIPrefix: originAPI}}
	})
}

func (a *askable) relay(subject string) *nats.Subscription {
	a.t.Helper()
	sub, err := a.nc.Subscribe(originAPI+subject, func(m *nats.Msg) {
		m.Subject = "$JS.API" + strings.TrimPrefix(m.Subject, originAPI)
		if err := a.nc.PublishMsg(m); err != nil {
			a.t.Error(err)
		}
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return sub
}

func (a *askable) set(on bool) {
	a.t.Helper()
	for _, sub := range a.on {
		if err := sub.Unsubscribe(); err != nil {
			a.t.Fatal(err)
		}
	}
	a.on = nil
	if on {
		a.on = []*nats.Subscription{a.relay(".STREAM.INFO.*"), a.relay(".STREAM.MSG.GET.*")}
	}
	if err := a.nc.Flush(); err != nil {
		a.t.Fatal(err)
	}
}

// What a mirror that is cut off lacks, its origin says, where that can be asked.
func TestReader_mirror_lag(t *testing.T) {
	m := startMirrored(t)
	m.remove(streamName)
	a := &askable{t: t, nc: m.js.Conn()}
	a.set(true)
	m.makeMirrorThere()
	m.publish("a", 10)
	c, log := m.connect()
	r, _ := run(t, c, newSink(), withLog(log))
	awaitThat(t, "a lag of ten events", func() bool { return r.Status().Mirror == jetstream.MirrorStatus{Lag: 10, CutOff: true} })
	if n := strings.Count(log.String(), "no contact with its origin"); n != 1 {
		t.Errorf("%d warnings, want one:\n%s", n, log)
	}
}

// What comes of an origin that cannot be asked may be another one's: it waits.
func TestReader_diverged_origin_not_asked(t *testing.T) {
	t.Parallel()
	m := startMirrored(t)
	m.remove(streamName)
	a := &askable{t: t, nc: m.js.Conn()}
	a.relay(".CONSUMER.CREATE.>")
	a.set(true)
	m.makeMirrorThere()
	m.publish("a", 10)
	c, log := m.connect()
	sink := newSink()
	r, _ := run(t, c, sink, withLog(log))
	awaitProblem := func(what string) {
		t.Helper()
		awaitThat(t, "the problem "+what, func() bool { return strings.Contains(r.Status().Problem, what) })
	}
	sink.awaitHead(t, 10)
	awaitThat(t, "contact", func() bool { return !r.Status().Mirror.CutOff }) // and so the first comparison

	a.set(false)
	awaitProblem("cannot be asked")
	m.publish("b", 10)
	m.await(20)
	a.set(true)
	sink.awaitHead(t, 20)

	a.set(false)
	awaitProblem("cannot be asked")
	m.remove(originName)
	m.makeOrigin()
	m.publish("c", 30)
	m.await(30)
	a.set(true)
	wantDiverged(t, c, r)
	if diff := cmp.Diff(append(numbered("a", 0, 10), numbered("b", 0, 10)...), sink.payloads()); diff != "" || sink.resetCount() > 0 {
		t.Errorf("after %d resets the sink has not what the first origin had (-want +got):\n%s", sink.resetCount(), diff)
	}
}
