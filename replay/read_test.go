package replay_test

import (
	"testing"

	"ringcast/broker"
	"ringcast/replay"
)

// TestRing_Read: a page may take more than one transaction (invariant 6).
func TestRing_Read(t *testing.T) {
	r := open(t, ringPath(t), replay.Options{})
	batch := events(1, 5*replay.StepEvents)
	f, err := broker.NewFilter([]string{"events.>"}, []string{"rare"})
	if err != nil {
		t.Fatal(err)
	}
	var want []broker.Event
	for i := 0; i < len(batch); i += replay.StepEvents + 17 {
		batch[i].Type = "rare"
		want = append(want, batch[i])
	}
	mustWrite(t, r, batch)
	t.Run("page_of_many_transactions", func(t *testing.T) {
		p, err := r.Read(0, f, everything)
		if diff := diffEvents(want, p.Events); err != nil || diff != "" || p.More || p.Position != batch[len(batch)-1].ID {
			t.Errorf("error %v, more %v, position %s: %s", err, p.More, p.Position, diff)
		}
	})
	t.Run("page_cut_in_a_later_transaction", func(t *testing.T) {
		p, err := r.Read(0, f, broker.Limits{Events: 2, Bytes: 1 << 20})
		if diff := diffEvents(want[:2], p.Events); err != nil || diff != "" || !p.More || p.Position != want[1].ID {
			t.Errorf("error %v, more %v, position %s: %s", err, p.More, p.Position, diff)
		}
	})
	t.Run("by_index_in_many_transactions", func(t *testing.T) {
		r := open(t, ringPath(t), replay.Options{})
		batch, want := events(1, 5*replay.StepEvents), []broker.Event(nil)
		for i := range batch {
			if i%40 == 39 { // few enough to be read by index
				batch[i].Subject = "quiet"
			}
			if i%12_000 == 11_999 { // many more of them than one transaction takes for one event
				batch[i].Type = "rare"
				want = append(want, batch[i])
			}
		}
		mustWrite(t, r, batch)
		f, err := broker.NewFilter([]string{"quiet"}, []string{"rare"})
		if err != nil {
			t.Fatal(err)
		}
		at := uint64(0)
		for i := range want {
			p, err := r.Read(at, f, broker.Limits{Events: 1, Bytes: 1 << 20})
			if diff := diffEvents(want[i:i+1], p.Events); err != nil || diff != "" || !p.More || p.Position != want[i].ID {
				t.Fatalf("after %d: error %v, more %v, position %s: %s", at, err, p.More, p.Position, diff)
			}
			at = p.Position.Seq
		}
		p, err := r.Read(at, f, everything)
		if err != nil || len(p.Events) > 0 || p.More || p.Position != batch[len(batch)-1].ID {
			t.Errorf("at the end: %d events, error %v, more %v, position %s", len(p.Events), err, p.More, p.Position)
		}
	})
}
