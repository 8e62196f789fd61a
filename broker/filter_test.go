package broker_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/gsl"
	"pgregory.net/rapid"

	"ringcast/broker"
)

func TestNewFilter(t *testing.T) {
	for _, c := range []struct {
		name                string
		subjects, types     []string
		wantSubj, wantTypes []string
		literal             bool
	}{
		{"one", []string{"a.b"}, nil, []string{"a.b"}, nil, true},
		{"sorted, once each", []string{"c", "a", "b", "a"}, []string{"z", "y", "z"}, []string{"a", "b", "c"}, []string{"y", "z"}, true},
		{"covered ones dropped", []string{"a.b", "a.>", "a.*", "a.*.c", "b"}, nil, []string{"a.>", "b"}, nil, false},
		{"all dropped but the widest", []string{"a", ">", "a.>", "*"}, nil, []string{">"}, nil, false},
		{"* does not cover >", []string{"a.*", "a.>", "a.*.*"}, nil, []string{"a.>"}, nil, false},
		{"* in the place of >", []string{"a.*", "*.>", "a.>"}, nil, []string{"*.>"}, nil, false},
		{"crossing ones stay", []string{"a.*", "*.b"}, nil, []string{"*.b", "a.*"}, nil, false},
		{"a token with * in it is literal", []string{"a*", "ab"}, nil, []string{"a*", "ab"}, nil, true},
		{"the default type", []string{"a"}, []string{"message"}, []string{"a"}, []string{"message"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			subjects, types := slices.Clone(c.subjects), slices.Clone(c.types)
			f, err := broker.NewFilter(subjects, types)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.wantSubj, f.Subjects()); diff != "" {
				t.Errorf("subjects (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.wantTypes, f.Types()); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
			if f.Literal() != c.literal {
				t.Errorf("literal %v", f.Literal())
			}
			if !slices.Equal(subjects, c.subjects) || !slices.Equal(types, c.types) {
				t.Error("the caller's slices were changed")
			}
		})
	}
}

func TestNewFilter_refuses(t *testing.T) {
	many := func(n int, format string) (s []string) {
		for i := range n {
			s = append(s, fmt.Sprintf(format, i))
		}
		return s
	}
	for _, c := range []struct {
		name            string
		subjects, types []string
		want            string // in the error; empty for none
	}{
		{"none", nil, nil, "at least one"},
		{"a bad subject among good ones", []string{"a", "b..c"}, nil, `"b..c"`},
		{"a bad type among good ones", []string{"a"}, []string{"x", ""}, "type is empty"},
		{"the reserved type", []string{"a"}, []string{"ringcast.gap"}, `"ringcast.gap"`},
		{"as many as allowed", many(broker.MaxFilterSubjects, "a.%d"), nil, ""},
		{"one more", many(broker.MaxFilterSubjects+1, "a.%d"), nil, "1001 subjects: at most 1000"},
		{"literals of any length", many(100, "%d."+strings.Repeat("a", 1000)), nil, ""},
		{"wildcards as long as allowed", many(16, "%02d."+strings.Repeat("a", 1019)+".*"), nil, ""},
		{"longer wildcards", many(17, "%02d."+strings.Repeat("a", 1019)+".*"), nil, "more than 16384 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := broker.NewFilter(c.subjects, c.types)
			checkError(t, "NewFilter", "", err, c.want)
		})
	}
}

// The zero Filter matches nothing, and asks for nothing outside.
func TestFilter_zero(t *testing.T) {
	var f broker.Filter
	if f.MatchesSubject("a") || f.Literal() || f.Subjects() != nil {
		t.Error("the zero filter selects something")
	}
	if err := f.Within(nil); err != nil {
		t.Error(err)
	}
}

func TestFilter_MatchesType(t *testing.T) {
	for _, c := range []struct {
		types []string
		typ   string
		want  bool
	}{
		{nil, "", true},
		{nil, "add", true},
		{[]string{"finish", "add"}, "add", true},
		{[]string{"finish", "add"}, "finish", true},
		{[]string{"finish", "add"}, "ad", false},
		{[]string{"finish", "add"}, "", false},
		{[]string{"message"}, "", true}, // an event without a name is a "message"
		{[]string{"message"}, "message", true},
		{[]string{"message"}, "add", false},
	} {
		f, err := broker.NewFilter([]string{"a"}, c.types)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.MatchesType(c.typ); got != c.want {
			t.Errorf("types %q match %q: %v", c.types, c.typ, got)
		}
	}
}

func TestFilter_Within(t *testing.T) {
	f, err := broker.NewFilter([]string{"a.b", "c.*"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Within([]string{"c.>", "a.*"}); err != nil {
		t.Error(err)
	}
	err = f.Within([]string{"a.>", "d"})
	checkError(t, "Within", "c.*", err, `"a.>" "d"`)
}

// A filter is safe for concurrent use (for the race detector).
func TestFilter_concurrently(t *testing.T) {
	f, err := broker.NewFilter([]string{"a.*", "b", "c.>"}, []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if !f.MatchesSubject("a.b") || f.MatchesSubject("a") || !f.MatchesType("x") || f.Within([]string{">"}) != nil {
				t.Error("wrong answer")
			}
		})
	}
	wg.Wait()
}

// The properties below are tested on subjects of up to four tokens. Patterns have
// up to three, of these; subjects may have one more token, and a token that is in
// no pattern, which tells any two patterns apart that differ.
var patternTokens = []string{"a", "b", "*"}

// allSubjects are the literal subjects of one to four tokens.
var allSubjects = func() (all []string) {
	level := []string{""}
	for range 4 {
		var next []string
		for _, prefix := range level {
			for _, token := range []string{"a", "b", "z"} {
				next = append(next, prefix+token+".")
			}
		}
		level = next
		for _, s := range level {
			all = append(all, strings.TrimSuffix(s, "."))
		}
	}
	return all
}()

// patterns draws a pattern.
var patterns = rapid.Custom(func(t *rapid.T) string {
	tokens := rapid.SliceOfN(rapid.SampledFrom(patternTokens), 0, 3).Draw(t, "tokens")
	if len(tokens) == 0 || len(tokens) < 3 && rapid.Bool().Draw(t, "tail") {
		tokens = append(tokens, ">")
	}
	return strings.Join(tokens, ".")
})

// brute returns the subjects that match one of the patterns, by regular
// expressions.
func brute(patterns ...string) (matching []string) {
	tokens := strings.NewReplacer(".", `\.`, "*", `[^.]+`, ">", `.+`)
	var exprs []*regexp.Regexp
	for _, p := range patterns {
		exprs = append(exprs, regexp.MustCompile("^"+tokens.Replace(p)+"$"))
	}
	for _, s := range allSubjects {
		if slices.ContainsFunc(exprs, func(e *regexp.Regexp) bool { return e.MatchString(s) }) {
			matching = append(matching, s)
		}
	}
	return matching
}

// One pattern lies within another exactly when every subject it matches matches the
// other; and nats-server says the same.
func TestSubjectWithin_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inner, outer := patterns.Draw(t, "inner"), patterns.Draw(t, "outer")
		outside := slices.DeleteFunc(brute(inner), func(s string) bool { return slices.Contains(brute(outer), s) })
		within := broker.SubjectWithin(inner, []string{outer}) == nil
		if within != (len(outside) == 0) {
			t.Errorf("%q within %q: %v, but %q are outside", inner, outer, within, outside)
		}
		if said := server.SubjectMatchesFilter(inner, outer); said != within {
			t.Errorf("%q within %q: %v, nats-server says %v", inner, outer, within, said)
		}
	})
}

// A pattern lies within several exactly when every subject it matches matches one of
// them: access is granted by this.
func TestWithin_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inner := patterns.Draw(t, "inner")
		allowed := rapid.SliceOfN(patterns, 0, 6).Draw(t, "allowed")
		outside := slices.DeleteFunc(brute(inner), func(s string) bool { return slices.Contains(brute(allowed...), s) })
		if within := broker.Within(inner, allowed); within != (len(outside) == 0) {
			t.Errorf("%q within %q: %v, but %q are outside", inner, allowed, within, outside)
		}
	})
}

func TestWithin_several(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		allowed []string
		want    bool
	}{
		{"a.>", []string{"a.*", "a.*.>"}, true},
		{"a.>", []string{"a.*", "a.*.*", "a.*.*.>"}, true},
		{"a.>", []string{"a.*", "a.*.*.>"}, false},
		{"a.>", []string{"a.*", "a.*.*"}, false},
		{"a.>", []string{"a.b.>", "a.c.>"}, false},
		{"a.*", []string{"a.b", "a.c"}, false},
		{">", []string{"*", "*.>"}, true},
		{"a", nil, false},
	} {
		if got := broker.Within(tc.pattern, tc.allowed); got != tc.want {
			t.Errorf("%q within %q: %v", tc.pattern, tc.allowed, got)
		}
	}
}

// A filter matches what its subjects match, one by one, though covered ones are
// dropped; what is left covers nothing of the rest; and a sublist of all of them
// agrees.
func TestFilter_MatchesSubject_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subjects := rapid.SliceOfN(patterns, 1, 8).Draw(t, "subjects")
		f, err := broker.NewFilter(subjects, nil)
		if err != nil {
			t.Fatal(err)
		}
		sublist := gsl.NewSublist[struct{}]()
		for _, s := range subjects {
			if err := sublist.Insert(s, struct{}{}); err != nil {
				t.Fatal(err)
			}
		}
		matching := brute(subjects...)
		for _, s := range allSubjects {
			want := slices.Contains(matching, s)
			if got := f.MatchesSubject(s); got != want || f.Sublist().HasInterest(s) != want || sublist.HasInterest(s) != want {
				t.Errorf("%q matches %q: %v, by its sublist %v, by one of all %v, want %v",
					subjects, s, got, f.Sublist().HasInterest(s), sublist.HasInterest(s), want)
			}
		}
		checkLeast(t, subjects, f.Subjects())
	})
}

// checkLeast checks that kept are the subjects that no other one covers, sorted.
func checkLeast(t *rapid.T, subjects, kept []string) {
	var want []string
	for _, s := range subjects {
		covered := slices.ContainsFunc(subjects, func(o string) bool { return o != s && broker.SubjectWithin(s, []string{o}) == nil })
		if !covered && !slices.Contains(want, s) {
			want = append(want, s)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("%q: kept (-want +got):\n%s", subjects, diff)
	}
}

// Within is SubjectWithin for every subject.
func TestFilter_Within_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subjects := rapid.SliceOfN(patterns, 1, 4).Draw(t, "subjects")
		allowed := rapid.SliceOfN(patterns, 0, 4).Draw(t, "allowed")
		f, err := broker.NewFilter(subjects, nil)
		if err != nil {
			t.Fatal(err)
		}
		outside := slices.ContainsFunc(subjects, func(s string) bool { return broker.SubjectWithin(s, allowed) != nil })
		if err := f.Within(allowed); (err != nil) != outside {
			t.Errorf("%q within %q: %v", subjects, allowed, err)
		}
	})
}
