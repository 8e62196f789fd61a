package broker

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server/gsl"
)

const (
	// MaxFilterSubjects is the greatest number of subjects in one filter.
	MaxFilterSubjects = 1000
	// MaxFilterWildcards is the greatest length in bytes of all subjects with a
	// wildcard in one filter together. Finding which of them covers which takes time
	// that grows with this times the number of subjects: for subjects made to take
	// long 0.2 s at most within these bounds, where without this one it was 5 s.
	MaxFilterWildcards = 16 << 10
)

// Filter selects events: by subject, and among those optionally by type. Wildcards do
// not match PresenceToken in its place. A Filter is immutable and safe for concurrent
// use. The zero Filter matches nothing.
type Filter struct {
	subjects []string // validated, sorted, none covered by another
	types    []string // sorted; empty means any
	sublist  *gsl.SimpleSublist
}

// NewFilter builds a filter from NATS subjects, which may contain the wildcards
// * (one token) and > (one or more, last only), and from event types, none
// meaning all; DefaultType selects events without a name. Subjects covered by
// another one are dropped.
func NewFilter(subjects, types []string) (Filter, error) {
	if len(subjects) == 0 {
		return Filter{}, errors.New("no subject: at least one is needed")
	}
	if len(subjects) > MaxFilterSubjects {
		return Filter{}, fmt.Errorf("%d subjects: at most %d are allowed", len(subjects), MaxFilterSubjects)
	}
	for _, s := range subjects {
		if err := validatePattern(s); err != nil {
			return Filter{}, err
		}
	}
	for _, t := range types {
		if err := ValidateType(t); err != nil {
			return Filter{}, err
		}
	}
	least, err := withoutCovered(subjects)
	if err != nil {
		return Filter{}, err
	}
	f := Filter{
		subjects: least,
		types:    slices.Compact(slices.Sorted(slices.Values(types))),
		sublist:  gsl.NewSublist[struct{}](),
	}
	for _, s := range f.subjects {
		insert(f.sublist, s)
	}
	return f, nil
}

// withoutCovered returns the subjects, sorted, less those that another covers.
//
// Each is looked up in a sublist of the others as if it were literal. There * and >
// are in no other subject as literal tokens, so that they match what covers them:
// * matches * or >, and > matches >, but also a * in its place. Therefore subjects
// that end in > are looked up among those that do, and those that name the token of
// presence, which no wildcard matches, among their like.
func withoutCovered(subjects []string) ([]string, error) {
	all := slices.Compact(slices.Sorted(slices.Values(subjects)))
	wilds := map[bool]*wildcards{false: newWildcards(), true: newWildcards()} // by NamesPresence
	size := 0
	for _, s := range all {
		if IsLiteral(s) {
			continue
		}
		if size += len(s); size > MaxFilterWildcards {
			return nil, fmt.Errorf("subjects with wildcards have more than %d bytes together", MaxFilterWildcards)
		}
		wilds[NamesPresence(s)].insert(s)
	}
	return slices.DeleteFunc(all, func(s string) bool { return wilds[NamesPresence(s)].cover(s) }), nil
}

// wildcards are patterns to find the covered among; tails are those that end in >.
type wildcards struct{ all, tails *gsl.SimpleSublist }

func newWildcards() *wildcards {
	return &wildcards{all: gsl.NewSublist[struct{}](), tails: gsl.NewSublist[struct{}]()}
}

func (w *wildcards) insert(pattern string) {
	insert(w.all, pattern)
	if hasTail(pattern) {
		insert(w.tails, pattern)
	}
}

// cover reports whether another one covers the subject.
func (w *wildcards) cover(s string) bool {
	if IsLiteral(s) {
		return w.all.HasInterest(s)
	}
	others := w.all
	if hasTail(s) {
		others = w.tails
	}
	remove(others, s)
	defer insert(others, s)
	return others.HasInterest(s)
}

// insert adds a valid subject, which a sublist cannot refuse.
func insert(l *gsl.SimpleSublist, subject string) {
	if err := l.Insert(subject, struct{}{}); err != nil {
		panic(fmt.Sprintf("insert valid subject %q: %v", subject, err))
	}
}

// remove takes out a subject that was inserted.
func remove(l *gsl.SimpleSublist, subject string) {
	if err := l.Remove(subject, struct{}{}); err != nil {
		panic(fmt.Sprintf("remove inserted subject %q: %v", subject, err))
	}
}

// Subjects returns the filter's subjects in sorted order. The caller must not
// change the slice.
func (f Filter) Subjects() []string { return f.subjects }

// Types returns the filter's event types in sorted order, none meaning all. The
// caller must not change the slice.
func (f Filter) Types() []string { return f.types }

// Sublist returns the filter's subjects as a sublist, to intersect with an
// index of subjects. The caller must not change it.
func (f Filter) Sublist() *gsl.SimpleSublist { return f.sublist }

// Literal reports whether no subject of the filter has a wildcard, so that the
// filter can be finished (see Event.End).
func (f Filter) Literal() bool {
	return len(f.subjects) > 0 && !slices.ContainsFunc(f.subjects, func(s string) bool { return !IsLiteral(s) })
}

// MatchesSubject reports whether an event published to the literal subject can
// match.
func (f Filter) MatchesSubject(subject string) bool {
	switch {
	case len(f.subjects) == 1:
		return covers(f.subjects[0], subject) && !f.Hides(subject)
	case f.sublist == nil || !f.sublist.HasInterest(subject):
		return false
	}
	return !f.Hides(subject)
}

// Hides reports whether the filter does not match the subject though a wildcard of it
// would: the subject names PresenceToken, and none of the filter's that match does.
func (f Filter) Hides(subject string) bool {
	return NamesPresence(subject) &&
		!slices.ContainsFunc(f.subjects, func(p string) bool { return NamesPresence(p) && covers(p, subject) })
}

// Overlaps reports whether some subject can match both the filter and the pattern.
func (f Filter) Overlaps(pattern string) bool {
	return slices.ContainsFunc(f.subjects, func(s string) bool {
		return NamesPresence(s) == NamesPresence(pattern) && Overlap(s, pattern)
	})
}

// MatchesType reports whether an event with the type given by its producer
// (empty for none) can match.
func (f Filter) MatchesType(typ string) bool {
	if len(f.types) == 0 {
		return true
	}
	if typ == "" {
		typ = DefaultType
	}
	_, found := slices.BinarySearch(f.types, typ)
	return found
}

// Within returns nil when every subject of f lies within the allowed patterns, and
// otherwise an error that names the subject and the patterns.
func (f Filter) Within(allowed []string) error {
	for _, s := range f.subjects {
		if err := SubjectWithin(s, allowed); err != nil {
			return err
		}
	}
	return nil
}

// SubjectWithin returns nil when the subject or pattern s lies within the allowed
// patterns, and otherwise an error that names s and the patterns.
func SubjectWithin(s string, allowed []string) error {
	if Within(s, allowed) {
		return nil
	}
	return fmt.Errorf("subject %q lies outside the subjects served here: %q", s, allowed)
}
