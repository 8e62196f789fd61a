//go:build linux

package faults

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSchedule(t *testing.T) {
	opt := Options{Seed: 42, Faults: 200, SmallDisk: true, Stepped: "ringcast-stepped"}
	steps := schedule(opt)

	t.Run("is the same for the same seed", func(t *testing.T) {
		if diff := cmp.Diff(steps, schedule(opt)); diff != "" {
			t.Error(diff)
		}
		other := opt
		other.Seed++
		if cmp.Equal(steps, schedule(other)) {
			t.Error("is the same for another seed")
		}
	})
	t.Run("has every kind, and as many faults as asked for", func(t *testing.T) {
		made := map[string]int{}
		number := 0
		for _, s := range steps {
			for _, f := range s {
				if number++; f.Number != number {
					t.Errorf("fault %d has the number %d", number, f.Number)
				}
				made[f.Kind]++
			}
		}
		if number != opt.Faults {
			t.Errorf("has %d faults", number)
		}
		for _, k := range kinds {
			if made[k.name] == 0 {
				t.Errorf("has no %s", k.name)
			}
			if _, ok := deeds[k.name]; !ok {
				t.Errorf("nobody knows how to make %s", k.name)
			}
		}
	})
	t.Run("has at most one NATS node away", func(t *testing.T) {
		overlaps := 0
		for _, s := range steps {
			if len(s) < 2 {
				continue
			}
			overlaps++
			if s[0].touches(s[1]) {
				t.Errorf("%s and %s overlap", s[0], s[1])
			}
		}
		if overlaps == 0 {
			t.Error("nothing overlaps")
		}
	})
	t.Run("leaves out what cannot be made", func(t *testing.T) {
		opt := opt
		opt.SmallDisk, opt.Stepped = false, ""
		for _, s := range schedule(opt) {
			if slices.ContainsFunc(s, func(f Fault) bool { return f.Kind == diskFull || f.Kind == clockStepped }) {
				t.Fatalf("has %v", s)
			}
		}
	})
}

func TestFault_Touches(t *testing.T) {
	for _, test := range []struct {
		a, b Fault
		want bool
	}{
		{Fault{Kind: gatewayKill, Target: 1}, Fault{Kind: ringRemoved, Target: 1}, true},
		{Fault{Kind: gatewayKill, Target: 1}, Fault{Kind: gatewayKill, Target: 2}, false},
		{Fault{Kind: gatewayKill, Target: 1}, Fault{Kind: rollingRestart}, true},
		{Fault{Kind: diskFull}, Fault{Kind: gatewayTerm, Target: smallDisk}, true},
		{Fault{Kind: natsKill, Target: 0}, Fault{Kind: natsFreeze, Target: 1}, true},
		{Fault{Kind: natsKill, Target: 0}, Fault{Kind: linkCut, Target: 2}, true},
		{Fault{Kind: natsKill, Target: 0}, Fault{Kind: linkCut, Target: firstUplink}, false},
		{Fault{Kind: linkDelay, Target: firstUplink + 1}, Fault{Kind: linkCut, Target: firstSingle + 3}, true},
		{Fault{Kind: linkDelay, Target: firstUplink + 1}, Fault{Kind: linkCut, Target: firstSingle}, false},
		{Fault{Kind: connectionStorm}, Fault{Kind: haproxyRestart}, true},
		{Fault{Kind: streamPurged}, Fault{Kind: natsKill}, false},
	} {
		if got := test.a.touches(test.b); got != test.want {
			t.Errorf("%s, %s: %v", test.a, test.b, got)
		}
	}
}
