package worker_test

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ringcast/transport/worker"
)

// Any sub goes through a header and comes out as it was, and the usual ones are not
// changed on the way.
func TestEscapeIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		identity := rapid.String().Draw(t, "identity")
		value := worker.EscapeIdentity(identity)
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q became %q", identity, value)
		}
		if got, err := url.PathUnescape(value); err != nil || got != identity {
			t.Fatalf("%q became %q, %v", identity, got, err)
		}
	})
	for _, usual := range []string{"42", "auth0|5f7c8ec7c33c6c004bbafe82", "ann@example.com", "a+b/c=="} {
		if got := worker.EscapeIdentity(usual); got != usual {
			t.Errorf("%q became %q", usual, got)
		}
	}
}
