package gateway_test

import (
	"fmt"
	"testing"

	"ringcast/broker"
)

// PROTOCOL.md, "Conflation": many clients of a wildcard end up with the newest event
// of every subject, in the order of ids, and with fewer events than there were.
func TestStream_Conflate(t *testing.T) {
	const clients, symbols, events = 20, 500, 20_000
	r := newRig(t)
	var subs []*subscriber
	for range clients {
		s := r.subscribe("subject=events.*&conflate=50ms&format=cloudevents")
		s.primed()
		subs = append(subs, s)
	}
	for i := range events {
		if err := r.nats.Publish(fmt.Sprintf("events.%d", i%symbols), []byte("1")); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 {
			r.reach(uint64(i) + 1)
		}
	}
	quiet := r.publish("events.quiet", "1")
	for i, s := range subs {
		got, last := 0, broker.ID{}
		newest := map[string]uint64{}
		for last.Seq < quiet.Seq {
			m := s.next()
			var id broker.ID
			if err := id.UnmarshalText([]byte(m.LastEventID)); err != nil {
				t.Fatal(err)
			}
			if id.Seq <= last.Seq {
				t.Fatalf("client %d got %s after %s", i, id, last)
			}
			got, last = got+1, id
			newest[jsonValue(t, m.Data).(map[string]any)["subject"].(string)] = id.Seq
		}
		if len(newest) != symbols+1 || got == events+1 {
			t.Errorf("client %d got %d events of %d subjects", i, got, len(newest))
		}
		for n := range symbols {
			if want := uint64(events - symbols + n + 1); newest[fmt.Sprintf("events.%d", n)] != want {
				t.Errorf("client %d: the newest of %d is %d, want %d", i, n, newest[fmt.Sprintf("events.%d", n)], want)
			}
		}
	}
}

// The last values first, and then conflated; and from an id, in one go.
func TestStream_ConflateLastAndResume(t *testing.T) {
	r := newRig(t)
	r.publish("events.a", "old")
	a := r.publish("events.a", "a1")
	b := r.publish("events.b", "b1")
	s := r.subscribe("subject=events.*&conflate=10ms&from=last", browser...)
	for _, want := range []broker.ID{a, b} {
		if m := s.next(); m.LastEventID != want.String() {
			t.Errorf("got %+v, want %s", m, want)
		}
	}
	a = r.publish("events.a", "a2")
	if m := s.next(); m.LastEventID != a.String() {
		t.Errorf("got %+v, want %s", m, a)
	}
	s.close()
	for i := range 100 {
		r.publish("events.a", fmt.Sprint(i))
	}
	b = r.publish("events.b", "b2")
	again := r.subscribe("subject=events.*&conflate=10ms", "Last-Event-ID", a.String())
	for _, want := range []string{"99", "b2"} {
		if m := again.next(); string(m.Data) != want {
			t.Errorf("got %+v, want %s", m, want)
		}
	}
	if p := r.page("subject=events.*&conflate=10ms&last_event_id=" + a.String()); len(p.Events) != 2 || p.LastEventID != b.String() {
		t.Errorf("page %+v", p)
	}
}
