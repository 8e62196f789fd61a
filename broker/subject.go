package broker

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxSubjectLen is the greatest length of a subject or subject filter in bytes.
// NATS allows what fits into a protocol line of 4,096 bytes; this leaves room
// for a reply subject and for the counters of a JetStream consumer.
const MaxSubjectLen = 1024

const (
	tokenSep      = "."
	wildcardToken = "*" // matches exactly one token
	wildcardTail  = ">" // matches one token or more, last only
)

// ValidateSubject checks a subject to publish to: NATS tokens separated by dots,
// none empty, without wildcards, white space or control characters
// (https://docs.nats.io/nats-concepts/subjects).
func ValidateSubject(s string) error {
	if err := validatePattern(s); err != nil {
		return err
	}
	if !IsLiteral(s) {
		return fmt.Errorf("subject %q contains a wildcard: only a filter may", s)
	}
	return nil
}

// validatePattern checks a subject that may contain the wildcards * and >.
func validatePattern(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("subject is empty")
	case len(s) > MaxSubjectLen:
		return fmt.Errorf("subject has %d bytes: %d are allowed", len(s), MaxSubjectLen)
	case !utf8.ValidString(s):
		return fmt.Errorf("subject %q is not UTF-8", s)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("subject %q contains white space or a control character", s)
	}
	rest, more := s, true
	for more {
		var token string
		token, rest, more = strings.Cut(rest, tokenSep)
		if token == "" {
			return fmt.Errorf("subject %q has an empty token: tokens are separated by single dots", s)
		}
		if token == wildcardTail && more {
			return fmt.Errorf("subject %q has %q before its end: it is allowed as the last token only", s, wildcardTail)
		}
	}
	return nil
}

// IsLiteral reports whether the valid subject s has no wildcard token.
func IsLiteral(s string) bool {
	for token := range strings.SplitSeq(s, tokenSep) {
		if token == wildcardToken || token == wildcardTail {
			return false
		}
	}
	return true
}

// hasTail reports whether the valid subject s ends in the wildcard >.
func hasTail(s string) bool {
	return s == wildcardTail || strings.HasSuffix(s, tokenSep+wildcardTail)
}

// covers reports whether every subject that matches pattern inner matches
// pattern outer too. A literal subject is a pattern that matches itself.
func covers(outer, inner string) bool {
	for {
		o, outerRest, outerMore := strings.Cut(outer, tokenSep)
		i, innerRest, innerMore := strings.Cut(inner, tokenSep)
		switch {
		case o == wildcardTail:
			return true
		case i == wildcardTail, o != wildcardToken && o != i:
			return false
		case outerMore != innerMore:
			return false
		case !outerMore:
			return true
		}
		outer, inner = outerRest, innerRest
	}
}

// Overlap reports whether some subject matches both patterns.
func Overlap(a, b string) bool {
	for {
		at, aRest, aMore := strings.Cut(a, tokenSep)
		bt, bRest, bMore := strings.Cut(b, tokenSep)
		switch {
		case at == wildcardTail || bt == wildcardTail:
			return true
		case at != bt && at != wildcardToken && bt != wildcardToken, aMore != bMore:
			return false
		case !aMore:
			return true
		}
		a, b = aRest, bRest
	}
}

// Within reports whether every subject that matches the pattern matches one of the
// allowed patterns too.
//
// A wildcard stands for infinitely many tokens, some of which are in no allowed
// pattern: what covers one of these covers all. So one allowed pattern has to cover
// the whole, unless the pattern ends in >: subjects of different lengths may then
// have different ones (a.> lies within a.* and a.*.> together).
func Within(pattern string, allowed []string) bool {
	for most := maxTokens(allowed); ; {
		if coveredByOne(pattern, allowed) {
			return true
		}
		if !hasTail(pattern) || strings.Count(pattern, tokenSep) >= most {
			return false
		}
		head := strings.TrimSuffix(pattern, wildcardTail)
		if !coveredByOne(head+wildcardToken, allowed) {
			return false
		}
		pattern = head + wildcardToken + tokenSep + wildcardTail
	}
}

func coveredByOne(pattern string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool { return covers(a, pattern) })
}

// maxTokens returns the number of tokens in the longest pattern.
func maxTokens(patterns []string) int {
	most := 0
	for _, p := range patterns {
		most = max(most, strings.Count(p, tokenSep)+1)
	}
	return most
}
