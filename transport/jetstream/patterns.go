package jetstream

import (
	"slices"
	"strings"

	"ringcast/broker"
)

const (
	anyToken  = "*"
	anyTokens = ">"
)

// disjoint returns patterns that overlap nowhere and cover all of those given.
// JetStream refuses a consumer whose filter subjects overlap ("a.*.c" and
// "a.b.*", although neither covers the other), so such are merged into a wider
// one, and what that lets in besides is filtered out again here.
func disjoint(patterns []string) []string {
	var out []string
	for _, p := range patterns {
		for i := 0; i < len(out); i++ {
			if broker.Overlap(out[i], p) {
				p = union(out[i], p)
				out = slices.Delete(out, i, i+1)
				i = -1 // the wider one may overlap any of the others
			}
		}
		out = append(out, p)
	}
	return out
}

// union returns a pattern that covers both, token by token.
func union(a, b string) string {
	var tokens []string
	for {
		at, aRest, aMore := strings.Cut(a, ".")
		bt, bRest, bMore := strings.Cut(b, ".")
		switch {
		case at == anyTokens || bt == anyTokens:
			return strings.Join(append(tokens, anyTokens), ".")
		case at != bt:
			at = anyToken
		}
		if aMore != bMore { // the longer one goes on: one token more or less than here
			return strings.Join(append(tokens, anyTokens), ".")
		}
		tokens = append(tokens, at)
		if !aMore {
			return strings.Join(tokens, ".")
		}
		a, b = aRest, bRest
	}
}
