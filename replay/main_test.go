package replay_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ringcast/broker"
	"ringcast/replay"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		appendUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// everything is a page without bound.
var everything = broker.Limits{Events: 1 << 30, Bytes: 1 << 40}

func open(t testing.TB, path string, opts replay.Options) *replay.Ring {
	t.Helper()
	r, err := replay.Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func ringPath(t testing.TB) string { return filepath.Join(t.TempDir(), "ring.db") }

// events returns events of the sequences from to to, on three subjects in turn,
// with stamps that ascend up to now.
func events(from, to uint64) []broker.Event {
	now := time.Now().UnixNano()
	var out []broker.Event
	for seq := from; seq <= to; seq++ {
		out = append(out, broker.Event{
			ID:      broker.ID{Seq: seq, Stamp: now - int64(to-seq)},
			Subject: fmt.Sprintf("events.%c", 'a'+seq%3),
			Type:    []string{"", "add"}[seq%2],
			Data:    fmt.Appendf(nil, "event number %d", seq),
		})
	}
	return out
}

func mustAppend(t testing.TB, r *replay.Ring, batch []broker.Event) {
	t.Helper()
	if err := r.Append(batch); err != nil {
		t.Fatal(err)
	}
}

// mustWrite appends and has it in the file.
func mustWrite(t testing.TB, r *replay.Ring, batch []broker.Event) {
	t.Helper()
	mustAppend(t, r, batch)
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
}

func filter(t testing.TB, subjects ...string) broker.Filter {
	t.Helper()
	f, err := broker.NewFilter(subjects, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// all returns every event held.
func all(t testing.TB, r *replay.Ring) []broker.Event {
	t.Helper()
	p, err := r.Read(r.Bounds().Floor.Seq, filter(t, ">"), everything)
	if err != nil {
		t.Fatal(err)
	}
	if p.More || p.Position != r.Bounds().Head {
		t.Fatalf("read of everything: more %v, position %s, head %s", p.More, p.Position, r.Bounds().Head)
	}
	return p.Events
}

// mustBeSound fails the test where Check finds anything wrong: invariants 1, 2.
func mustBeSound(t testing.TB, path string) replay.Report {
	t.Helper()
	report, err := replay.Check(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range report.Problems {
		t.Errorf("ring check: %s", problem)
	}
	return report
}

// diffEvents returns how want and got first differ, "" where they do not. Empty
// data may be nil. It compares by hand: with megabytes of data and the race
// detector cmp takes minutes.
func diffEvents(want, got []broker.Event) string {
	for i := range min(len(want), len(got)) {
		w, g := want[i], got[i]
		if w.ID != g.ID || w.Subject != g.Subject || w.Type != g.Type || w.End != g.End || !bytes.Equal(w.Data, g.Data) {
			return fmt.Sprintf("event %d: %+v\n%+v", i, w, g)
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d events, %d events", len(want), len(got))
	}
	return ""
}
