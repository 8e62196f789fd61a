package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ringcast/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// expect drains sub and checks the ids and the reasons of gaps.
func expect(t *testing.T, sub *broker.Subscription, reasons []broker.GapReason, want ...broker.ID) broker.Batch {
	t.Helper()
	gaps, events, last, err := drain(sub)
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	if want == nil {
		want = []broker.ID{}
	}
	if diff := cmp.Diff(want, ids(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	var got []broker.GapReason
	for _, g := range gaps {
		got = append(got, g.Reason)
	}
	if diff := cmp.Diff(reasons, got); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	return last
}

// Promise 1: live is replay that has caught up; what matches comes once, in order.
func TestSubscription_Live(t *testing.T) {
	w := newWorld(broker.HubOptions{})
	w.say("a.before")
	sub := w.subscribe(broker.Request{Filter: filter("a.>", "a.x")}) // overlapping patterns
	defer sub.Close()
	expect(t, sub, nil)

	x := w.say("a.x")
	w.say("b.x")
	y := w.say("a.y")
	expect(t, sub, nil, x, y)
	other := w.say("b.y")
	if last := expect(t, sub, nil); last.Position != other {
		t.Errorf("position is %s, want the head %s although nothing matched", last.Position, other)
	}
}

// H2: an append wakes those it matches, and nobody else.
func TestSubscription_Ready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(broker.HubOptions{})
		sub := w.subscribe(broker.Request{Filter: filter("a.*")})
		defer sub.Close()
		expect(t, sub, nil)
		woken := make(chan struct{})
		go func() { <-sub.Ready(); close(woken) }()

		w.say("b.x")
		synctest.Wait()
		select {
		case <-woken:
			t.Fatal("woken by an event that does not match")
		default:
		}
		x := w.say("a.x")
		<-woken
		expect(t, sub, nil, x)
	})
}

// Promise 4 and DESIGN "Ids": what becomes of every kind of id.
func TestSubscription_Resume(t *testing.T) {
	setUp := func() (*world, []broker.ID) {
		w := newWorld(broker.HubOptions{})
		var all []broker.ID
		for range 20 {
			all = append(all, w.say("a"))
		}
		w.stream.floor = 5
		w.log.evict(10)
		return w, all
	}
	withStamp := func(id broker.ID, stamp int64) string { return broker.ID{Seq: id.Seq, Stamp: stamp}.String() }
	for _, tc := range []struct {
		name    string
		id      func(all []broker.ID) string
		reasons []broker.GapReason
		rest    int // how many of the 20 come
	}{
		{"in the log", func(a []broker.ID) string { return a[14].String() }, nil, 5},
		{"the head", func(a []broker.ID) string { return a[19].String() }, nil, 0},
		{"the floor", func(a []broker.ID) string { return a[9].String() }, nil, 10},
		{"in the history", func(a []broker.ID) string { return a[6].String() }, nil, 13},
		{"evicted, and nothing after it is missing", func(a []broker.ID) string { return a[4].String() }, nil, 15},
		{"expired", func(a []broker.ID) string { return a[3].String() }, []broker.GapReason{broker.GapExpired}, 15},
		{"the position before the first event", func([]broker.ID) string { return "0-0" }, []broker.GapReason{broker.GapExpired}, 15},
		{"bare", func([]broker.ID) string { return "15" }, nil, 5},
		{"bare, in the history", func([]broker.ID) string { return "7" }, nil, 13},
		{"false stamp in the log", func(a []broker.ID) string { return withStamp(a[14], 1) }, []broker.GapReason{broker.GapReset}, 0},
		{"stamp 0 in the log", func(a []broker.ID) string { return withStamp(a[14], 0) }, []broker.GapReason{broker.GapReset}, 0},
		{"false stamp at the head", func(a []broker.ID) string { return withStamp(a[19], 1) }, []broker.GapReason{broker.GapReset}, 0},
		{"false stamp at the floor", func(a []broker.ID) string { return withStamp(a[9], 1) }, []broker.GapReason{broker.GapReset}, 0},
		{"false stamp in the history", func(a []broker.ID) string { return withStamp(a[6], 1) }, []broker.GapReason{broker.GapReset}, 0},
		{"false stamp before the first event", func([]broker.ID) string { return "0-z" }, []broker.GapReason{broker.GapReset}, 0},
		{"beyond the head", func([]broker.ID) string { return "21-z" }, []broker.GapReason{broker.GapReset}, 0},
		{"beyond the head, bare", func([]broker.ID) string { return "18446744073709551615" }, []broker.GapReason{broker.GapReset}, 0},
		{"rubbish", func([]broker.ID) string { return "☃" }, []broker.GapReason{broker.GapUnknown}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, all := setUp()
			sub := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: tc.id(all)})
			defer sub.Close()
			expect(t, sub, tc.reasons, all[20-tc.rest:]...)
		})
	}

	t.Run("gap says what was asked and what is held", func(t *testing.T) {
		w, all := setUp()
		sub := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: all[1].String()})
		defer sub.Close()
		gaps, _, _, err := drain(sub)
		want := []broker.Gap{{
			Reason: broker.GapExpired, Requested: all[1].String(), Oldest: all[5],
			At: broker.ID{Seq: 5, Stamp: broker.NoStamp},
		}}
		if diff := cmp.Diff(want, gaps); diff != "" || err != nil {
			t.Errorf("err %v, gaps (-want +got):\n%s", err, diff)
		}
	})
	t.Run("after reset goes on from From", func(t *testing.T) {
		w, all := setUp()
		sub := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: "99-z", From: broker.FromOldest})
		defer sub.Close()
		expect(t, sub, []broker.GapReason{broker.GapReset}, all[5:]...)
	})
	t.Run("the log holds more than the stream", func(t *testing.T) {
		w, all := setUp()
		w.stream.floor = 18
		sub := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: all[10].String()})
		defer sub.Close()
		expect(t, sub, nil, all[11:]...)
		old := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: all[7].String()})
		defer old.Close()
		expect(t, old, []broker.GapReason{broker.GapExpired}, all[10:]...)
	})
}

func TestSubscription_From(t *testing.T) {
	w := newWorld(broker.HubOptions{Page: broker.Limits{Events: 2}})
	var all []broker.ID
	for _, subject := range []string{"a.1", "a.2", "a.3", "a.1", "a.2", "b.1", "a.1", "b.2"} {
		all = append(all, w.say(subject))
	}
	w.stream.floor = 1
	w.log.evict(4)
	for _, tc := range []struct {
		name string
		from broker.From
		want []broker.ID
	}{
		{"now", broker.FromNow, nil},
		{"oldest", broker.FromOldest, []broker.ID{all[1], all[2], all[3], all[4], all[6]}},
		{"last", broker.FromLast, []broker.ID{all[2], all[4], all[6]}}, // a.3 is in the stream alone
		{"id", broker.FromID(all[3]), []broker.ID{all[4], all[6]}},
		{"time in the log", broker.FromTime(all[5].Time()), []broker.ID{all[6]}},
		{"time in the history", broker.FromTime(all[2].Time()), []broker.ID{all[2], all[3], all[4], all[6]}},
		{"time before everything", broker.FromTime(time.Unix(0, 1)), []broker.ID{all[1], all[2], all[3], all[4], all[6]}},
		{"time to come", broker.FromTime(all[7].Time().Add(time.Hour)), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sub := w.subscribe(broker.Request{Filter: filter("a.*"), From: tc.from})
			defer sub.Close()
			expect(t, sub, nil, tc.want...)
			expect(t, sub, nil) // and nothing twice
		})
	}
	t.Run("id that is not the stream's", func(t *testing.T) {
		sub := w.subscribe(broker.Request{Filter: filter("a.*"), From: broker.FromID(broker.ID{Seq: 7, Stamp: 1})})
		defer sub.Close()
		expect(t, sub, []broker.GapReason{broker.GapReset})
	})
	t.Run("last with more subjects than allowed", func(t *testing.T) {
		narrow := newWorld(broker.HubOptions{MaxLast: 1})
		narrow.say("a")
		narrow.say("b")
		sub := narrow.subscribe(broker.Request{Filter: filter(">"), From: broker.FromLast})
		defer sub.Close()
		if _, err := sub.Next(context.Background()); !errors.Is(err, broker.ErrTooMany) {
			t.Errorf("got %v, want ErrTooMany", err)
		}
	})
}

// A snapshot's reader must not be given an id that skips the rest of it.
func TestSubscription_Snapshot(t *testing.T) {
	w := newWorld(broker.HubOptions{})
	var all []broker.ID
	for _, subject := range []string{"a.1", "a.2", "a.3"} {
		all = append(all, w.say(subject))
	}
	sub := w.subscribe(broker.Request{Filter: filter("a.*"), From: broker.FromLast, Page: broker.Limits{Events: 2}})
	defer sub.Close()
	first, err := sub.Next(context.Background())
	if err != nil || !first.Snapshot || !first.More || first.Position != all[1] {
		t.Fatalf("first part: %+v, %v", first, err)
	}
	w.say("b")
	live := w.say("a.2")
	expect(t, sub, nil, all[2], live)

	t.Run("survives a reset of the log half-way", func(t *testing.T) {
		sub := w.subscribe(broker.Request{Filter: filter("a.*"), From: broker.FromLast, Page: broker.Limits{Events: 1}})
		defer sub.Close()
		first, err := sub.Next(context.Background())
		if err != nil || len(first.Events) != 1 || first.Events[0].ID != all[0] {
			t.Fatalf("first part: %+v, %v", first, err)
		}
		w.rewind(5)                               // to where it was: the same events again
		expect(t, sub, nil, all[1], all[2], live) // more than the snapshot, and nothing lost
	})
	t.Run("is evicted from the log half-way", func(t *testing.T) {
		sub := w.subscribe(broker.Request{Filter: filter("a.*"), From: broker.FromLast, Page: broker.Limits{Events: 1}})
		defer sub.Close()
		if _, err := sub.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.log.evict(5)
		expect(t, sub, nil, all[2], live)
	})
}

// hookedLog is a log to which something happens before and after Last, and after
// Reset.
type hookedLog struct {
	*memLog
	beforeLast, afterLast, afterReset func()
}

func (l *hookedLog) Last(f broker.Filter) []uint64 {
	l.beforeLast()
	defer l.afterLast()
	return l.memLog.Last(f)
}

func (l *hookedLog) Reset(at broker.ID) error {
	defer l.afterReset()
	return l.memLog.Reset(at)
}

// A log that evicts while its newest events are looked for: none is missing, none
// comes twice.
func TestSubscription_SnapshotWhileEvicting(t *testing.T) {
	for _, tc := range []struct {
		name          string
		before, after uint64 // what is evicted then
	}{
		{"before it is asked", 3, 0},
		{"after it was asked", 0, 3},
		{"all of it", 2, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(broker.HubOptions{})
			log := &hookedLog{memLog: w.log}
			log.beforeLast, log.afterLast = func() { w.log.evict(tc.before) }, func() { w.log.evict(tc.after) }
			w.hub = broker.NewHub(log, w.stream, broker.HubOptions{})
			want := []broker.ID{w.say("a"), w.say("b"), w.say("c"), w.say("d")}
			w.log.evict(1)
			sub := w.subscribe(broker.Request{Filter: filter(">"), From: broker.FromLast})
			defer sub.Close()
			expect(t, sub, nil, want...)
		})
	}
}

// An instance that lags behind another one must not take its ids for foreign.
func TestSubscription_AheadOfLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(broker.HubOptions{})
		w.say("a")
		ahead := w.publish("a")
		next := w.publish("a")

		sub := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: ahead.String()})
		defer sub.Close()
		if last := expect(t, sub, nil); !last.Pending {
			t.Fatalf("got %+v, want Pending until the log has caught up", last)
		}
		w.deliver(1)
		<-sub.Ready()
		expect(t, sub, nil)
		w.deliver(1)
		<-sub.Ready()
		expect(t, sub, nil, next)
	})
}

// While the log is filled, old events must not come as new.
func TestSubscription_NowWhileCatchingUp(t *testing.T) {
	w := newWorld(broker.HubOptions{})
	for range 5 {
		w.publish("a")
	}
	w.deliver(2)
	sub := w.subscribe(broker.Request{Filter: filter("a")})
	defer sub.Close()
	expect(t, sub, nil)
	w.deliver(2)
	expect(t, sub, nil)
	w.deliver(1)
	x := w.say("a")
	expect(t, sub, nil, x)

	late := w.subscribe(broker.Request{Filter: filter("a"), From: broker.FromLast})
	defer late.Close()
	y := w.publish("a")
	w.deliver(1)
	expect(t, late, nil, y)
}

// DESIGN part 5: with NATS away the ring still serves, and what needs the stream
// waits instead of lying.
func TestSubscription_HistoryAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(broker.HubOptions{Retry: time.Second})
		var all []broker.ID
		for range 6 {
			all = append(all, w.say("a"))
		}
		w.log.evict(3)
		w.stream.away = true

		recent := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: all[3].String()})
		defer recent.Close()
		expect(t, recent, nil, all[4:]...)

		old := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: all[0].String()})
		defer old.Close()
		if last := expect(t, old, nil); !last.Pending {
			t.Fatalf("got %+v, want Pending while the stream is away", last)
		}
		w.stream.away = false
		<-old.Ready() // after Retry
		expect(t, old, nil, all[1:]...)

		w.stream.away = true
		slow := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: all[4].String(), Page: broker.Limits{Events: 1}})
		defer slow.Close()
		if b, err := slow.Next(context.Background()); err != nil || len(b.Events) != 1 {
			t.Fatalf("got %+v, %v", b, err)
		}
		x, y := w.say("a"), w.say("a")
		w.log.evict(7) // it falls off the ring
		if last := expect(t, slow, nil); !last.Pending {
			t.Fatalf("got %+v, want Pending while the stream is away", last)
		}
		w.stream.away = false
		<-slow.Ready()
		expect(t, slow, nil, x, y)
	})
}

// Promise 4: a stream that was replaced or rewound is noticed by live readers too.
func TestHub_Reset(t *testing.T) {
	w := newWorld(broker.HubOptions{})
	var all []broker.ID
	for range 5 {
		all = append(all, w.say("a"))
	}
	behind := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: all[1].String(), Page: broker.Limits{Events: 1}})
	defer behind.Close()
	if b, err := behind.Next(context.Background()); err != nil || b.Position != all[2] {
		t.Fatalf("got %+v, %v", b, err)
	}
	ahead := w.subscribe(broker.Request{Filter: filter("a")})
	defer ahead.Close()
	quiet := w.subscribe(broker.Request{Filter: filter("b")})
	defer quiet.Close()
	expect(t, ahead, nil)
	expect(t, quiet, nil)

	intake := w.hub.Intake()
	if intake.Events != 5 || intake.Bytes < 5 {
		t.Errorf("took in %+v", intake)
	}
	w.rewind(3)
	if after := w.hub.Intake(); after.Events < intake.Events || after.Bytes < intake.Bytes {
		t.Errorf("took in %+v, then %+v", intake, after)
	}
	<-quiet.Ready() // whoever waits is told at once
	expect(t, quiet, []broker.GapReason{broker.GapReset})
	expect(t, ahead, []broker.GapReason{broker.GapReset})
	expect(t, behind, nil) // all it had is still there
	x := w.say("a")
	expect(t, ahead, nil, x)
	expect(t, behind, nil, x)
}

// Promise 4: who reads the history of a stream that was replaced is told, also
// where the source has not noticed yet.
func TestSubscription_HistoryReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(broker.HubOptions{})
		var all []broker.ID
		for range 10 {
			all = append(all, w.say("a"))
		}
		w.log.evict(8)
		sub := w.subscribe(broker.Request{Filter: filter("a"), From: broker.FromOldest, Page: broker.Limits{Events: 2}})
		defer sub.Close()
		if b, err := sub.Next(context.Background()); err != nil || b.Position != all[1] {
			t.Fatalf("got %+v, %v", b, err)
		}
		w.stream.events = nil
		for range 9 {
			w.publish("a")
		}
		if b, err := sub.Next(context.Background()); err != nil || !b.Pending {
			t.Fatalf("got %+v, %v, want to wait", b, err)
		}
		<-sub.Ready()
		if b, err := sub.Next(context.Background()); err != nil || b.Gap == nil || b.Gap.Reason != broker.GapReset {
			t.Errorf("got %+v, %v, want to be told", b, err)
		}
	})
}

// Promise 2: an id that another instance gave after a reset is good, and waited for
// until the source here has noticed the reset too.
func TestSubscription_ResetNoticedElsewhere(t *testing.T) {
	for _, tc := range []struct {
		name string
		last int // of the new events, the one the subscriber has
	}{
		{"below the log", 1},
		{"in the log", 9},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(broker.HubOptions{})
				for range 10 {
					w.say("a")
				}
				w.log.evict(8)
				w.stream.events = nil
				var again []broker.ID
				for range tc.last + 1 {
					again = append(again, w.publish("a"))
				}
				sub := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: again[tc.last-1].String()})
				defer sub.Close()
				if _, events, last, err := drain(sub); err != nil || !last.Pending || len(events) > 0 {
					t.Fatalf("got %v, %+v, %v, want to wait", ids(events), last, err)
				}
				w.rewind(uint64(len(again)))
				<-sub.Ready()
				expect(t, sub, nil, again[tc.last:]...)
			})
		})
	}
}

// H3: while the log is reset nobody is placed, neither at what was the head nor by
// what the log says meanwhile.
func TestHub_ResetUnderWay(t *testing.T) {
	w := newWorld(broker.HubOptions{})
	log := &hookedLog{memLog: w.log}
	w.hub = broker.NewHub(log, w.stream, broker.HubOptions{})
	w.say("a")
	w.say("a")
	early := w.subscribe(broker.Request{Filter: filter("a")})
	defer early.Close()
	expect(t, early, nil)
	fresh := w.subscribe(broker.Request{Filter: filter("a")})
	defer fresh.Close()
	log.afterReset = func() {
		for _, sub := range []*broker.Subscription{early, fresh} {
			if b, err := sub.Next(context.Background()); err != nil || !b.Pending || b.More {
				t.Errorf("got %+v, %v, want to wait", b, err)
			}
		}
	}
	w.rewind(0)
	<-early.Ready()
	<-fresh.Ready()
	expect(t, early, []broker.GapReason{broker.GapReset})
	expect(t, fresh, nil)
	again := w.say("a")
	expect(t, early, nil, again)
	expect(t, fresh, nil, again)
}

func TestSubscription_Corrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(broker.HubOptions{})
		var all []broker.ID
		for range 5 {
			all = append(all, w.say("a"))
		}
		w.log.corrupt = true
		sub := w.subscribe(broker.Request{Filter: filter("a"), LastEventID: all[1].String()})
		defer sub.Close()
		_, events, _, err := drain(sub)
		if diff := cmp.Diff(all[2:], ids(events)); diff != "" || err != nil {
			t.Errorf("err %v, events from the history (-want +got):\n%s", err, diff)
		}
		if err := w.hub.Append([]broker.Event{{ID: broker.ID{Seq: 6, Stamp: 6}, Subject: "a"}}); !errors.Is(err, broker.ErrCorrupt) {
			t.Fatalf("append: %v, want ErrCorrupt, at which the source resets", err)
		}
		w.rewind(5)
		expect(t, sub, nil)
		x := w.say("a")
		expect(t, sub, nil, x)
	})
}

// The end of a subject (Event.End) finishes a subscription that names it.
func TestSubscription_Finished(t *testing.T) {
	end := func(e *broker.Event) { e.End = true }
	w := newWorld(broker.HubOptions{})
	first := w.say("answer.1")
	ended := w.say("answer.1", end)
	other := w.say("answer.2")

	t.Run("after the end", func(t *testing.T) {
		sub := w.subscribe(broker.Request{Filter: filter("answer.1"), From: broker.FromOldest})
		defer sub.Close()
		if last := expect(t, sub, nil, first, ended); !last.Finished {
			t.Error("not finished")
		}
	})
	t.Run("resumed at the end", func(t *testing.T) {
		sub := w.subscribe(broker.Request{Filter: filter("answer.1"), LastEventID: ended.String()})
		defer sub.Close()
		if last := expect(t, sub, nil); !last.Finished {
			t.Error("not finished")
		}
	})
	t.Run("end hidden by a type filter", func(t *testing.T) {
		f, err := broker.NewFilter([]string{"answer.1"}, []string{"add"})
		if err != nil {
			t.Fatal(err)
		}
		sub := w.subscribe(broker.Request{Filter: f, From: broker.FromOldest})
		defer sub.Close()
		if last := expect(t, sub, nil); !last.Finished {
			t.Error("not finished")
		}
	})
	t.Run("not by one of two subjects", func(t *testing.T) {
		sub := w.subscribe(broker.Request{Filter: filter("answer.1", "answer.2"), From: broker.FromOldest})
		defer sub.Close()
		if last := expect(t, sub, nil, first, ended, other); last.Finished {
			t.Error("finished although answer.2 goes on")
		}
		end2 := w.say("answer.2", end)
		if last := expect(t, sub, nil, end2); !last.Finished {
			t.Error("not finished")
		}
	})
	t.Run("never under a wildcard", func(t *testing.T) {
		sub := w.subscribe(broker.Request{Filter: filter("answer.*"), From: broker.FromOldest})
		defer sub.Close()
		if _, _, last, err := drain(sub); err != nil || last.Finished {
			t.Errorf("finished: %+v, %v", last, err)
		}
	})
	t.Run("by what the log takes in behind the position", func(t *testing.T) {
		w := newWorld(broker.HubOptions{})
		w.publish("answer.1", end)
		w.hub.Upstream(w.publish("else"))
		sub := w.subscribe(broker.Request{Filter: filter("answer.1"), From: broker.FromNow})
		defer sub.Close()
		if last := expect(t, sub, nil); last.Finished {
			t.Error("finished although nobody could tell")
		}
		w.deliver(2)
		<-sub.Ready()
		if last := expect(t, sub, nil); !last.Finished {
			t.Error("not finished")
		}
	})
	t.Run("known by the history alone, asked once", func(t *testing.T) {
		w.say("else")
		w.log.evict(ended.Seq + 2)
		sub := w.subscribe(broker.Request{Filter: filter("answer.1"), LastEventID: first.String()})
		defer sub.Close()
		if last := expect(t, sub, nil, ended); !last.Finished {
			t.Error("not finished")
		}
		quiet := w.subscribe(broker.Request{Filter: filter("silent")})
		defer quiet.Close()
		expect(t, quiet, nil)
		asked := w.stream.asked
		w.say("silent")
		w.say("silent")
		if _, _, last, err := drain(quiet); err != nil || last.Finished || w.stream.asked != asked {
			t.Errorf("%+v, %v, asked %d more times", last, err, w.stream.asked-asked)
		}
	})
	t.Run("not when what followed the end was evicted", func(t *testing.T) {
		w.say("answer.4", end)
		w.log.evict(w.say("else").Seq)
		sub := w.subscribe(broker.Request{Filter: filter("answer.4", "answer.5")})
		defer sub.Close()
		expect(t, sub, nil) // answer.4 is known as ended
		again := w.say("answer.4")
		w.log.evict(again.Seq)
		end5 := w.say("answer.5", end)
		if last := expect(t, sub, nil, again, end5); last.Finished {
			t.Error("finished although answer.4 goes on")
		}
	})
	t.Run("found out when the history is back", func(t *testing.T) {
		w.stream.away = true
		sub := w.subscribe(broker.Request{Filter: filter("answer.1"), From: broker.FromNow})
		defer sub.Close()
		if last := expect(t, sub, nil); last.Finished {
			t.Error("finished although nobody could tell")
		}
		w.stream.away = false
		<-sub.Ready()
		if last := expect(t, sub, nil); !last.Finished {
			t.Error("not finished")
		}
	})
	t.Run("not when events follow the end", func(t *testing.T) {
		early := w.say("answer.3", end)
		again := w.say("answer.3")
		sub := w.subscribe(broker.Request{Filter: filter("answer.3"), From: broker.FromOldest})
		defer sub.Close()
		if last := expect(t, sub, nil, early, again); last.Finished {
			t.Error("finished although the subject goes on")
		}
	})
}

func TestHub_Await(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(broker.HubOptions{})
		done := make(chan error, 1)
		go func() { done <- w.hub.Await(context.Background(), 2) }()
		w.say("a")
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("returned at head 1: %v", err)
		default:
		}
		id := w.say("a")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := w.hub.Lookup(context.Background(), 2); got != id {
			t.Errorf("lookup: %s, want %s", got, id)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.hub.Await(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

func TestHub_Heard(t *testing.T) {
	w := newWorld(broker.HubOptions{})
	select {
	case <-w.hub.Heard():
		t.Error("heard of the stream before the source told")
	default:
	}
	w.hub.Upstream(broker.ID{})
	w.hub.Upstream(broker.ID{})
	<-w.hub.Heard()
}

func TestHub_Lookup(t *testing.T) {
	w := newWorld(broker.HubOptions{})
	old := w.say("a")
	w.say("a")
	w.log.evict(1)
	if got := w.hub.Lookup(context.Background(), 1); got != old {
		t.Errorf("evicted from the log: %s, want %s of the stream", got, old)
	}
	w.stream.away = true
	if got := w.hub.Lookup(context.Background(), 1); got.String() != "1" {
		t.Errorf("stream away: %s, want the bare sequence", got)
	}
}

func TestSubscription_Close(t *testing.T) {
	w := newWorld(broker.HubOptions{})
	sub := w.subscribe(broker.Request{Filter: filter("a", "b.*")})
	sub.Close()
	sub.Close()
	if n := w.hub.Subscriptions(); n != 0 {
		t.Errorf("%d subscriptions are open", n)
	}
	w.say("a")
	select {
	case <-sub.Ready():
		t.Error("woken after Close")
	default:
	}
	if _, err := w.hub.Subscribe(broker.Request{}); err == nil || !strings.Contains(err.Error(), "no subject") {
		t.Errorf("subscribe without a subject: %v", err)
	}
}
