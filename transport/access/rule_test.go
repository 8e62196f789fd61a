package access_test

import (
	"strings"
	"testing"

	"ringcast/transport/access"
)

func TestParseRule(t *testing.T) {
	for _, text := range []string{"subscribe events.notify.{sub}.>", "publish events.chat", "subscribe >", "admin metrics", "admin >", "admin {role}", "subscribe events.{https://example.com/team}.user-{sub}"} {
		if r, err := access.ParseRule(text); err != nil || r.String() != text {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
	for text, says := range map[string]string{
		"":                          "does not begin",
		"subscribe":                 "does not begin",
		"read events.a":             "does not begin",
		"subscribe ":                "does not begin",
		"subscribe events..a":       "empty token",
		"subscribe events.{}":       "brace",
		"subscribe events.{sub":     "brace",
		"subscribe events.{a b}":    "brace",
		"subscribe events.>.{sub}":  "before its end",
		"subscribe events.a events": "white space",
		"admin metric":              "there are status, subscriptions, metrics",
	} {
		if r, err := access.ParseRule(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v; want an error that says %q", text, r, err, says)
		}
	}
}

// What a rule grants is what its author meant, whatever a claim has in it.
func TestRules(t *testing.T) {
	p := policy(t, access.Options{
		Rules: access.Rules{
			must(access.ParseRule("subscribe events.notify.{sub}.>")),
			must(access.ParseRule("subscribe events.team.{teams}.{level}")),
			must(access.ParseRule("publish events.from.user-{sub}")),
		},
		Anonymous: access.Rules{must(access.ParseRule("subscribe events.public.>"))},
	})
	for name, tc := range map[string]struct {
		claims  []any
		granted []string
		denied  []string
	}{
		"text":          {[]any{"sub", "ann"}, []string{"events.notify.ann.x", "events.public.a"}, []string{"events.notify.bob.x", "events.notify.ann", "events.from.user-ann"}},
		"wildcard":      {[]any{"sub", "*"}, []string{"events.public.a"}, []string{"events.notify.ann.x", "events.notify.*.x"}},
		"tail":          {[]any{"sub", ">"}, nil, []string{"events.notify.ann.x", "events.notify.>"}},
		"two tokens":    {[]any{"sub", "ann.x"}, nil, []string{"events.notify.ann.x.y"}},
		"empty":         {[]any{"sub", ""}, nil, []string{"events.notify.ann.x"}},
		"none":          {[]any{"sub", nil}, []string{"events.public.a"}, []string{"events.notify.ann.x"}},
		"space":         {[]any{"sub", "a b"}, nil, []string{"events.notify.a.x"}},
		"line end":      {[]any{"sub", "a\r\n"}, nil, []string{"events.notify.a.x"}},
		"another claim": {[]any{"sub", "{teams}", "teams", "ann"}, nil, []string{"events.notify.ann.x"}},
		"lists":         {[]any{"teams", []any{"a", "b", "c.d", 7}, "level", []int{1, 2}}, []string{"events.team.a.1", "events.team.b.2", "events.team.7.1"}, []string{"events.team.c.1", "events.team.a.3", "events.team.*.1"}},
		"one is none":   {[]any{"teams", "a", "level", nil}, nil, []string{"events.team.a.1"}},
		"not whole":     {[]any{"teams", "a", "level", 1.5}, nil, []string{"events.team.a.1", "events.team.a.1.5"}},
		"an object":     {[]any{"teams", map[string]any{"a": 1}, "level", 1}, nil, []string{"events.team.a.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			id := accepted(t, p, signed(claims(append(tc.claims, "ringcast", nil)...)))
			for _, s := range tc.granted {
				if err := maySubscribe(t, id, s); err != nil {
					t.Error(err)
				}
			}
			for _, s := range tc.denied {
				if maySubscribe(t, id, s) == nil {
					t.Errorf("may subscribe to %s", s)
				}
			}
		})
	}
	id := accepted(t, p, signed(claims("sub", "ann")))
	if err := id.MayPublish("events.from.user-ann"); err != nil {
		t.Error(err)
	}
	if id.MayPublish("events.from.user-bob") == nil || id.MayPublish("events.notify.ann.x") == nil {
		t.Error("may publish as others")
	}
	many := make([]any, 1001)
	for i := range many {
		many[i] = i
	}
	rejected(t, p, signed(claims("teams", many, "level", many)), "grants")
}
