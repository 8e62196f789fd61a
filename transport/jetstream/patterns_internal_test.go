package jetstream

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ringcast/broker"
)

func TestDisjoint(t *testing.T) {
	for _, test := range []struct{ in, want []string }{
		{[]string{"a", "b"}, []string{"a", "b"}},
		{[]string{"a.*", "b.>"}, []string{"a.*", "b.>"}},
		{[]string{"a.*.c", "a.b.*"}, []string{"a.*.*"}},
		{[]string{"a.*", "*.b", "c.d.e"}, []string{"c.d.e", "*.*"}},
		{[]string{"a.>", "*.b.c"}, []string{"*.>"}},
		{[]string{"a.b", "*.b.c", "*.*", "d.b.>"}, []string{"*.*", "*.b.>"}},
	} {
		got := disjoint(test.in)
		slices.Sort(got)
		slices.Sort(test.want)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q: %s", test.in, diff)
		}
	}
}

// Rule: what disjoint returns overlaps nowhere and loses no subject.
func TestDisjoint_property(t *testing.T) {
	token := rapid.SampledFrom([]string{"a", "b", "c"})
	subject := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(token, 1, 4).Draw(t, "tokens"), ".")
	})
	pattern := rapid.Custom(func(t *rapid.T) string {
		tokens := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "*", "*"}), 0, 3).Draw(t, "tokens")
		tokens = append(tokens, rapid.SampledFrom([]string{"a", "b", "*", ">"}).Draw(t, "last"))
		return strings.Join(tokens, ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		patterns := rapid.SliceOfN(pattern, 1, 6).Draw(t, "patterns")
		out := disjoint(patterns)
		for i, a := range out {
			for _, b := range out[i+1:] {
				if broker.Overlap(a, b) {
					t.Fatalf("%q of %q overlap", []string{a, b}, out)
				}
			}
		}
		s := subject.Draw(t, "subject")
		if matchesAny(s, patterns) && !matchesAny(s, out) {
			t.Fatalf("%q is lost in %q", s, out)
		}
		// Overlap itself, against a subject that matches both.
		if a, b := patterns[0], patterns[len(patterns)-1]; matchesAny(s, []string{a}) && matchesAny(s, []string{b}) && !broker.Overlap(a, b) {
			t.Fatalf("%q matches %q and %q", s, a, b)
		}
	})
}

func matchesAny(subject string, patterns []string) bool {
	return broker.SubjectWithin(subject, patterns) == nil
}
