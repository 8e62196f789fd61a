package access

import (
	"fmt"

	"ringcast/broker"
)

// Action is what a rule or a grant is about.
type Action string

// The actions.
const (
	Subscribe Action = "subscribe"
	Publish   Action = "publish"
)

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

// allow returns nil when everything that the subjects can match is granted.
func (g grants) allow(action Action, subjects []string) error {
	for _, s := range subjects {
		if !broker.Within(s, g[action]) {
			return &DeniedError{Action: action, Subject: s}
		}
	}
	return nil
}

// DeniedError says what was asked for and is not granted. It does not say what is:
// that is between the client and whoever made its token.
type DeniedError struct {
	Action  Action
	Subject string
}

func (e *DeniedError) Error() string {
	return fmt.Sprintf("the token does not allow to %s to %q", e.Action, e.Subject)
}
