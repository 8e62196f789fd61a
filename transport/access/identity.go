package access

import (
	"time"

	"ringcast/broker"
)

// Identity is who makes a request, and what it may do.
type Identity struct {
	// Subject is the token's sub, empty where it has none or there is no token.
	Subject string
	// Expires is when the token does; zero without a token.
	Expires time.Time

	key    *verifyKey // which verified the token; nil without one
	grants grants
	ticket bool // made by Ticket
}

// Anonymous reports whether the request had no token.
func (id *Identity) Anonymous() bool { return id.key == nil }

// MayPublish returns nil when publishing to the literal subject is granted, and a
// *DeniedError otherwise.
func (id *Identity) MayPublish(subject string) error { return id.may(Publish, subject) }

// MayAsk returns nil when asking on the literal subject is granted, and a *DeniedError
// otherwise.
func (id *Identity) MayAsk(subject string) error { return id.may(Ask, subject) }

// MayAdmin returns nil when the operator's call of this name is granted, and a
// *DeniedError otherwise.
func (id *Identity) MayAdmin(call string) error { return id.may(Admin, call) }

func (id *Identity) may(action Action, subjects ...string) error {
	if s, missing := id.grants.missing(action, subjects...); missing {
		return &DeniedError{Action: action, Subject: s, Anonymous: id.Anonymous()}
	}
	return nil
}

// Ticket returns the identity of somebody who was found to be allowed to subscribe to
// this filter, and no more.
func Ticket(subject string, expires time.Time, f broker.Filter) *Identity {
	return &Identity{Subject: subject, Expires: expires, grants: grants{Subscribe: f.Subjects()}, ticket: true}
}

// Holder returns the identity without what it was granted: what is worth keeping for
// as long as a stream lasts.
func (id *Identity) Holder() *Identity {
	return &Identity{Subject: id.Subject, Expires: id.Expires, key: id.key}
}
