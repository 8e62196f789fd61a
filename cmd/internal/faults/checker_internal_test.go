//go:build linux

package faults

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	subjectA = "events.room.a.0"
	subjectB = "events.room.b.0"
)

// acknowledged returns a ledger with three events of each subject, A's under 2, 4 and
// 6, B's under 3, 5 and 7. The client began after 1.
func acknowledged() *ledger {
	l := newLedger()
	for i := range uint64(3) {
		l.ack(subjectA, 2+2*i)
		l.ack(subjectB, 3+2*i)
	}
	return l
}

// given is what a client was given: an event by its sequence, subject and counter.
type given struct {
	seq     uint64
	subject string
	counter uint64
}

func (g given) to(t *testing.T, c *checker) {
	t.Helper()
	body, err := encodePayload(g.subject, g.counter, 10)
	if err != nil {
		t.Fatal(err)
	}
	c.event(fmt.Sprintf("%d-1", g.seq), "message", string(body))
}

func gap(reason string, at uint64) func(*testing.T, *checker) {
	return func(_ *testing.T, c *checker) {
		c.event(fmt.Sprintf("%d-1", at), gapType, fmt.Sprintf(`{"reason":%q,"requested":"1-1","oldest":"9-1"}`, reason))
	}
}

func TestChecker(t *testing.T) {
	type act = func(*testing.T, *checker)
	event := func(seq uint64, subject string, counter uint64) act {
		return given{seq, subject, counter}.to
	}
	a1, a2, a3 := event(2, subjectA, 1), event(4, subjectA, 2), event(6, subjectA, 3)
	b1, b2, b3 := event(3, subjectB, 1), event(5, subjectB, 2), event(7, subjectB, 3)
	for _, test := range []struct {
		name      string
		acts      []act
		conflated bool
		purged    uint64
		want      []string
	}{
		{name: "all in order", acts: []act{a1, b1, a2, b2, a3, b3}},
		{name: "one missing in the middle", acts: []act{a1, b1, b2, a3, b3}, want: []string{lost}},
		{name: "the last missing", acts: []act{a1, b1, a2, b2, a3}, want: []string{lost}},
		{name: "nothing at all", want: []string{lost, lost, lost, lost, lost, lost}},
		{name: "one twice", acts: []act{a1, b1, b1, a2, b2, a3, b3}, want: []string{duplicate}},
		{name: "one stored again under another id", acts: []act{a1, b1, a2, b2, a3, b3, event(8, subjectB, 3)}, want: []string{duplicate, duplicate}},
		{name: "two the wrong way round", acts: []act{b1, a1, a2, b2, a3, b3}, want: []string{disorder}},
		{name: "one of another subject", acts: []act{a1, b1, a2, b2, a3, b3, event(8, "events.room.c.0", 1)}, want: []string{foreign}},
		{name: "another payload", acts: []act{a1, b1, a2, b2, a3, b3, func(_ *testing.T, c *checker) {
			c.event("8-1", "message", `{"s":"events.room.a.0","n":4,"p":"x","c":1}`)
		}}, want: []string{altered}},
		{name: "no id", acts: []act{a1, b1, a2, b2, a3, b3, func(_ *testing.T, c *checker) { c.event("", "message", "{}") }}, want: []string{altered}},
		{name: "a gap over what was purged", acts: []act{a1, gap("expired", 5), a3, b3}, purged: 5},
		{name: "a gap that says less than is missing", acts: []act{a1, gap("expired", 3), b2, a3, b3}, purged: 3, want: []string{lost}},
		{name: "a gap beyond what was purged", acts: []act{a1, gap("expired", 5), a3, b3}, purged: 4, want: []string{groundless, lost, lost, lost}},
		{name: "a gap without a purge", acts: []act{a1, b1, a2, b2, a3, b3, gap("expired", 7)}, want: []string{groundless}},
		{name: "a reset", acts: []act{a1, b1, a2, b2, a3, b3, gap("reset", 7)}, purged: 7, want: []string{groundless}},
		{name: "the newest of each, conflated", acts: []act{a3, b3}, conflated: true},
		{name: "an old one, conflated", acts: []act{a3, b2}, conflated: true, want: []string{disorder, lost}},
		{name: "without the newest, conflated", acts: []act{a1, b3}, conflated: true, want: []string{lost}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := acknowledged()
			if test.purged > 0 {
				l.notePurge(test.purged)
			}
			var got []string
			c := newChecker("client", []string{subjectA, subjectB}, test.conflated, 1, l, func(v violation) { got = append(got, v.Kind) })
			for _, do := range test.acts {
				do(t, c)
			}
			c.finish()
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// An event that was never acknowledged may come or not; once, and where it was stored.
func TestChecker_GaveUp(t *testing.T) {
	for name, test := range map[string]struct {
		events []given
		want   []string
	}{
		"never stored":                   {events: []given{{2, subjectA, 1}, {4, subjectA, 3}}},
		"stored in its turn":             {events: []given{{2, subjectA, 1}, {3, subjectA, 2}, {4, subjectA, 3}}},
		"stored after the next":          {events: []given{{2, subjectA, 1}, {4, subjectA, 3}, {5, subjectA, 2}}},
		"stored twice, after the next":   {events: []given{{2, subjectA, 1}, {4, subjectA, 3}, {5, subjectA, 2}, {6, subjectA, 2}}, want: []string{duplicate}},
		"and the one after it went lost": {events: []given{{2, subjectA, 1}, {3, subjectA, 2}}, want: []string{lost}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.ack(subjectA, 2)
			l.giveUp(subjectA)
			l.ack(subjectA, 4)
			var got []string
			c := newChecker("client", []string{subjectA}, false, 1, l, func(v violation) { got = append(got, v.Kind) })
			for _, g := range test.events {
				g.to(t, c)
			}
			c.finish()
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// A client that begins in the middle owes nothing of what was before.
func TestChecker_InTheMiddle(t *testing.T) {
	l := acknowledged()
	var got []string
	c := newChecker("client", []string{subjectA, subjectB}, false, 4, l, func(v violation) { got = append(got, v.Kind) })
	given{5, subjectB, 2}.to(t, c)
	given{7, subjectB, 3}.to(t, c)
	c.finish()
	if diff := cmp.Diff([]string{lost}, got); diff != "" { // A's third
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}
