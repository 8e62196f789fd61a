package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// faults is what a tally tells of a stream of events 1 to last.
type faults struct{ Received, Lost, Repeated, Disordered uint64 }

func tallied(last uint64, places ...uint64) faults {
	t := tally{next: 1}
	for _, place := range places {
		t.count(place)
	}
	return faults{t.received, t.lost(last), t.repeated, t.disordered}
}

func TestTally(t *testing.T) {
	for _, tc := range []struct {
		name   string
		last   uint64
		places []uint64
		want   faults
	}{
		{"nothing published", 0, nil, faults{}},
		{"all, in order", 3, []uint64{1, 2, 3}, faults{Received: 3}},
		{"none came", 3, nil, faults{Lost: 3}},
		{"one in the middle lost", 3, []uint64{1, 3}, faults{Received: 2, Lost: 1}},
		{"the first and the last lost", 4, []uint64{2, 3}, faults{Received: 2, Lost: 2}},
		{"repeated", 2, []uint64{1, 1, 2, 1}, faults{Received: 2, Repeated: 2}},
		{"two exchanged", 3, []uint64{2, 1, 3}, faults{Received: 3, Disordered: 1}},
		{"late, and again", 3, []uint64{1, 3, 2, 2}, faults{Received: 3, Disordered: 1, Repeated: 1}},
		{"late by as much as it remembers", 65, append(from(2, 64), 1, 65), faults{Received: 65, Disordered: 1}},
		{"late by more", 66, append(from(2, 65), 1, 66), faults{Received: 65, Lost: 1, Repeated: 1}},
		{"a long gap", 1000, []uint64{1, 1000}, faults{Received: 2, Lost: 998}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tallied(tc.last, tc.places...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func from(first, last uint64) (places []uint64) {
	for ; first <= last; first++ {
		places = append(places, first)
	}
	return places
}

// Within the 64 places that it remembers, a tally tells what a set would.
func TestTally_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const last = 60
		places := rapid.SliceOf(rapid.Uint64Range(1, last)).Draw(t, "places")
		want, had, newest := faults{Lost: last}, map[uint64]bool{}, uint64(0)
		for _, place := range places {
			switch {
			case had[place]:
				want.Repeated++
				continue
			case place < newest:
				want.Disordered++
			}
			had[place], newest = true, max(newest, place)
			want.Received++
			want.Lost--
		}
		if diff := cmp.Diff(want, tallied(last, places...)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}
