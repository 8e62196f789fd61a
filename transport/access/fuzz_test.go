package access_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"ringcast/broker"
	"ringcast/transport/access"
)

// FuzzParseRule: what is accepted reads the same again, and grants a valid pattern or
// nothing.
func FuzzParseRule(f *testing.F) {
	for _, text := range []string{"subscribe events.{sub}.>", "publish a", "admin >", "subscribe {a}{b}.{c:d/e}", "subscribe {", "x y"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := access.ParseRule(text)
		if err != nil {
			return
		}
		again, err := access.ParseRule(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("%q became %q, and that %q, %v", text, r, again, err)
		}
	})
}

// FuzzRule_claim: whatever a claim says, it stands for one token of a subject, so that
// the rule grants nothing beside what its author wrote.
func FuzzRule_claim(f *testing.F) {
	for _, sub := range []string{"42", "a.b", "*", ">", "", "{sub}", "a b", "\r\n", "ä", "\xff", strings.Repeat("x", 2000)} {
		f.Add(sub)
	}
	secret := access.SecretFile(f.TempDir() + "/secret")
	writeSecret(f, secret)
	p, err := access.New(f.Context(), access.Options{Keys: secret, Rules: access.Rules{must(access.ParseRule("subscribe events.{sub}.end"))}})
	if err != nil {
		f.Fatal(err)
	}
	outside := []string{"events.*.end", "events.>", "events.a.b.end", "events.end", ">", "events.x.y"}
	f.Fuzz(func(t *testing.T, sub string) {
		id, err := p.Identify(bearer(signed(claims("sub", sub, "ringcast", nil))))
		if err != nil {
			t.Skip() // what JSON makes of the text is another
		}
		for _, s := range outside {
			if maySubscribe(t, id, s) == nil {
				t.Errorf("sub %q may subscribe to %s", sub, s)
			}
		}
		own := "events." + sub + ".end"
		if maySubscribeTo(id, own) && strings.Count(own, ".") != 2 {
			t.Errorf("sub %q may subscribe to %s", sub, own)
		}
	})
}

func maySubscribeTo(id *access.Identity, subject string) bool {
	filter, err := broker.NewFilter([]string{subject}, nil)
	return err == nil && access.Everybody().MaySubscribe(context.Background(), id, "", filter) == nil
}

// FuzzIdentify: nobody gets in by a token that was not signed here, and no error
// repeats it.
func FuzzIdentify(f *testing.F) {
	good := signed(claims())
	for _, token := range []string{
		"", "a.b.c", "..", good[:len(good)-2], strings.ToUpper(good),
		sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims()),
		sign(jwt.SigningMethodHS512, []byte(secret), claims()),
		sign(jwt.SigningMethodRS256, rsaKey, claims(), "kid", "a"),
	} {
		f.Add(token)
	}
	file := access.SecretFile(f.TempDir() + "/secret")
	writeSecret(f, file)
	p, err := access.New(f.Context(), access.Options{Keys: file})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		r := bearer("")
		r.Header.Set("Authorization", "Bearer "+token)
		id, err := p.Identify(r)
		switch {
		case strings.TrimSpace(token) == "":
			if err != nil || !id.Anonymous() {
				t.Errorf("no token: %+v, %v", id, err)
			}
		case strings.TrimSpace(token) == good:
		case id != nil || !errors.Is(err, access.ErrToken):
			t.Errorf("%q: %+v, %v", token, id, err)
		}
	})
}

func writeSecret(f *testing.F, file access.SecretFile) {
	if err := os.WriteFile(string(file), []byte(secret), 0o600); err != nil {
		f.Fatal(err)
	}
}
