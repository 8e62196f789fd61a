package access

import (
	"fmt"
	"slices"
	"strings"

	"ringcast/broker"
)

// Action is what a rule or a grant is about.
type Action string

// The actions. Ask is granted on the subjects of questions, which are no subjects of
// events; that of an operator on names of calls.
const (
	Subscribe Action = "subscribe"
	Publish   Action = "publish"
	Ask       Action = "ask"
	Admin     Action = "admin"
)

var actions = []Action{Subscribe, Publish, Ask, Admin}

// adminCalls are what Admin is granted for.
var adminCalls = []string{"status", "subscriptions", "metrics"}

// checkAdmin refuses a pattern that grants none of them: it would be a misspelt one.
func checkAdmin(pattern string) error {
	if slices.ContainsFunc(adminCalls, func(call string) bool { return broker.Overlap(pattern, call) }) {
		return nil
	}
	return fmt.Errorf("%q is no operator's call: there are %s", pattern, strings.Join(adminCalls, ", "))
}

// maxGrants bounds the patterns that one token can grant for one action, as those
// of a filter are.
const maxGrants = broker.MaxFilterSubjects

// grants are the patterns that an identity may use, by action.
type grants map[Action][]string

// newGrants checks the patterns and drops those that others cover.
func newGrants(patterns map[Action][]string) (grants, error) {
	g := make(grants, len(patterns))
	for action, list := range patterns {
		if len(list) == 0 {
			continue
		}
		f, err := broker.NewFilter(list, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", action, err)
		}
		g[action] = f.Subjects()
	}
	return g, nil
}

// missing returns the first of the subjects that can match something not granted.
// Presence (see broker.PresenceToken) is granted by patterns that name it alone: who
// may read what is said in a room need not know who is there.
func (g grants) missing(action Action, subjects ...string) (subject string, ok bool) {
	for _, s := range subjects {
		granted := g[action]
		if broker.NamesPresence(s) {
			granted = slices.DeleteFunc(slices.Clone(granted), func(p string) bool { return !broker.NamesPresence(p) })
		}
		if !broker.Within(s, granted) {
			return s, true
		}
	}
	return "", false
}

// DeniedError says what was asked for and is not granted. It does not say what is:
// that is between the client and whoever made its token.
type DeniedError struct {
	Action  Action
	Subject string
	// Anonymous: there was no token, and one might do.
	Anonymous bool
}

func (e *DeniedError) Error() string {
	if e.Anonymous {
		return fmt.Sprintf("a token is needed for %s %q", e.Action, e.Subject)
	}
	return fmt.Sprintf("the token does not grant %s %q", e.Action, e.Subject)
}
