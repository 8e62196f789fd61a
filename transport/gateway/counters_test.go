package gateway_test

import (
	"fmt"
	"net/http"
	"testing"

	"ringcast/broker"
	"ringcast/transport/gateway"
)

func TestCounters(t *testing.T) {
	r := newRig(t)
	first := r.publish("events.x", "12345", "Ringcast-Event", "add")
	if c := r.server.Counters(); c != (gateway.Counters{Events: 1, EventBytes: uint64(len("12345") + len("events.x") + len("add"))}) {
		t.Errorf("after one event: %+v", c)
	}
	for range 2 { // history, and then what is live, for each of two clients
		r.subscribe("subject=events.x&from=oldest").read(1)
	}
	before := r.counts(gateway.Counters{Events: 1, Deliveries: 2, Streams: 2})
	r.publish("events.x", "live")
	after := r.counts(gateway.Counters{Events: 2, Deliveries: 4, Streams: 2})
	if bytes := after.DeliveryBytes - before.DeliveryBytes; bytes < 2*uint64(len("data: live\n")) {
		t.Errorf("two deliveries are %d bytes", bytes)
	}
	r.publish("events.y", "for nobody")
	r.page("subject=events.x&from=oldest")
	r.subscribe("subject=events.x", "Last-Event-ID", first.String()).read(1)
	r.counts(gateway.Counters{Events: 3, Deliveries: 7, Streams: 3, Resumes: 1, Pages: 1, Outcomes: gateway.ResumeCounters{Resumed: 1}})
}

func TestCounters_Gaps(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.stream.MaxEvents, o.ring.MaxEvents = 4, 2 })
	var newest broker.ID
	for range 10 {
		newest = r.publish("events.x", "x")
	}
	r.await("the ring to evict", func() bool { return r.ring.Bounds().Floor.Seq == 8 })
	r.subscribe("subject=events.x", "Last-Event-ID", "1").read(1)
	r.subscribe("subject=events.x", "Last-Event-ID", fmt.Sprint(newest.Seq, "-abc")).read(1)
	r.page("subject=events.x", "Last-Event-ID", "rubbish")
	r.page("subject=events.x", "Last-Event-ID", "rubbish")
	r.await("the gaps to be counted", func() bool {
		return r.server.Counters().Gaps == gateway.GapCounters{Expired: 1, Reset: 1, Unknown: 2}
	})
}

// Whoever resumes is counted by what came of it.
func TestCounters_Outcomes(t *testing.T) {
	behind := make(chan uint64, 1)
	r := newRig(t, func(o *rigOptions) {
		o.stream.MaxEvents, o.ring.MaxEvents = 4, 2
		o.gateway.Resumed = func(n uint64) { behind <- n }
	})
	var ids []broker.ID
	for range 9 {
		ids = append(ids, r.publish("events.x", "x"))
	}
	ids = append(ids, r.publish("events.x", "", "Ringcast-End", "true"))
	r.await("the ring to evict", func() bool { return r.ring.Bounds().Floor.Seq == 8 })
	resume := func(id string) { r.subscribe("subject=events.x", "Last-Event-ID", id).read(1) }
	resume(ids[7].String())
	if n := <-behind; n != 2 {
		t.Errorf("told of %d events missed, want 2", n)
	}
	resume("1")
	resume(fmt.Sprint(ids[8].Seq, "-abc"))
	resume("rubbish")
	if res, _ := r.do(http.MethodGet, "/v1/stream?subject=events.x", "", "Last-Event-ID", ids[9].String()); res.StatusCode != http.StatusNoContent {
		t.Errorf("after the end: %s", res.Status)
	}
	want := gateway.ResumeCounters{Resumed: 1, Finished: 1, GapCounters: gateway.GapCounters{Expired: 1, Reset: 1, Unknown: 1}}
	if got := r.server.Counters(); got.Outcomes != want || got.Resumes != 4 {
		t.Errorf("%d resumes: %+v, want 4: %+v", got.Resumes, got.Outcomes, want)
	}
}

// counts waits until the gateway has counted what is expected, bytes aside: what is
// written is counted after the client may have it.
func (r *rig) counts(want gateway.Counters) (got gateway.Counters) {
	r.t.Helper()
	r.await(fmt.Sprintf("%+v", want), func() bool {
		got = r.server.Counters()
		want.EventBytes, want.DeliveryBytes = got.EventBytes, got.DeliveryBytes
		return got == want
	})
	return got
}

// A client reckons rates from two answers.
func TestStatus_Counters(t *testing.T) {
	r := newRig(t)
	before := r.readStatus()
	r.publish("events.x", "1")
	after := r.readStatus()
	if after.Counters.Events-before.Counters.Events != 1 || !after.Time.After(before.Time) {
		t.Errorf("%+v, then %+v", before, after)
	}
	if !after.Started.Equal(before.Started) || after.Started.After(before.Time) {
		t.Errorf("started at %s, then at %s, asked at %s", before.Started, after.Started, before.Time)
	}
	r.restart(nil)
	if again := r.readStatus(); !again.Started.After(after.Started) || again.Counters.Events > 1 {
		t.Errorf("after a restart: %+v", again)
	}
}
