package replay_test

import (
	"testing"

	"ringcast/broker"
	"ringcast/replay"
)

// FuzzCodec: an event survives the codec; any other bytes are an error and never
// a panic; and what changes a record is noticed (invariant 7).
func FuzzCodec(f *testing.F) {
	f.Add(uint64(1), int64(1), "events.a", "add", true, []byte("data"), uint(0), byte(1))
	f.Add(uint64(1<<63), int64(0), "x", "", false, []byte{}, uint(20), byte(0x80))
	f.Fuzz(func(t *testing.T, seq uint64, stamp int64, subject, typ string, end bool, data []byte, at uint, flip byte) {
		if _, err := replay.DecodeRecord(data, data); err == nil {
			t.Fatal("decoded bytes that are no record")
		}
		if subject == "" || len(subject) > 65535 || len(typ) > 255 || stamp < 0 {
			t.Skip() // Append refuses it, which TestRing_Model shows
		}
		e := broker.Event{ID: broker.ID{Seq: seq, Stamp: stamp}, Subject: subject, Type: typ, End: end, Data: data}
		key, value := replay.EncodeRecord(&e)
		got, err := replay.DecodeRecord(key, value)
		if diff := diffEvents([]broker.Event{e}, []broker.Event{got}); err != nil || diff != "" {
			t.Fatalf("error %v (want, got):\n%s", err, diff)
		}
		if flip == 0 {
			return
		}
		whole := append(key, value...)
		whole[at%uint(len(whole))] ^= flip
		if _, err := replay.DecodeRecord(whole[:8], whole[8:]); err == nil {
			t.Fatalf("byte %d flipped by %#x went unnoticed", at%uint(len(whole)), flip)
		}
	})
}
