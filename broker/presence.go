package broker

import "strings"

// PresenceToken is the second token of the subjects on which gateways tell who is
// connected to what: the events of events.room.42 have theirs on
// events.$presence.room.42.
//
// Nobody sees them by a wildcard: in a [Filter] only a subject that names the token
// matches it, as * in a shell leaves out the files whose names begin with a dot. So
// whoever may read, and does read, events.> is neither told nor bothered.
const PresenceToken = "$presence"

// PresenceSubject returns the subject, or pattern, on which the presence of the given
// one is told. A first token > stands for itself and what follows: for > it is
// *.$presence.>.
func PresenceSubject(pattern string) string {
	first, rest, more := strings.Cut(pattern, tokenSep)
	if first == wildcardTail {
		first, rest, more = wildcardToken, wildcardTail, true
	}
	if !more {
		return first + tokenSep + PresenceToken
	}
	return first + tokenSep + PresenceToken + tokenSep + rest
}

// PresenceOf returns the subject whose presence is told on the given one; ok is false
// for any that does not name the token.
func PresenceOf(subject string) (of string, ok bool) {
	first, rest, _ := strings.Cut(subject, tokenSep)
	second, rest, more := strings.Cut(rest, tokenSep)
	switch {
	case second != PresenceToken:
		return "", false
	case !more:
		return first, true
	}
	return first + tokenSep + rest, true
}

// NamesPresence reports whether the second token of a subject or pattern is
// PresenceToken.
func NamesPresence(subject string) bool {
	i := strings.IndexByte(subject, tokenSep[0])
	if i < 0 || !strings.HasPrefix(subject[i+1:], PresenceToken) {
		return false
	}
	rest := subject[i+1+len(PresenceToken):]
	return rest == "" || rest[0] == tokenSep[0]
}
