package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"ringcast/transport/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// do sends one request to the handler and returns the answer with its body read.
func do(t *testing.T, method, target string, header http.Header) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, r)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	return res, string(body)
}

// assets returns the URL paths of what the page loads, by extension.
func assets(t *testing.T, page string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?:src|href)="\.(/[^"]+)(\.\w+)"`).FindAllStringSubmatch(page, -1) {
		found[m[2]] = m[1] + m[2]
	}
	return found
}

// pages are the URL paths of the pages.
var pages = []string{"/", "/ticker", "/notifications", "/chat"}

func TestHandler_page(t *testing.T) {
	for _, target := range pages {
		t.Run(target, func(t *testing.T) { testPage(t, target) })
	}
}

func testPage(t *testing.T, target string) {
	res, page := do(t, http.MethodGet, target, nil)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("GET %s = %d %q", target, res.StatusCode, res.Header.Get("Content-Type"))
	}
	if got := res.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control of %s = %q: a page that is not asked for anew names the last release's assets", target, got)
	}

	found := assets(t, page)
	for ext, want := range map[string]string{
		".js":  "text/javascript; charset=utf-8",
		".css": "text/css; charset=utf-8",
		".svg": "image/svg+xml",
	} {
		res, body := do(t, http.MethodGet, found[ext], nil)
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != want || body == "" {
			t.Errorf("GET %s (the page's %s) = %d %q, %d bytes; want 200 %q", found[ext], ext,
				res.StatusCode, res.Header.Get("Content-Type"), len(body), want)
		}
	}
}

func TestHandler_caching(t *testing.T) {
	_, page := do(t, http.MethodGet, "/", nil)
	script := assets(t, page)[".js"]

	t.Run("a hashed asset is kept for ever", func(t *testing.T) {
		res, _ := do(t, http.MethodGet, script, nil)
		if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("Cache-Control of %s = %q", script, got)
		}
	})
	for _, target := range []string{"/", script} {
		t.Run("an unchanged file is a 304 "+target, func(t *testing.T) {
			first, _ := do(t, http.MethodGet, target, nil)
			again, body := do(t, http.MethodGet, target, http.Header{"If-None-Match": {first.Header.Get("ETag")}})
			if again.StatusCode != http.StatusNotModified || body != "" {
				t.Errorf("GET with its own ETag = %d, %d bytes", again.StatusCode, len(body))
			}
			changed, _ := do(t, http.MethodGet, target, http.Header{"If-None-Match": {`"of another release"`}})
			if changed.StatusCode != http.StatusOK {
				t.Errorf("GET with another ETag = %d", changed.StatusCode)
			}
		})
	}
}

func TestHandler_refuses(t *testing.T) {
	for _, target := range []string{"/nothing", "/assets/", "/assets", "/index.html", "/index", "/ticker.html", "/ticker/", "/web.go", "/../web.go", "/v1/stream"} {
		if res, _ := do(t, http.MethodGet, target, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s = %d; want 404", target, res.StatusCode)
		}
	}
	res, _ := do(t, http.MethodPost, "/", nil)
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST / = %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
	res, body := do(t, http.MethodHead, "/", nil)
	if res.StatusCode != http.StatusOK || body != "" || res.Header.Get("Content-Length") == "" {
		t.Errorf("HEAD / = %d, %d bytes, Content-Length %q", res.StatusCode, len(body), res.Header.Get("Content-Length"))
	}
}

// The page shows what producers wrote: nothing of it may run.
func TestHandler_policy(t *testing.T) {
	for _, target := range []string{"/", "/nothing"} {
		res, _ := do(t, http.MethodGet, target, nil)
		policy := res.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("policy of %s = %q; want %q in it", target, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe-") {
			t.Errorf("policy of %s = %q allows something unsafe", target, policy)
		}
		if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("X-Content-Type-Options of %s = %q", target, got)
		}
	}
	for _, target := range pages {
		_, page := do(t, http.MethodGet, target, nil)
		if inline := regexp.MustCompile(`<script(?:\s[^>]*)?>[^<]|<style|\sstyle=|\son\w+=`).FindString(page); inline != "" {
			t.Errorf("%s has something inline, which its policy forbids: %q", target, inline)
		}
		if other := regexp.MustCompile(`(?:src|href)="(?:https?:)?//[^"]*"`).FindString(page); other != "" {
			t.Errorf("%s loads from another origin: %q", target, other)
		}
		if absolute := regexp.MustCompile(`(?:src|href)="/[^"]*"`).FindString(page); absolute != "" {
			t.Errorf("%s cannot be served below a path prefix: %q", target, absolute)
		}
	}
}
