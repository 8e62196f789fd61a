package gateway

import (
	"slices"
	"testing"
)

// A stream has one owner: what is woken again after it was taken, and is let go, is
// not served by the shard as well. That mixed the bytes of two writers.
func TestShard_OneOwner(t *testing.T) {
	s := New(Options{})
	sh := s.shards[0]
	st := &stream{server: s, shard: sh}
	taken := func(want ...*stream) {
		t.Helper()
		if got := sh.takeReady(); !slices.Equal(got, want) {
			t.Errorf("took %d streams, want %d", len(got), len(want))
		}
	}
	st.Wake()
	st.Wake()
	taken(st)
	st.Wake() // before it is served
	st.catching = true
	taken()
	st.Wake()
	taken()
	sh.handBack(st)
	taken(st)
	taken()

	st.Wake()
	st.catching = true
	sh.handBack(st) // before the queue was looked at
	taken(st)
	taken()

	st.Wake()
	st.ended = true
	taken()
	st.Wake()
	taken()
}
