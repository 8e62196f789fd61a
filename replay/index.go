package replay

import (
	"container/heap"
	"slices"

	"github.com/nats-io/nats-server/v2/server/stree"

	"ringcast/broker"
)

// index knows, per subject held, the sequences of its events and what the
// newest of them is. It lives in memory only: a bucket keyed by subject made
// appends ten times slower.
type index struct {
	tree *stree.SubjectTree[*subjectEvents]
	// strays holds the subjects that the tree refuses: those with a DEL byte. No
	// valid filter names one, but a wildcard may match it.
	strays map[string]*subjectEvents
}

// subjectEvents are the events of one subject: never none.
type subjectEvents struct {
	seqs  []uint64 // ascending; those before first are evicted
	first int
	last  broker.ID
	end   bool // the newest event's end mark
}

func newIndex() index {
	return index{tree: stree.NewSubjectTree[*subjectEvents](), strays: map[string]*subjectEvents{}}
}

func (x *index) subjects() int { return x.tree.Size() + len(x.strays) }

func (x *index) find(subject []byte) *subjectEvents {
	if s, ok := x.tree.Find(subject); ok {
		return *s
	}
	return x.strays[string(subject)]
}

// add notes an event, whose sequence is above all others.
func (x *index) add(subject []byte, id broker.ID, end bool) {
	s := x.find(subject)
	if s == nil {
		s = &subjectEvents{}
		x.tree.Insert(subject, s)
		if _, ok := x.tree.Find(subject); !ok {
			x.strays[string(subject)] = s
		}
	}
	s.seqs = append(s.seqs, id.Seq)
	s.last, s.end = id, end
}

// evict forgets the oldest event of a subject.
func (x *index) evict(subject []byte) {
	s := x.find(subject)
	s.first++
	switch live := s.seqs[s.first:]; {
	case len(live) == 0:
		if _, ok := x.tree.Delete(subject); !ok {
			delete(x.strays, string(subject))
		}
	case s.first > len(live):
		// Copying when more than half is gone keeps the cost per event constant and
		// the waste below the living part.
		s.seqs, s.first = slices.Clone(live), 0
	}
}

// each calls visit for every subject held that matches f, until it returns
// false, and reports whether it went through.
func (x *index) each(f broker.Filter, visit func(*subjectEvents) bool) bool {
	if f.Literal() {
		for _, subject := range f.Subjects() {
			if s := x.find([]byte(subject)); s != nil && !visit(s) {
				return false
			}
		}
		return true
	}
	for subject, s := range x.strays {
		if f.MatchesSubject(subject) && !visit(s) {
			return false
		}
	}
	through := true
	stree.IntersectGSL(x.tree, f.Sublist(), func(subject []byte, s **subjectEvents) bool {
		through = f.Hides(viewText(subject)) || visit(*s)
		return through
	})
	return through
}

// last returns the newest sequence of each subject that matches f, ascending.
func (x *index) last(f broker.Filter) []uint64 {
	var seqs []uint64
	x.each(f, func(s *subjectEvents) bool {
		seqs = append(seqs, s.last.Seq)
		return true
	})
	slices.Sort(seqs)
	return seqs
}

// A read by index costs a search by key for every event, a read by scan a step
// of the cursor for every event passed: measured, about indexCost times less.
// Below scanAlways events there is nothing to gain by asking the index; above
// indexFanout subjects the asking costs more than it saves.
const (
	indexCost   = 10
	scanAlways  = 64
	indexFanout = 4096
)

// after returns up to most sequences above after, ascending, of the subjects
// that match f, and whether there are no more. It is not ok where reading them
// one by one would cost more than scanning span events.
func (x *index) after(after uint64, f broker.Filter, most, span int) (seqs []uint64, all, ok bool) {
	if span <= scanAlways {
		return nil, false, false
	}
	var runs runs
	found := 0
	ok = x.each(f, func(s *subjectEvents) bool {
		if s.last.Seq <= after {
			return true
		}
		live := s.seqs[s.first:]
		i, _ := slices.BinarySearch(live, after+1)
		runs = append(runs, live[i:])
		found += len(live) - i
		return len(runs) <= indexFanout && found*indexCost <= span
	})
	if !ok {
		return nil, false, false
	}
	return runs.merge(most), found <= most, true
}

// runs are ascending lists without common members, as a heap by first member.
type runs [][]uint64

func (r runs) Len() int           { return len(r) }
func (r runs) Less(i, j int) bool { return r[i][0] < r[j][0] }
func (r runs) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *runs) Push(any)          { panic("runs only shrink") }
func (r *runs) Pop() any {
	*r = (*r)[:len(*r)-1]
	return nil
}

// merge returns the first members of all lists together, at most most.
func (r runs) merge(most int) []uint64 {
	heap.Init(&r)
	var out []uint64
	for len(r) > 0 && len(out) < most {
		out = append(out, r[0][0])
		if r[0] = r[0][1:]; len(r[0]) == 0 {
			heap.Remove(&r, 0)
		} else {
			heap.Fix(&r, 0)
		}
	}
	return out
}
