package access

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"ringcast/broker"
)

// Rule grants an action on a pattern of subjects to everybody it is for. The
// pattern may contain claims in braces, whose values take their places:
//
//	subscribe events.notify.{sub}.>
//
// A claim with a list of values stands for each of them.
type Rule struct {
	action  Action
	pattern string
	claims  []string // those named in pattern, each once
}

// claimName is what a rule can name: JSON member names as identity providers use
// them, also URLs ("https://example.com/roles").
var claimName = regexp.MustCompile(`\{([A-Za-z0-9_:/.-]+)\}`)

// ParseRule reads `subscribe PATTERN`, `publish PATTERN`, `ask PATTERN` or `admin PATTERN`.
func ParseRule(text string) (Rule, error) {
	action, pattern, ok := strings.Cut(strings.TrimSpace(text), " ")
	r := Rule{action: Action(action), pattern: strings.TrimSpace(pattern)}
	if !ok || !slices.Contains(actions, r.action) {
		return Rule{}, fmt.Errorf("rule %q does not begin with one of %s and a space", text, actions)
	}
	for _, m := range claimName.FindAllStringSubmatch(r.pattern, -1) {
		if !slices.Contains(r.claims, m[1]) {
			r.claims = append(r.claims, m[1])
		}
	}
	// Any value will do to see whether the rest is a pattern.
	sample := claimName.ReplaceAllLiteralString(r.pattern, "x")
	if strings.ContainsAny(sample, "{}") {
		return Rule{}, fmt.Errorf("rule %q has a brace without a claim's name in it", text)
	}
	if _, err := broker.NewFilter([]string{sample}, nil); err != nil {
		return Rule{}, fmt.Errorf("rule %q: %w", text, err)
	}
	if r.action == Admin && !r.Personal() {
		if err := checkAdmin(r.pattern); err != nil {
			return Rule{}, fmt.Errorf("rule %q: %w", text, err)
		}
	}
	return r, nil
}

// String returns the rule as ParseRule reads it.
func (r Rule) String() string { return string(r.action) + " " + r.pattern }

// Personal reports whether the rule names claims: without a token it grants nothing.
func (r Rule) Personal() bool { return len(r.claims) > 0 }

// expand returns the rule's pattern with the values of its claims. It is empty where
// a claim is missing, or has no value that can stand in a subject.
func (r Rule) expand(claims jwt.MapClaims) []string {
	patterns := []string{r.pattern}
	for _, name := range r.claims {
		var filled []string
		for _, value := range tokenValues(claims[name]) {
			for _, p := range patterns {
				if len(filled) == maxGrants {
					return filled
				}
				filled = append(filled, strings.ReplaceAll(p, "{"+name+"}", value))
			}
		}
		patterns = filled
	}
	return patterns
}

// tokenValues returns what of a claim's value can stand in a subject's token: texts,
// whole numbers, and lists of them. Anything that a subject would be split at, or
// matched by, would reach further than the rule's author meant.
func tokenValues(claim any) []string {
	switch v := claim.(type) {
	case string:
		if v == "" || len(v) > broker.MaxSubjectLen || strings.ContainsAny(v, ".*>{}") || broker.ValidateSubject(v) != nil {
			return nil
		}
		return []string{v}
	case float64: // as encoding/json has numbers; beyond 2^53 they are no longer exact
		if v != float64(int64(v)) || v > 1<<53 || v < -(1<<53) {
			return nil
		}
		return []string{strconv.FormatInt(int64(v), 10)}
	case []any:
		var values []string
		for _, one := range v {
			if _, nested := one.([]any); !nested {
				values = append(values, tokenValues(one)...)
			}
		}
		return values
	}
	return nil
}

// Rules are several rules, as the configuration has them.
type Rules []Rule

// grant returns what the rules grant to the holder of the claims.
func (rules Rules) grant(claims jwt.MapClaims, into map[Action][]string) {
	for _, r := range rules {
		into[r.action] = append(into[r.action], r.expand(claims)...)
	}
}
