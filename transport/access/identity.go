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
}

// Anonymous reports whether the request had no token.
func (id *Identity) Anonymous() bool { return id.key == nil }

// MaySubscribe returns nil when everything that the filter can match is granted,
// and a *DeniedError otherwise.
func (id *Identity) MaySubscribe(f broker.Filter) error {
	return id.grants.allow(Subscribe, f.Subjects())
}

// MayPublish returns nil when publishing to the literal subject is granted, and a
// *DeniedError otherwise.
func (id *Identity) MayPublish(subject string) error {
	return id.grants.allow(Publish, []string{subject})
}
