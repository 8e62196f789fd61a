package ask_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ringcast/transport/ask"
)

// Any sub goes through a header and comes out as it was, and the usual ones are not
// changed on the way.
func TestUnescapeIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		identity := rapid.String().Draw(t, "identity")
		value := ask.EscapeIdentity(identity)
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q became %q", identity, value)
		}
		if got, err := ask.UnescapeIdentity(value); err != nil || got != identity {
			t.Fatalf("%q became %q, %v", identity, got, err)
		}
	})
	for _, usual := range []string{"42", "auth0|5f7c8ec7c33c6c004bbafe82", "ann@example.com", "a+b/c=="} {
		if got := ask.EscapeIdentity(usual); got != usual {
			t.Errorf("%q became %q", usual, got)
		}
	}
}

func TestValidID(t *testing.T) {
	const id = "abcdefghijklmnopqrstuvwx27"
	if !ask.ValidID(id) {
		t.Error(id)
	}
	for _, bad := range []string{"", id[1:], id + "a", strings.ToUpper(id), strings.Replace(id, "a", "1", 1), strings.Replace(id, "a", ".", 1), strings.Replace(id, "a", "*", 1)} {
		if ask.ValidID(bad) {
			t.Error(bad)
		}
	}
}

// Every reason that there is has a status and words, and is counted by its name.
func TestOutcomes(t *testing.T) {
	for _, list := range [][]string{ask.Outcomes(), ask.Ends()} {
		seen := map[string]bool{}
		for _, name := range list {
			if name == "" || seen[name] {
				t.Errorf("%q in %q", name, list)
			}
			seen[name] = true
		}
	}
	if got := len(ask.Ends()); got != 2+8 {
		t.Errorf("%d ends: %q", got, ask.Ends())
	}
}
