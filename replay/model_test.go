package replay_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ringcast/broker"
	"ringcast/replay"
)

// modelTick is the model's unit of time: so long that the ring's own timer does
// not come round during a test.
const modelTick = 10 * time.Second

// model is the ring as a slice.
type model struct {
	floor   broker.ID
	events  []broker.Event
	pending int // how many of events, the newest, are not in the file
	opts    replay.Options
	now     time.Time
}

func (m *model) head() broker.ID {
	if len(m.events) == 0 {
		return m.floor
	}
	return m.events[len(m.events)-1].ID
}

func (m *model) cost() int64 { return cost(m.events) }

func cost(events []broker.Event) (cost int64) {
	for i := range events {
		cost += int64(events[i].Size()) + replay.EventOverhead
	}
	return cost
}

// append is invariant 8: what does not fit what is pending has that written first.
func (m *model) append(batch []broker.Event) {
	all := append(slices.Clone(m.events[len(m.events)-m.pending:]), batch...)
	if maxEvents, maxCost := m.opts.MaxPending(); m.pending > 0 && (int64(len(all)) > maxEvents || cost(all) > maxCost) {
		m.commit()
	}
	m.events = append(m.events, batch...)
	m.pending += len(batch)
}

// commit is invariant 3.
func (m *model) commit() {
	m.pending = 0
	cutoff := m.now.Add(-m.opts.MaxAge).UnixNano()
	for len(m.events) > 0 {
		tooLarge := len(m.events) > m.opts.MaxEvents || m.cost() > m.opts.MaxBytes
		if !(tooLarge && len(m.events) > 1) && m.events[0].ID.Stamp >= cutoff {
			return
		}
		m.floor, m.events = m.events[0].ID, m.events[1:]
	}
}

// after returns the events after a sequence that match.
func (m *model) after(seq uint64, f broker.Filter) (out []broker.Event) {
	for _, e := range m.events {
		if e.ID.Seq > seq && f.MatchesSubject(e.Subject) && f.MatchesType(e.Type) {
			out = append(out, e)
		}
	}
	return out
}

// seek returns what Log.Seek says of a position: an event before, or the floor.
func (m *model) seek(stamp int64) (at broker.ID, ok bool) {
	at = m.head()
	for i, e := range m.events {
		if e.ID.Stamp >= stamp {
			if i > 0 {
				return m.events[i-1].ID, true
			}
			at = m.floor
			break
		}
	}
	if at.Seq > m.floor.Seq {
		return at, true
	}
	return at, at.Seq == 0 || at.Stamp != broker.NoStamp && at.Stamp < stamp
}

func (m *model) last(f broker.Filter) (seqs []uint64) {
	newest := map[string]uint64{}
	for _, e := range m.events {
		if f.MatchesSubject(e.Subject) {
			newest[e.Subject] = e.ID.Seq
		}
	}
	for _, seq := range newest {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	return seqs
}

// modelSubjects are few that are frequent and many that are rare, so that reads
// go by index and by scan. The DEL byte is what the index's tree refuses.
func modelSubjects() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"a.x", "a.y", "b.x", "b.x.deep", "a.$presence.x"}),
		rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("rare.%d", rapid.IntRange(0, 40).Draw(t, "rare")) }),
		rapid.Just("odd.\x7f"),
	)
}

func modelFilters() *rapid.Generator[broker.Filter] {
	subjects := []string{">", "a.>", "*.x", "b.>", "rare.*", "rare.7", "rare.8", "a.x", "none", "odd.*", "a.$presence.>"}
	return rapid.Custom(func(t *rapid.T) broker.Filter {
		chosen := rapid.SliceOfN(rapid.SampledFrom(subjects), 1, 3).Draw(t, "subjects")
		types := rapid.SampledFrom([][]string{nil, nil, {"add"}, {"message", "del"}}).Draw(t, "types")
		f, err := broker.NewFilter(chosen, types)
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

// batch draws events that follow the model's head: with holes, and with stamps
// that mostly ascend.
func (m *model) batch(t *rapid.T) []broker.Event {
	n := rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 300)).Draw(t, "events")
	seq := m.head().Seq
	var out []broker.Event
	for range n {
		seq += uint64(rapid.SampledFrom([]int{1, 1, 1, 1, 3, 50}).Draw(t, "step"))
		m.now = m.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "later")) * modelTick)
		early := time.Duration(rapid.SampledFrom([]int{0, 0, 0, 0, 0, 30}).Draw(t, "early")) * modelTick
		out = append(out, broker.Event{
			ID:      broker.ID{Seq: seq, Stamp: m.now.Add(-early).UnixNano()},
			Subject: modelSubjects().Draw(t, "subject"),
			Type:    rapid.SampledFrom([]string{"", "", "add", "del"}).Draw(t, "type"),
			End:     rapid.Bool().Draw(t, "end"),
			Data:    make([]byte, rapid.SampledFrom([]int{0, 1, 10, 10, 10, 3000}).Draw(t, "size")),
		})
	}
	return out
}

// TestRing_Model does the same to a ring and to a slice, and compares: invariants
// 1 to 5 and 8. Commits are made when the test says so, or when there is no more
// room: what is read may be in the file, pending, or both.
func TestRing_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "ring-model-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{now: time.Now()}
		w := &ringAndModel{model: m, path: filepath.Join(dir, "ring.db")}
		w.drawLimits(t)
		w.open(t)
		defer func() { w.ring.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"":         w.compareBounds,
			"append":   w.append,
			"appendB":  w.append, // as likely as two others
			"appendC":  w.append,
			"flush":    w.flush,
			"reset":    w.reset,
			"read":     w.read,
			"readB":    w.read,
			"seek":     w.seek,
			"last":     w.last,
			"get":      w.get,
			"reopen":   w.reopen,
			"time":     w.pass,
			"outsized": w.rejects,
		})
	})
}

type ringAndModel struct {
	*model
	path string
	ring *replay.Ring
}

func (w *ringAndModel) drawLimits(t *rapid.T) {
	w.opts = replay.Options{
		MaxEvents:     rapid.SampledFrom([]int{1, 10, 500, 2000, 20_000}).Draw(t, "max events"),
		MaxBytes:      rapid.SampledFrom([]int64{1, 10_000, 1 << 20, 1 << 24}).Draw(t, "max bytes"),
		MaxAge:        rapid.SampledFrom([]time.Duration{1000 * modelTick, 1e6 * modelTick}).Draw(t, "max age"),
		WriteInterval: time.Hour,
		SyncInterval:  time.Hour,
	}
}

func (w *ringAndModel) open(t *rapid.T) {
	var err error
	if w.ring, err = replay.Open(w.path, w.opts.WithClock(func() time.Time { return w.now })); err != nil {
		t.Fatal(err)
	}
}

func (w *ringAndModel) compareBounds(t *rapid.T) {
	want := broker.Bounds{Floor: w.floor, Head: w.head()}
	if got := w.ring.Bounds(); got != want {
		t.Fatalf("bounds %v, want %v", got, want)
	}
	if s := w.ring.Stats(); s.Events != int64(len(w.events)) || s.Cost != w.cost() || s.Bytes != s.Cost-s.Events*replay.EventOverhead {
		t.Fatalf("stats %+v, want %d events of cost %d", s, len(w.events), w.cost())
	}
}

func (w *ringAndModel) append(t *rapid.T) {
	batch := w.batch(t)
	if err := w.ring.Append(batch); err != nil {
		t.Fatal(err)
	}
	w.model.append(batch)
}

func (w *ringAndModel) flush(t *rapid.T) {
	if err := w.ring.Flush(); err != nil {
		t.Fatal(err)
	}
	if w.pending > 0 {
		w.commit()
	}
}

func (w *ringAndModel) reset(t *rapid.T) {
	at := broker.ID{
		Seq:   rapid.Uint64Range(0, 5000).Draw(t, "at"),
		Stamp: rapid.SampledFrom([]int64{broker.NoStamp, w.now.UnixNano()}).Draw(t, "stamp"),
	}
	if err := w.ring.Reset(at); err != nil {
		t.Fatal(err)
	}
	w.floor, w.events, w.pending = at, nil, 0
}

func (w *ringAndModel) reopen(t *rapid.T) {
	if err := w.ring.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := replay.Check(w.path)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("check: %v, problems %q", err, report.Problems)
	}
	if w.pending > 0 {
		w.commit()
	}
	if report.Bounds != (broker.Bounds{Floor: w.floor, Head: w.head()}) || report.Events != int64(len(w.events)) {
		t.Fatalf("in the file: %v and %d events, want %s to %s and %d", report.Bounds, report.Events, w.floor, w.head(), len(w.events))
	}
	if rapid.Bool().Draw(t, "other limits") {
		w.drawLimits(t)
	}
	w.open(t)
	w.commit()
}

// pass lets time pass, which by itself changes nothing yet.
func (w *ringAndModel) pass(t *rapid.T) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ticks")) * modelTick)
}

func (w *ringAndModel) position(t *rapid.T) uint64 {
	low, high := w.floor.Seq, w.head().Seq
	if low > 2 {
		low -= 2
	}
	return rapid.Uint64Range(low, high+2).Draw(t, "position")
}

func (w *ringAndModel) read(t *rapid.T) {
	after, f := w.position(t), modelFilters().Draw(t, "filter")
	lim := broker.Limits{
		Events: rapid.SampledFrom([]int{1, 3, 70, 10_000}).Draw(t, "limit events"),
		Bytes:  rapid.SampledFrom([]int{1, 100, 1 << 30}).Draw(t, "limit bytes"),
	}
	p, err := w.ring.Read(after, f, lim)
	if after < w.floor.Seq {
		if !errors.Is(err, broker.ErrEvicted) {
			t.Fatalf("read after %d below floor %d: %v", after, w.floor.Seq, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	matching := w.after(after, f)
	n := len(p.Events)
	if n > len(matching) {
		t.Fatalf("read %d events, %d match", n, len(matching))
	}
	if diff := diffEvents(matching[:n], p.Events); diff != "" {
		t.Fatalf("events differ (want, got):\n%s", diff)
	}
	if !p.More {
		w.checkComplete(t, after, p, len(matching))
		return
	}
	w.checkPart(t, after, p, matching, lim)
}

func (w *ringAndModel) checkComplete(t *rapid.T, after uint64, p broker.Page, matching int) {
	want := w.head()
	if after > want.Seq {
		want = broker.ID{Seq: after, Stamp: broker.NoStamp}
	}
	if len(p.Events) != matching || p.Position != want {
		t.Fatalf("complete page has %d of %d events and position %s, want %s", len(p.Events), matching, p.Position, want)
	}
}

// checkPart verifies a page that limits ended: not empty, not too long, not
// ended early, and its position passes no event that matches.
func (w *ringAndModel) checkPart(t *rapid.T, after uint64, p broker.Page, matching []broker.Event, lim broker.Limits) {
	n, size := len(p.Events), 0
	for i := range p.Events {
		size += p.Events[i].Size()
	}
	switch {
	case n == 0, n > lim.Events, n > 1 && size > lim.Bytes:
		t.Fatalf("page of %d events and %d bytes under %+v", n, size, lim)
	case p.Position.Seq < p.Events[n-1].ID.Seq, p.Position.Seq >= w.head().Seq:
		t.Fatalf("position %s, last event %s, head %s", p.Position, p.Events[n-1].ID, w.head())
	case n < len(matching) && p.Position.Seq >= matching[n].ID.Seq:
		t.Fatalf("position %s passes %s, which matches", p.Position, matching[n].ID)
	case n < lim.Events && size < lim.Bytes && (n == len(matching) || size+matching[n].Size() <= lim.Bytes):
		t.Fatalf("page of %d events and %d bytes ended early under %+v", n, size, lim)
	}
	if !slices.ContainsFunc(w.events, func(e broker.Event) bool { return e.ID == p.Position }) {
		t.Fatalf("position %s is no event", p.Position)
	}
}

func (w *ringAndModel) seek(t *rapid.T) {
	when := w.now.Add(-time.Duration(rapid.IntRange(-5, 3000).Draw(t, "ticks ago")) * modelTick)
	if len(w.events) > 0 && rapid.Bool().Draw(t, "of an event") {
		when = rapid.SampledFrom(w.events).Draw(t, "event").ID.Time()
	}
	at, ok, err := w.ring.Seek(when)
	wantAt, wantOK := w.model.seek(when.UnixNano())
	if err != nil || at != wantAt || ok != wantOK {
		t.Fatalf("seek %s: %s %v %v, want %s %v", when, at, ok, err, wantAt, wantOK)
	}
}

func (w *ringAndModel) last(t *rapid.T) {
	f := modelFilters().Draw(t, "filter")
	if want, got := w.model.last(f), w.ring.Last(f); !slices.Equal(want, got) {
		t.Fatalf("last of %q: %v, want %v", f.Subjects(), got, want)
	}
	subject := modelSubjects().Draw(t, "subject")
	var want broker.Event
	for _, e := range w.events {
		if e.Subject == subject {
			want = e
		}
	}
	id, end, ok := w.ring.LastOf(subject)
	if id != want.ID || end != want.End || ok != (want.Subject != "") {
		t.Fatalf("last of %q is %s %v %v, want %s %v", subject, id, end, ok, want.ID, want.End)
	}
}

func (w *ringAndModel) get(t *rapid.T) {
	seqs := rapid.SliceOfN(rapid.Custom(w.position), 0, 10).Draw(t, "seqs")
	lim := broker.Limits{Events: rapid.IntRange(1, 10).Draw(t, "limit events"), Bytes: rapid.SampledFrom([]int{1, 1 << 30}).Draw(t, "limit bytes")}
	var want []broker.Event
	next, size := 0, 0
	for ; next < len(seqs); next++ {
		i := slices.IndexFunc(w.events, func(e broker.Event) bool { return e.ID.Seq == seqs[next] })
		if id, ok, err := w.ring.At(seqs[next]); err != nil || ok != (i >= 0) || ok && id != w.events[i].ID {
			t.Fatalf("at %d: %s %v %v", seqs[next], id, ok, err)
		}
		if i < 0 {
			continue
		}
		size += w.events[i].Size()
		if len(want) > 0 && (len(want) == lim.Events || size > lim.Bytes) {
			break
		}
		want = append(want, w.events[i])
	}
	got, gotNext, err := w.ring.Get(seqs, lim)
	if diff := diffEvents(want, got); err != nil || gotNext != next || diff != "" {
		t.Fatalf("get %v: next %d, want %d, error %v (want, got):\n%s", seqs, gotNext, next, err, diff)
	}
}

// rejects offers what cannot be appended, and nothing changes.
func (w *ringAndModel) rejects(t *rapid.T) {
	good := broker.Event{ID: broker.ID{Seq: w.head().Seq + 1, Stamp: w.now.UnixNano()}, Subject: "a.x"}
	bad := good
	switch rapid.IntRange(0, 3).Draw(t, "wrong") {
	case 0:
		bad.ID.Seq--
	case 1:
		bad.ID = broker.ID{Seq: good.ID.Seq + 1, Stamp: broker.NoStamp}
	case 2:
		bad.ID.Seq, bad.Subject = good.ID.Seq+1, ""
	case 3:
		bad.ID.Seq, bad.Type = good.ID.Seq+1, string(make([]byte, 256))
	}
	if err := w.ring.Append([]broker.Event{good, bad}); !errors.Is(err, replay.ErrBadBatch) {
		t.Fatalf("append of %+v: %v", bad, err)
	}
}
