package ask_test

import (
	"strings"
	"testing"

	"ringcast/transport/ask"
)

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
