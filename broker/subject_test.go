package broker_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats-server/v2/server"

	"ringcast/broker"
)

func TestValidateSubject(t *testing.T) {
	longest := strings.Repeat("a", broker.MaxSubjectLen)
	for subject, want := range map[string]string{ // the error holds this; empty for none
		"a":                     "",
		"events.quotes.ACME":    "",
		"größe.😀":               "",
		"a*.b>c.**.>>":          "", // wildcards are whole tokens only
		"$JS.API.INFO":          "",
		longest:                 "",
		longest + "a":           "1025 bytes: 1024",
		"":                      "empty",
		".":                     "empty token",
		".a":                    "empty token",
		"a.":                    "empty token",
		"a..b":                  "empty token",
		"a b":                   "white space",
		"a\tb":                  "white space",
		"a\r\nPUB x 1":          "white space",
		"a\x00b":                "control character",
		"a\x7f":                 "control character",
		"a\xff":                 "not UTF-8",
		"*":                     "wildcard",
		">":                     "wildcard",
		"a.*.b":                 "wildcard",
		"a.>":                   "wildcard",
		"a.>.b":                 "last token only",
		">.a":                   "last token only",
		strings.Repeat(".", 50): "empty token",
	} {
		checkError(t, "ValidateSubject", subject, broker.ValidateSubject(subject), want)
	}
}

// checkError checks that err holds want and quotes what it is about, if that is
// neither empty nor too long to show.
func checkError(t *testing.T, call, about string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s(%.40q): error %v", call, about, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s(%.40q): error %v, want one with %q", call, about, err, want)
	case err != nil && about != "" && len(about) <= 100 && !strings.Contains(err.Error(), strconv.Quote(about)):
		t.Errorf("%s(%.40q): error %v does not quote it", call, about, err)
	}
}

func TestIsLiteral(t *testing.T) {
	for subject, want := range map[string]bool{
		"a": true, "a.b": true, "a*": true, "*a.b": true, ">>": true, "a.b>": true,
		"*": false, ">": false, "a.*": false, "*.a": false, "a.*.b": false, "a.>": false,
	} {
		if got := broker.IsLiteral(subject); got != want {
			t.Errorf("IsLiteral(%q) = %v", subject, got)
		}
	}
}

func TestSubjectWithin(t *testing.T) {
	for _, c := range []struct {
		subject string
		allowed []string
		want    bool
	}{
		{"events.a", []string{"events.>"}, true},
		{"events.a.b", []string{"events.>"}, true},
		{"events", []string{"events.>"}, false}, // > is one token or more
		{"events.>", []string{"events.>"}, true},
		{"events.*", []string{"events.>"}, true},
		{"events.*.>", []string{"events.>"}, true},
		{">", []string{"events.>"}, false},
		{"*.a", []string{"events.>"}, false},
		{"eventsx.a", []string{"events.>"}, false},
		{"Events.a", []string{"events.>"}, false},
		{"a", []string{"*"}, true},
		{"*", []string{"*"}, true},
		{">", []string{"*"}, false},
		{"a.b", []string{"*"}, false},
		{"a.>", []string{"a.*"}, false},
		{"a.*", []string{"a.b"}, false},
		{"x", []string{"a.>", "b", "x"}, true},
		{"x", nil, false},
		{"x", []string{">"}, true},
	} {
		err := broker.SubjectWithin(c.subject, c.allowed)
		if (err == nil) != c.want {
			t.Errorf("%q within %q: %v, want %v", c.subject, c.allowed, err, c.want)
		}
		if err == nil {
			continue
		}
		for _, named := range append([]string{c.subject}, c.allowed...) {
			if !strings.Contains(err.Error(), strconv.Quote(named)) {
				t.Errorf("error %q does not name %q", err, named)
			}
		}
	}
}

// FuzzSubject: what is valid here is what nats-server takes, less what it takes
// and no client may send over its text protocol, or cannot be shown as text.
func FuzzSubject(f *testing.F) {
	for _, s := range []string{"", "a", "a.b", ".", "a..b", "a.*", "a.>", "a.>.b", "*a", "a b", "a\x00", "a\x7f", "\xff", "größe", "\u00a0", strings.Repeat("a", 1025)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown := utf8.ValidString(s) && len(s) <= broker.MaxSubjectLen &&
			!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '\x7f' })
		err := broker.ValidateSubject(s)
		if want := shown && server.IsValidPublishSubject(s); (err == nil) != want {
			t.Errorf("ValidateSubject(%q): %v, nats-server says %v", s, err, want)
		}
		_, err = broker.NewFilter([]string{s}, nil)
		if want := shown && server.IsValidSubject(s); (err == nil) != want {
			t.Errorf("NewFilter(%q): %v, nats-server says %v", s, err, want)
		}
	})
}
