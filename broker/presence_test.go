package broker_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ringcast/broker"
)

func TestPresenceSubject(t *testing.T) {
	for subject, want := range map[string]string{
		"events":         "events.$presence",
		"events.room.42": "events.$presence.room.42",
		"events.>":       "events.$presence.>",
		"*.room":         "*.$presence.room",
		">":              "*.$presence.>",
	} {
		got := broker.PresenceSubject(subject)
		if got != want {
			t.Errorf("that of %q is %q, want %q", subject, got, want)
		}
		if subject == ">" {
			subject = "*.>"
		}
		if of, ok := broker.PresenceOf(got); of != subject || !ok || !broker.NamesPresence(got) {
			t.Errorf("%q is that of %q, %v, want %q", got, of, ok, subject)
		}
	}
	for _, subject := range []string{"events", "$presence", "$presence.a", "events.a.$presence", "events.$presencex", "events.$presenc", "events.*", "events.>"} {
		if of, ok := broker.PresenceOf(subject); ok || broker.NamesPresence(subject) {
			t.Errorf("%q is the presence of %q", subject, of)
		}
	}
}

// presencePatterns draws a pattern that may name presence, and presenceSubjects are
// literal subjects with and without it.
var (
	presencePatterns = rapid.Custom(func(t *rapid.T) string {
		p := patterns.Draw(t, "pattern")
		if rapid.Bool().Draw(t, "presence") {
			return broker.PresenceSubject(p)
		}
		return p
	})
	presenceSubjects = func() (all []string) {
		for _, s := range allSubjects {
			all = append(all, s, broker.PresenceSubject(s))
		}
		return append(all, "a.b.$presence", "$presence.a")
	}()
)

// visible is the rule: presence is matched by what names it, and anything as NATS has it.
func visible(pattern, subject string) bool {
	return broker.SubjectWithin(subject, []string{pattern}) == nil &&
		(!broker.NamesPresence(subject) || broker.NamesPresence(pattern))
}

// What names presence is seen by name alone, whatever is covered by what.
func TestFilter_presence_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subjects := rapid.SliceOfN(presencePatterns, 1, 6).Draw(t, "subjects")
		f, err := broker.NewFilter(subjects, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range presenceSubjects {
			want := slices.ContainsFunc(subjects, func(p string) bool { return visible(p, s) })
			if got := f.MatchesSubject(s); got != want {
				t.Errorf("%q matches %q: %v", subjects, s, got)
			}
			if got := f.Sublist().HasInterest(s) && !f.Hides(s); got != want {
				t.Errorf("%q has %q in its sublist, not hidden: %v", subjects, s, got)
			}
		}
	})
}

// A filter overlaps a pattern exactly when some subject can match both.
func TestFilter_Overlaps_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subjects := rapid.SliceOfN(presencePatterns, 1, 3).Draw(t, "subjects")
		pattern := presencePatterns.Draw(t, "pattern")
		f, err := broker.NewFilter(subjects, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.ContainsFunc(presenceSubjects, func(s string) bool { return f.MatchesSubject(s) && visible(pattern, s) })
		if got := f.Overlaps(pattern); got != want {
			t.Errorf("%q overlaps %q: %v", subjects, pattern, got)
		}
	})
}
