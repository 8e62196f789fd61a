// Package access decides who may subscribe to what and publish what.
//
//	request ── bearer token or cookie ──▶ Policy.Identify ──▶ Identity ──▶ MaySubscribe, MayPublish, MayAdmin
//
// A [Policy] verifies JSON Web Tokens (RFC 7519) of an identity provider, or of
// one's own. What a token grants are subjects: those that its claim names,
//
//	{"sub":"42","exp":…,"ringcast":{"subscribe":["events.notify.42.>"],"publish":[]}}
//
// and those that the operator's rules make of its other claims, so that a plain
// identity provider's token works: `subscribe events.notify.{sub}.>`.
//
// What is promised:
//   - A filter is allowed only if every subject that it can match is granted. A
//     wildcard in a filter never reaches further than the grants do.
//   - The algorithms are those that the operator pinned, never what the token's
//     header asks for (RFC 8725, section 3.1): a public key is no HMAC secret.
//   - A claim's value stands for one token of a subject: one with a dot or a
//     wildcard in it grants nothing.
//   - Where a callout is configured nothing is subscribed to that it has not agreed to.
//   - An error says what a client can mend (no token, expired, not granted) and
//     never repeats a token or a key.
//
// What is not promised: that a token which was withdrawn by its issuer is noticed
// before it expires. Only the key that it was signed with can be taken away (see
// [Policy.Revoked]); let tokens be short-lived.
//
// Concurrency: a Policy may be used by any number of goroutines; an Identity is
// immutable.
package access
