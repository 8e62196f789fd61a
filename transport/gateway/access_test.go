package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ringcast/transport/access"
)

const (
	tokenSecret = "the secret of tokens has 32 bytes or more"
	newSecret   = "another secret, which takes its place one day"
)

// accessRig is a gateway that takes tokens signed with the secret in the file, and
// looks at it often.
func accessRig(t *testing.T, anonymous string, change ...func(*rigOptions)) (r *rig, secretFile string) {
	t.Helper()
	secretFile = filepath.Join(t.TempDir(), "secret")
	writeFile(t, secretFile, tokenSecret)
	return newRig(t, append(change, func(o *rigOptions) {
		o.gateway.Access, o.gateway.TicketKey = accessOf(t, secretFile, anonymous), ticketKey
	})...), secretFile
}

// accessOf returns a policy that takes tokens signed with the secret in the file.
func accessOf(t *testing.T, secretFile, anonymous string) *access.Policy {
	t.Helper()
	opts := access.Options{Keys: access.SecretFile(secretFile), Refresh: 10 * time.Millisecond}
	if anonymous != "" {
		rule, err := access.ParseRule(anonymous)
		if err != nil {
			t.Fatal(err)
		}
		opts.Anonymous = access.Rules{rule}
	}
	policy, err := access.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); policy.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return policy
}

// writeFile puts the text in the file's place at once, as one that is read meanwhile
// must be exchanged.
func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// token grants an action on a pattern until a time.
func token(t *testing.T, secret string, expires time.Time, grants map[string][]string) string {
	t.Helper()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "ann", "exp": float64(expires.UnixMilli()) / 1000, "ringcast": grants,
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func subscribing(t *testing.T, expires time.Time, patterns ...string) (name, value string) {
	return "Authorization", "Bearer " + token(t, tokenSecret, expires, map[string][]string{"subscribe": patterns})
}

func inAMinute() time.Time { return time.Now().Add(time.Minute) }

// Replay is authorised as live is, and a page as a stream.
func TestAccess(t *testing.T) {
	r, _ := accessRig(t, "subscribe events.public.>")
	r.publish("events.a", "secret")
	grants := func(action string, patterns ...string) string {
		return "Bearer " + token(t, tokenSecret, inAMinute(), map[string][]string{action: patterns})
	}
	old := "Bearer " + token(t, tokenSecret, time.Now().Add(-time.Minute), map[string][]string{"subscribe": {">"}})
	forged := "Bearer " + token(t, newSecret, inAMinute(), map[string][]string{"subscribe": {">"}, "publish": {">"}, "admin": {">"}})
	for _, tc := range []struct {
		name, authorization  string
		method, path, body   string
		status               int
		challenge, says, not string
	}{
		{"no token", "", "GET", "/v1/stream?subject=events.a&from=oldest", "", 401, "Bearer", "a token is needed", "secret"},
		{"what everybody may", "", "GET", "/v1/stream?subject=events.public.x&limit=1", "", 200, "", "last_event_id", ""},
		{"more than everybody may", "", "GET", "/v1/stream?subject=events.public.x&subject=events.a", "", 401, "Bearer", "events.a", "secret"},
		{"granted", grants("subscribe", "events.a"), "GET", "/v1/stream?subject=events.a&from=oldest", "", 200, "", "secret", ""},
		{"what everybody may, with a token", grants("subscribe", "events.a"), "GET", "/v1/stream?subject=events.public.x&limit=1", "", 200, "", "last_event_id", ""},
		{"not granted", grants("subscribe", "events.b"), "GET", "/v1/stream?subject=events.a&from=oldest", "", 403, "", "does not grant", "secret"},
		{"a wildcard around it", grants("subscribe", "events.a"), "GET", "/v1/stream?subject=events.*&from=oldest", "", 403, "", "events.*", "secret"},
		{"by POST", grants("subscribe", "events.b"), "POST", "/v1/stream", `{"subject":"events.a","from":"oldest"}`, 403, "", "does not grant", "secret"},
		{"publishing is another grant", grants("publish", ">"), "GET", "/v1/stream?subject=events.a&from=oldest", "", 403, "", "does not grant", "secret"},
		{"expired", old, "GET", "/v1/stream?subject=events.a&from=oldest", "", 401, `error="invalid_token"`, "expired", "secret"},
		{"expired, for what everybody may", old, "GET", "/v1/stream?subject=events.public.x", "", 401, `error="invalid_token"`, "expired", ""},
		{"forged", forged, "GET", "/v1/stream?subject=events.a", "", 401, `error="invalid_token"`, "signature", "secret"},
		{"in the URL", "", "GET", "/v1/stream?subject=events.a&access_token=" + strings.TrimPrefix(grants("subscribe", ">"), "Bearer "), "", 400, "", "access_token", ""},
		{"publish", grants("publish", "events.b.*"), "POST", "/v1/publish/events.b.c", "x", 200, "", `"id"`, ""},
		{"publish elsewhere", grants("publish", "events.b.*"), "POST", "/v1/publish/events.b", "x", 403, "", "does not grant", ""},
		{"publish as everybody", "", "POST", "/v1/publish/events.public.x", "x", 401, "Bearer", "a token is needed", ""},
		{"publish forged", forged, "POST", "/v1/publish/events.b.c", "x", 401, `error="invalid_token"`, "signature", ""},
		{"ticket", grants("subscribe", "events.a"), "POST", "/v1/tickets", `{"subject":"events.>"}`, 403, "", "does not grant", ""},
		{"ticket without a token", "", "POST", "/v1/tickets", `{"subject":"events.a"}`, 401, "Bearer", "a token is needed", ""},
		{"status", grants("subscribe", ">"), "GET", "/v1/status", "", 403, "", "does not grant", "counters"},
		{"status without a token", "", "GET", "/v1/status", "", 401, "Bearer", "a token is needed", "counters"},
		{"status for an operator", grants("admin", "status"), "GET", "/v1/status", "", 200, "", "counters", ""},
		{"health for everybody", "", "GET", "/healthz", "", 200, "", "", ""},
		{"health for everybody, without a body", "", "HEAD", "/healthz", "", 200, "", "", ""},
		{"readiness for everybody, without a body", "", "HEAD", "/readyz", "", 200, "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			header := []string{"Accept", "application/json", "Content-Type", "application/json"}
			if tc.authorization != "" {
				header = append(header, "Authorization", tc.authorization)
			}
			res, body := r.do(tc.method, tc.path, tc.body, header...)
			if res.StatusCode != tc.status || !strings.Contains(res.Header.Get("WWW-Authenticate"), tc.challenge) || !strings.Contains(body, tc.says) {
				t.Errorf("%s, challenge %q: %s", res.Status, res.Header.Get("WWW-Authenticate"), body)
			}
			if tc.not != "" && strings.Contains(body, tc.not) {
				t.Errorf("has %q in it: %s", tc.not, body)
			}
		})
	}
}

// cutOff reads to the end of a stream, which must not look like the subject's end: a
// client would not come back.
func cutOff(t *testing.T, s *subscriber) {
	t.Helper()
	for {
		if _, err := s.dec.Next(); err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error("the stream ended cleanly")
			}
			if errors.Is(err, context.DeadlineExceeded) {
				t.Error("the stream was not cut")
			}
			return
		}
	}
}

func TestAccess_Expires(t *testing.T) {
	r, _ := accessRig(t, "")
	first := r.publish("events.a", "1")
	// A second is what tokens are counted in.
	expires := time.Now().Add(2 * time.Second).Truncate(time.Second)
	name, value := subscribing(t, expires, "events.a")
	s := r.subscribe("subject=events.a&from=oldest", append([]string{name, value}, browser...)...)
	if m := s.next(); m.LastEventID != first.String() {
		t.Fatalf("%+v", m)
	}
	cutOff(t, s)
	if time.Now().Before(expires) {
		t.Error("cut before the token had expired")
	}
	second := r.publish("events.a", "2")
	if res, _ := r.do(http.MethodGet, "/v1/stream?subject=events.a", "", name, value, "Last-Event-ID", first.String()); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old token: %s", res.Status)
	}
	name, value = subscribing(t, inAMinute(), "events.a")
	if m := r.subscribe("subject=events.a", name, value, "Last-Event-ID", first.String()).next(); m.LastEventID != second.String() {
		t.Errorf("resumed with %+v, want %s", m, second)
	}
}

// A stream that a ticket opened lasts no longer than the token that the ticket was
// asked for with, and the ticket no longer either.
func TestAccess_TicketExpires(t *testing.T) {
	r, _ := accessRig(t, "", func(o *rigOptions) { o.gateway.TicketTTL = time.Hour })
	r.publish("events.a", "1")
	name, value := subscribing(t, time.Now().Add(2*time.Second).Truncate(time.Second), "events.a")
	res, body := r.do(http.MethodPost, "/v1/tickets", `{"subject":"events.a","from":"oldest"}`, "Content-Type", "application/json", name, value)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, body)
	}
	_, path, _ := strings.Cut(body, `"url":"`)
	path, _, _ = strings.Cut(path, `"`)
	s := r.open(r.request(http.MethodGet, path, "", browser...))
	if m := s.next(); string(m.Data) != "1" {
		t.Fatalf("%+v", m)
	}
	cutOff(t, s)
	if res, body := r.do(http.MethodGet, path, ""); res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "expired") {
		t.Errorf("the ticket afterwards: %s %s", res.Status, body)
	}
}

// Who lost the key has lost every stream that it opened.
func TestAccess_Revoked(t *testing.T) {
	r, secretFile := accessRig(t, "subscribe events.public.>")
	r.publish("events.a", "1")
	name, value := subscribing(t, inAMinute(), ">")
	s := r.subscribe("subject=events.a&from=oldest", name, value)
	s.read(1)
	everybody := r.subscribe("subject=events.public.x")
	everybody.primed()
	writeFile(t, secretFile, newSecret)
	cutOff(t, s)
	r.publish("events.public.x", "still there")
	if got := everybody.read(1); got[0] != "still there" {
		t.Errorf("%q", got)
	}
}

func TestStream_Lifetime(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.gateway.StreamLifetime = 500 * time.Millisecond })
	s := r.subscribe("subject=events.a", browser...)
	id := s.primed()
	cutOff(t, s)
	next := r.publish("events.a", "1")
	if m := r.subscribe("subject=events.a", append([]string{"Last-Event-ID", id}, browser...)...).next(); m.LastEventID != next.String() {
		t.Errorf("%+v, want %s", m, next)
	}
}
