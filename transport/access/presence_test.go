package access_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ringcast/broker"
	"ringcast/transport/access"
)

var presenceTokens = []string{"a", "b", "*", "$presence"}

// grantPatterns draws patterns with the token of presence in any place.
var grantPatterns = rapid.Custom(func(t *rapid.T) string {
	tokens := rapid.SliceOfN(rapid.SampledFrom(presenceTokens), 1, 3).Draw(t, "tokens")
	pattern := ""
	for i, token := range tokens {
		if i > 0 {
			pattern += "."
		}
		pattern += token
	}
	if len(tokens) < 3 && rapid.Bool().Draw(t, "tail") {
		pattern += ".>"
	}
	return pattern
})

// literals are subjects to try: of one to four tokens, presence in any place.
var literals = func() (all []string) {
	level := []string{"a", "b", "$presence"}
	for range 4 {
		all = append(all, level...)
		var next []string
		for _, s := range level {
			next = append(next, s+".a", s+".b", s+".$presence")
		}
		level = next
	}
	return all
}()

// Whoever is allowed a filter is told of presence only where a grant names it, however
// wide the other grants and the filter are.
func TestPresence_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grants := rapid.SliceOfN(grantPatterns, 1, 4).Draw(t, "grants")
		subjects := rapid.SliceOfN(grantPatterns, 1, 3).Draw(t, "subjects")
		var rules access.Rules
		for _, g := range grants {
			rules = append(rules, must(access.ParseRule("subscribe "+g)))
		}
		p, err := access.New(t.Context(), access.Options{Anonymous: rules})
		if err != nil {
			t.Fatal(err)
		}
		id, err := p.Identify(bearer(""))
		if err != nil {
			t.Fatal(err)
		}
		f, err := broker.NewFilter(subjects, nil)
		if err != nil {
			t.Fatal(err)
		}
		allowed := p.MaySubscribe(t.Context(), id, "", f) == nil
		named := slices.DeleteFunc(slices.Clone(grants), func(g string) bool { return !broker.NamesPresence(g) })
		escaped := ""
		for _, s := range literals {
			granted := grants
			if broker.NamesPresence(s) {
				granted = named
			}
			if f.MatchesSubject(s) && broker.SubjectWithin(s, granted) != nil {
				escaped = s
			}
		}
		if allowed && escaped != "" {
			t.Errorf("%q grant %q, which matches %q", grants, subjects, escaped)
		}
	})
}

func TestPresence(t *testing.T) {
	for _, tc := range []struct {
		grants, subjects []string
		want             bool
	}{
		{[]string{"events.>"}, []string{"events.>"}, true}, // which sees none of it
		{[]string{"events.>"}, []string{"events.$presence.room.1"}, false},
		{[]string{"events.>"}, []string{"events.room.1", "events.$presence.room.1"}, false},
		{[]string{"*.*.room.1", ">"}, []string{"events.$presence.room.1"}, false},
		{[]string{"events.>", "events.$presence.room.*"}, []string{"events.>", "events.$presence.room.1"}, true},
		{[]string{"events.$presence.room.*"}, []string{"events.$presence.>"}, false},
		{[]string{"events.$presence.>"}, []string{"events.room.1"}, false},
		{[]string{"*.$presence.>"}, []string{"events.$presence.>"}, true},
	} {
		var rules access.Rules
		for _, g := range tc.grants {
			rules = append(rules, must(access.ParseRule("subscribe "+g)))
		}
		p := policy(t, access.Options{Anonymous: rules})
		id, err := p.Identify(bearer(""))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.MaySubscribe(t.Context(), id, "", filter(t, tc.subjects...)) == nil; got != tc.want {
			t.Errorf("%q grant %q: %v", tc.grants, tc.subjects, got)
		}
	}
	everybody := access.Everybody()
	id, err := everybody.Identify(bearer(""))
	if err != nil {
		t.Fatal(err)
	}
	if err := everybody.MaySubscribe(t.Context(), id, "", filter(t, "events.$presence.>", "events.$presence")); err != nil {
		t.Error(err)
	}
}
