package proxies_test

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// wantProblem checks that an answer is the gateway's own refusal.
func wantProblem(t *testing.T, res *http.Response, status int) {
	t.Helper()
	var problem struct {
		Status int
		Detail string
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err := json.Unmarshal(body, &problem); err != nil || kind != "application/problem+json" || res.StatusCode != status || problem.Status != status {
		t.Errorf("%s, %s: %s; want a problem of status %d", res.Status, kind, body, status)
	}
}

// Who has no token is told so in the gateway's words.
func TestRefusal_Unauthorized(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, "--jwt-secret-file", secret)
	each(t, g.address, asItIs, func(t *testing.T, r route) {
		res := r.client(t, "127.0.0.1").do(t, http.MethodGet, "/v1/stream?subject=events.x", "", eventSource...)
		wantProblem(t, res, http.StatusUnauthorized)
		if got := res.Header.Get("WWW-Authenticate"); got != "Bearer" {
			t.Errorf("WWW-Authenticate: %q", got)
		}
	})
}

// Clients of one proxy count by addresses of their own, which they cannot choose.
func TestRefusal_Address(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--anonymous", "subscribe >", "--trusted-proxies", "127.0.0.1/32", "--max-streams-per-address", "1")
	each(t, g.address, asItIs, func(t *testing.T, r route) {
		from := func(host int) *client { return r.client(t, fmt.Sprintf("127.0.%d.%d", r.number+1, host)) }
		from(2).follow(t, "subject=events.x").await("id: ")
		from(3).follow(t, "subject=events.x").await("id: ")
		for _, claim := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP"} {
			for _, value := range []string{"198.51.100.7", "127.0.0.1", "198.51.100.7, 127.0.0.1", "for=198.51.100.7"} {
				res := from(2).do(t, http.MethodGet, "/v1/stream?subject=events.x", "", append(eventSource, claim, value)...)
				wantProblem(t, res, http.StatusTooManyRequests)
				if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 {
					t.Errorf("Retry-After: %q", res.Header.Get("Retry-After"))
				}
			}
		}
	})
}

// What is long but allowed passes, and what is too long is refused by the one or the other,
// who both go on.
func TestRefusal_TooLarge(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--publish-max-bytes", "100KiB")
	each(t, g.address, asItIs, func(t *testing.T, r route) {
		c := r.client(t, "127.0.0.1")
		subjects := make([]string, 400)
		for i := range subjects {
			subjects[i] = fmt.Sprintf("subject=events.%030d.%d", i, r.number)
		}
		long := strings.Join(subjects, "&")
		if len(long) < 18_000 {
			t.Fatalf("a query of %d bytes", len(long))
		}
		c.follow(t, long).await("id: ")

		wantProblem(t, c.sendLarge(t, "/v1/publish/"+r.subject(), strings.Repeat("x", 200<<10)), http.StatusRequestEntityTooLarge)

		tooLong := strings.Repeat("x", 200<<10)
		for _, req := range []*http.Request{
			newRequest(t, http.MethodGet, "https://"+host+"/v1/stream?subject=events."+tooLong, ""),
			newRequest(t, http.MethodGet, "https://"+host+"/v1/stream?subject=events.x", "", "X-Long", tooLong),
		} {
			res, err := r.client(t, "127.0.0.1").http.Do(req)
			if err != nil {
				continue // the proxy has closed the connection
			}
			defer res.Body.Close()
			if res.StatusCode < 400 || res.StatusCode >= 500 {
				t.Errorf("a request with 200 KiB of URL or headers: %s", res.Status)
			}
		}
		r.client(t, "127.0.0.1").follow(t, "subject=events.x").await("id: ")
	})
}

// A page of the gateway's own origin may publish, which takes that the proxy passes the
// host on; a page of another may not.
func TestRefusal_Origin(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	each(t, g.address, asItIs, func(t *testing.T, r route) {
		c := r.client(t, "127.0.0.1")
		publish := func(origin string) *http.Response {
			return c.do(t, http.MethodPost, "/v1/publish/"+r.subject(), "x", "Origin", origin)
		}
		if own := publish("https://" + host); own.StatusCode != http.StatusOK {
			t.Errorf("from its own page: %s", own.Status)
		}
		wantProblem(t, publish("https://elsewhere.example"), http.StatusForbidden)
	})
}
