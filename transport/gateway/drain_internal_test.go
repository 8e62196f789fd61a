package gateway

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A tenth of the streams in each tenth of the time, all by its end, and none before a
// drain has begun.
func TestTurns(t *testing.T) {
	const streams = 60_000
	d := &turns{begin: time.Hour, length: 30 * time.Second}
	left := make([]uint16, streams)
	for i := range left {
		left[i] = uint16(rand.N(1 << 16))
	}
	for tenth := range 10 {
		now := d.begin + time.Duration(tenth+1)*d.length/10
		before := len(left)
		var later []uint16
		for _, turn := range left {
			if !d.passed(turn, now) {
				later = append(later, turn)
			}
		}
		left = later
		if cut := before - len(left); cut < streams/10*9/10 || cut > streams/10*11/10 {
			t.Errorf("in tenth %d of the time %d of %d are cut", tenth+1, cut, streams)
		}
	}
	if len(left) > 0 {
		t.Errorf("%d are left at the end", len(left))
	}
	if (*turns)(nil).passed(0, time.Hour) {
		t.Error("cut without a drain")
	}
}
