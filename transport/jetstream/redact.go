package jetstream

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// redacted stands for credentials wherever this package writes text.
const redacted = "***"

// redactor removes the credentials of a set of URLs from text. nats.go hides
// the password of a URL that it prints itself, but neither a token (which is in
// the place of the user) nor anything in the errors of a URL that does not parse.
type redactor struct {
	secrets []string // longest first, so that none is cut by a shorter one
}

func newRedactor(urls string) redactor {
	var r redactor
	for u := range strings.SplitSeq(urls, ",") {
		r.secrets = append(r.secrets, secretsOf(strings.TrimSpace(u))...)
	}
	r.secrets = slices.DeleteFunc(r.secrets, func(s string) bool { return s == "" })
	slices.SortFunc(r.secrets, func(a, b string) int { return len(b) - len(a) })
	r.secrets = slices.Compact(r.secrets)
	return r
}

// secretsOf returns the user information of a URL in every spelling in which it
// could come back: as written, and decoded. It does not rely on url.Parse, which
// refuses just the URLs whose error text would show them.
func secretsOf(u string) []string {
	if _, rest, ok := strings.Cut(u, "://"); ok {
		u = rest
	}
	at := strings.LastIndexByte(u, '@')
	if at < 0 {
		return nil
	}
	info := u[:at]
	user, password, hasPassword := strings.Cut(info, ":")
	secret := password
	if !hasPassword {
		secret = user // a token
	}
	secrets := []string{info, quoted(info), secret, quoted(secret)}
	if decoded, err := url.PathUnescape(secret); err == nil {
		secrets = append(secrets, decoded, quoted(decoded))
	}
	return secrets
}

// quoted returns s as %q writes it, which errors about URLs do.
func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// text returns s without any of the credentials.
func (r redactor) text(s string) string {
	for _, secret := range r.secrets {
		s = strings.ReplaceAll(s, secret, redacted)
	}
	return s
}

// err returns err with the credentials taken out of its text. What it matches
// with errors.Is stays; it cannot be unwrapped to the text that had them.
func (r redactor) err(err error) error {
	if err == nil {
		return nil
	}
	clean := r.text(err.Error())
	if clean == err.Error() {
		return err
	}
	return redactedError{clean, err}
}

type redactedError struct {
	text  string
	cause error
}

func (e redactedError) Error() string        { return e.text }
func (e redactedError) Is(target error) bool { return errors.Is(e.cause, target) }
