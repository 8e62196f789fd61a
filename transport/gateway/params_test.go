package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

var served = []string{"events.>"}

func TestWantsPage(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                  false,
		"*/*":               false,
		"text/event-stream": false,
		"text/html,application/xhtml+xml,*/*;q=0.8":                false,
		"application/json":                                         true,
		"Application/JSON; charset=utf-8":                          true,
		"application/json, text/event-stream":                      true,
		"text/event-stream, application/json":                      false,
		"text/event-stream;q=0.5, application/json":                true,
		"application/json;q=0.5, text/event-stream;q=0.9":          false,
		"application/json;q=0, text/event-stream;q=0":              false,
		"application/json;q=rubbish":                               false,
		"application/problem+json, text/event-stream, */*;q=0.1":   false,
		"application/json, text/plain, */*":                        true, // axios
		"text/event-stream, application/json;q=0.9, */*;q=0.1,,;;": false,
	} {
		if got := wantsPage(accept); got != want {
			t.Errorf("wantsPage(%q) = %t", accept, got)
		}
	}
}

// FuzzQueryParams: any query is refused with a field named, or understood.
func FuzzQueryParams(f *testing.F) {
	for _, q := range []string{
		"subject=events.a&subject=events.*&from=last&type=add,finish&format=cloudevents",
		"subject=events.>&from=5m&lastEventId=12-z&bookmarks=line&limit=10&wait=30s&conflate=1s",
		"subject=events.a&from=2026-01-02T03:04:05Z&last_event_id=%00",
		"subject=a&limit=-1&wait=1h&format=x&bookmarks=y&from=z&typ=1",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return // net/http gives the handler what could be read
		}
		raw, err := queryParams(values)
		checkParams(t, raw, err)
	})
}

// FuzzBodyParams: the same for bodies.
func FuzzBodyParams(f *testing.F) {
	for _, b := range []string{
		`{"subject":"events.a","type":["add"],"limit":5,"wait":"1s"}`,
		`{"subject":["events.a","events.>"],"from":"oldest","last_event_id":"0-0"}`,
		`{"subject":1}`, `{"subject":["a",1]}`, `[]`, `{}{}`, `{"subjects":["a"]}`, "",
	} {
		f.Add(b)
	}
	e := echo.New()
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/stream", strings.NewReader(body))
		r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
		raw, err := bodyParams(e.NewContext(r, httptest.NewRecorder()))
		if err == nil && body != "" && !json.Valid([]byte(strings.TrimSpace(body))) {
			t.Fatalf("%q was accepted", body)
		}
		checkParams(t, raw, err)
	})
}

// checkParams checks what the reading of parameters promises.
func checkParams(t *testing.T, raw streamParams, err error) {
	var req streamRequest
	if err == nil {
		req, err = raw.request(time.Unix(0, 0), served)
	}
	if err != nil {
		p, _ := problemOf(err)
		if p.Status < 400 || p.Status > 499 || p.Detail == "" {
			t.Fatalf("%v became %+v", err, p)
		}
		for _, e := range p.Errors {
			if e.Field == "" && e.Detail == "" {
				t.Fatalf("an error without a name: %+v", p)
			}
		}
		return
	}
	if req.limit < 1 || req.limit > maxLimit || req.wait < 0 || req.wait > maxWait {
		t.Fatalf("out of bounds: %+v", req)
	}
	if req.Conflate != 0 && (req.Conflate < minConflate || req.Conflate > maxConflate || len(req.Filter.Types()) > 0) {
		t.Fatalf("conflate out of bounds: %+v", req)
	}
	if err := req.Filter.Within(served); err != nil || len(req.Filter.Subjects()) == 0 {
		t.Fatalf("outside of what is served: %v", err)
	}
}
