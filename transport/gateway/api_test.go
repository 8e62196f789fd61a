package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ringcast/broker"
	"ringcast/transport/gateway"
)

func TestPage(t *testing.T) {
	r := newRig(t)
	r.publishMany("events.x", 250)
	r.publish("events.y", "other", "Ringcast-Event", "add")

	t.Run("one after the other", func(t *testing.T) {
		var got []string
		query := "from=oldest"
		for range 4 {
			p := r.page("subject=events.x&" + query)
			got = append(got, p.data()...)
			query = "last_event_id=" + p.LastEventID
		}
		if diff := cmp.Diff(numbers(0, 250), got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if p := r.page("subject=events.x&" + query); len(p.Events) != 0 || p.LastEventID != r.hub.Head().String() {
			t.Errorf("after the last: %+v", p)
		}
	})
	t.Run("an event", func(t *testing.T) {
		p := r.page("subject=events.y&from=oldest")
		e := p.Events[0]
		if len(p.Events) != 1 || e.Subject != "events.y" || e.Type != "add" || *e.Data != "other" || e.Time != r.hub.Head().Time().Format(time.RFC3339Nano) {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("now is where the next page begins", func(t *testing.T) {
		p := r.page("subject=events.y")
		if len(p.Events) != 0 || p.LastEventID != r.hub.Head().String() {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("the header wins", func(t *testing.T) {
		head := r.hub.Head().String()
		if p := r.page("subject=events.>&last_event_id=0-0", "Last-Event-ID", head); len(p.Events) != 0 {
			t.Errorf("got %d events", len(p.Events))
		}
	})
	t.Run("long poll", func(t *testing.T) {
		answer := make(chan pageAnswer)
		go func() { answer <- r.page("subject=events.late&wait=20s") }()
		r.await("the request to wait", func() bool { return r.hub.Subscriptions() == 1 })
		r.publish("events.x", "other")
		id := r.publish("events.late", "late")
		if p := <-answer; len(p.Events) != 1 || p.Events[0].ID != id.String() || p.LastEventID != id.String() {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("long poll in vain", func(t *testing.T) {
		if p := r.page("subject=events.late&wait=10ms"); len(p.Events) != 0 {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("as POST", func(t *testing.T) {
		res, body := r.do(http.MethodPost, "/v1/stream", `{"subject":["events.y"],"from":"oldest","limit":5}`,
			"Accept", "application/json", "Content-Type", "application/json; charset=utf-8")
		if res.StatusCode != http.StatusOK || !strings.Contains(body, `"data":"other"`) || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s", res.Status, body)
		}
	})
}

// A page is bounded by bytes too, and loses nothing at the edge.
func TestPage_Large(t *testing.T) {
	r := newRig(t)
	for i := range 8 {
		r.publish("events.x", fmt.Sprint(i)+strings.Repeat(".", 1<<20-1))
	}
	var got []string
	p := r.page("subject=events.x&from=oldest")
	if len(p.Events) < 4 || len(p.Events) > 5 {
		t.Errorf("%d events of 1 MiB in one page", len(p.Events))
	}
	for len(p.Events) > 0 {
		for _, data := range p.data() {
			got = append(got, data[:1])
		}
		p = r.page("subject=events.x&last_event_id=" + p.LastEventID)
	}
	if diff := cmp.Diff(numbers(0, 8), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPublish(t *testing.T) {
	r := newRig(t)
	s := r.subscribe("subject=events.>&format=cloudevents")
	s.primed()
	publish := func(t *testing.T, path, body string, header ...string) (answer struct {
		ID        string
		Duplicate bool
	}) {
		t.Helper()
		res, text := r.do(http.MethodPost, "/v1/publish/"+path, body, header...)
		if err := json.Unmarshal([]byte(text), &answer); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %v", res.Status, text, err)
		}
		return answer
	}
	t.Run("stored", func(t *testing.T) {
		a := publish(t, "events.a%2Fb.ü", "x", "Ringcast-Event", "add")
		m := s.next()
		if m.LastEventID != a.ID || m.Type != "add" || a.Duplicate || !strings.Contains(string(m.Data), `"subject":"events.a/b.ü"`) {
			t.Errorf("answered %+v, got %+v", a, m)
		}
		if id, err := broker.ParseID(a.ID); err != nil || id.Stamp == broker.NoStamp {
			t.Errorf("id %q: %v", a.ID, err)
		}
	})
	t.Run("once for one key", func(t *testing.T) {
		first := publish(t, "events.k", "x", "Idempotency-Key", "k-1")
		second := publish(t, "events.k", "x", "Idempotency-Key", "k-1")
		if second.ID != first.ID || !second.Duplicate || first.Duplicate {
			t.Errorf("first %+v, second %+v", first, second)
		}
		s.next()
		after := publish(t, "events.k", "y")
		if m := s.next(); m.LastEventID != after.ID {
			t.Errorf("got %+v", m)
		}
	})
	t.Run("a duplicate that has left the ring", func(t *testing.T) {
		first := publish(t, "events.old", "x", "Idempotency-Key", "k-2")
		s.next()
		if err := r.ring.Reset(r.hub.Head()); err != nil {
			t.Fatal(err)
		}
		if second := publish(t, "events.old", "x", "Idempotency-Key", "k-2"); second.ID != first.ID {
			t.Errorf("first %+v, second %+v", first, second)
		}
	})
	t.Run("the end", func(t *testing.T) {
		publish(t, "events.e", "", "Ringcast-End", "true")
		if res, _ := r.do(http.MethodGet, "/v1/stream?subject=events.e", ""); res.StatusCode != http.StatusNoContent {
			t.Errorf("stream of an ended subject: %s", res.Status)
		}
	})
}

// Whatever is refused names the field and what is allowed.
func TestRefusals(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.gateway.PublishMaxBytes = 10 })
	many := strings.Repeat("subject=events.a&", 1001)
	for _, tc := range []struct {
		method, path, body string
		header             []string
		status             int
		field              string // of errors, empty for none
		says               []string
	}{
		{"GET", "/v1/stream", "", nil, 400, "subject", []string{"no subject"}},
		{"GET", "/v1/stream?" + many, "", nil, 400, "subject", []string{"1001", "1000"}},
		{"GET", "/v1/stream?subject=other.x", "", nil, 400, "subject", []string{"other.x", "events.>"}},
		{"GET", "/v1/stream?subject=>", "", nil, 400, "subject", []string{"events.>"}},
		{"GET", "/v1/stream?subject=$JS.API.>", "", nil, 400, "subject", []string{"$JS.API.>"}},
		{"GET", "/v1/stream?subject=events..x", "", nil, 400, "subject", []string{"empty token"}},
		{"GET", "/v1/stream?subject=events.%3E.x", "", nil, 400, "subject", []string{"last token"}},
		{"GET", "/v1/stream?subject=events.a%20b", "", nil, 400, "subject", []string{"white space"}},
		{"GET", "/v1/stream?subject=events.x&from=yesterday", "", nil, 400, "from", []string{"yesterday", "RFC 3339"}},
		{"GET", "/v1/stream?subject=events.x&format=xml", "", nil, 400, "format", []string{"xml", "cloudevents"}},
		{"GET", "/v1/stream?subject=events.x&bookmarks=yes", "", nil, 400, "bookmarks", []string{"yes", "block"}},
		{"GET", "/v1/stream?subject=events.x&type=a%0Ab", "", nil, 400, "type", []string{"control character"}},
		{"GET", "/v1/stream?subject=events.x&conflate=1", "", nil, 400, "conflate", []string{"10ms to 1m"}},
		{"GET", "/v1/stream?subject=events.x&conflate=9ms", "", nil, 400, "conflate", []string{"10ms to 1m"}},
		{"GET", "/v1/stream?subject=events.x&conflate=2m", "", nil, 400, "conflate", []string{"10ms to 1m"}},
		{"GET", "/v1/stream?subject=events.x&conflate=1s&type=a", "", nil, 400, "conflate", []string{"type"}},
		{"GET", "/v1/stream?subject=events.x&limit=0", "", nil, 400, "limit", []string{"1 to 1000"}},
		{"GET", "/v1/stream?subject=events.x&limit=x", "", nil, 400, "limit", []string{"1 to 1000"}},
		{"GET", "/v1/stream?subject=events.x&from=now&from=oldest", "", nil, 400, "from", []string{"2 times"}},
		{"GET", "/v1/stream?subject=events.x&wait=2h", "", nil, 400, "wait", []string{"1m"}},
		{"GET", "/v1/stream?subject=events.x&form=last", "", nil, 400, "form", []string{"no parameter", "from"}},
		{"POST", "/v1/stream", `{"subject":"events.x","form":"last"}`, []string{"Content-Type", "application/json"}, 400, "form", []string{"no parameter", "from"}},
		{"POST", "/v1/stream", `{"subject":5}`, []string{"Content-Type", "application/json"}, 400, "subject", []string{"number", "a string or a list"}},
		{"POST", "/v1/stream", `{"subject":["events.x",5]}`, []string{"Content-Type", "application/json"}, 400, "subject", []string{"other things", "a string or a list"}},
		{"POST", "/v1/stream", `{"subject":"events.x","limit":"5"}`, []string{"Content-Type", "application/json"}, 400, "limit", []string{"string", "whole number"}},
		{"POST", "/v1/stream", `["events.x"]`, []string{"Content-Type", "application/json"}, 400, "body", []string{"array", "an object"}},
		{"POST", "/v1/stream", `{`, []string{"Content-Type", "application/json"}, 400, "body", nil},
		{"POST", "/v1/stream", `{}{}`, []string{"Content-Type", "application/json"}, 400, "body", []string{"more than one"}},
		{"POST", "/v1/stream", `{}}`, []string{"Content-Type", "application/json"}, 400, "body", []string{"more than one"}},
		{"POST", "/v1/stream", `subject=x`, []string{"Content-Type", "text/plain"}, 415, "", []string{"application/json"}},
		{"POST", "/v1/stream", strings.Repeat(" ", 300<<10), []string{"Content-Type", "application/json"}, 413, "", []string{"262144"}},
		{"POST", "/v1/publish/other.x", "x", nil, 400, "subject", []string{"other.x", "events.>"}},
		{"POST", "/v1/publish/events.*", "x", nil, 400, "subject", []string{"wildcard"}},
		{"POST", "/v1/publish/events.x", "12345678901", nil, 413, "", []string{"10 bytes"}},
		{"POST", "/v1/publish/events.x", "x", []string{"Ringcast-Event", "ringcast.gap"}, 400, "Ringcast-Event", []string{"reserved"}},
		{"POST", "/v1/publish/events.x", "x", []string{"Ringcast-End", "yes"}, 400, "Ringcast-End", []string{"true"}},
		{"POST", "/v1/publish/events.x", "x", []string{"Idempotency-Key", strings.Repeat("k", 257)}, 400, "Idempotency-Key", []string{"256"}},
		{"POST", "/v1/publish/events.x", "x", []string{"Idempotency-Key", "a b"}, 400, "Idempotency-Key", []string{"ASCII"}},
		{"POST", "/v1/publish/events.x", "x", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403, "", []string{"evil.example"}},
		{"GET", "/v1/nothing", "", nil, 404, "", nil},
		{"GET", "/v1/publish/events.x", "", nil, 404, "", nil},
	} {
		t.Run(tc.method+" "+tc.path[:min(len(tc.path), 60)]+" "+strings.Join(tc.header, " ")[:min(len(strings.Join(tc.header, " ")), 40)], func(t *testing.T) {
			res, body := r.do(tc.method, tc.path, tc.body, tc.header...)
			var p struct {
				Type, Title, Detail string
				Status              int
				Errors              []struct{ Field, Detail string }
			}
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatalf("%s %s: %v", res.Status, body, err)
			}
			if res.StatusCode != tc.status || p.Status != tc.status || res.Header.Get("Content-Type") != "application/problem+json" || p.Title == "" {
				t.Errorf("%s %s", res.Status, body)
			}
			for _, words := range tc.says {
				if !strings.Contains(p.Detail, words) {
					t.Errorf("detail %q does not say %q", p.Detail, words)
				}
			}
			if tc.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tc.field) {
				t.Errorf("errors %+v, want one of %s", p.Errors, tc.field)
			}
		})
	}
	if head := r.hub.Head(); head.Seq != 0 {
		t.Errorf("something that was refused was stored: head is %s", head)
	}
}

func TestCORS(t *testing.T) {
	const app, other = "https://app.example", "https://other.example"
	subdomains := []string{"https://*.app.example"}
	preflight := []string{"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "last-event-id"}
	for _, tc := range []struct {
		name        string
		allowed     []string
		origin      string
		want        string
		credentials string
	}{
		{"named", []string{app}, app, app, "true"},
		{"not named", []string{app}, other, "", ""},
		{"any", []string{"*"}, other, "*", ""},
		{"a subdomain", subdomains, "https://a-1.b.app.example", "https://a-1.b.app.example", "true"},
		{"not the domain itself", subdomains, app, "", ""},
		{"not another one that ends like it", subdomains, "https://evilapp.example", "", ""},
		{"not one that has it before the end", subdomains, "https://evil.example/.app.example", "", ""},
		{"not one of another scheme", subdomains, "http://a.app.example", "", ""},
		{"not one of another port", subdomains, "https://a.app.example:8443", "", ""},
		{"not null", subdomains, "null", "", ""},
		{"none configured", nil, app, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(o *rigOptions) { o.gateway.CORSOrigins = tc.allowed })
			res, _ := r.do(http.MethodOptions, "/v1/stream", "", append([]string{"Origin", tc.origin}, preflight...)...)
			checkCORS(t, "preflight", res, tc.want, tc.credentials)
			headers := strings.ToLower(res.Header.Get("Access-Control-Allow-Headers"))
			for _, name := range []string{"last-event-id", "authorization", "traceparent", "tracestate"} {
				if tc.want != "" && !strings.Contains(headers, name) {
					t.Errorf("%s is not among the allowed headers %q", name, headers)
				}
			}
			s := r.subscribe("subject=events.x", "Origin", tc.origin)
			checkCORS(t, "stream", s.res, tc.want, tc.credentials)
			if vary := strings.Join(s.res.Header.Values("Vary"), ", "); tc.want == app && !strings.Contains(vary, "Origin") {
				t.Errorf("Vary: %q", vary)
			}
			post, _ := r.do(http.MethodPost, "/v1/publish/events.x", "x", "Origin", tc.origin, "Sec-Fetch-Site", "cross-site")
			if allowed := post.StatusCode == http.StatusOK; allowed != (tc.want != "") {
				t.Errorf("cross-origin publish: %s", post.Status)
			}
		})
	}
}

func checkCORS(t *testing.T, what string, res *http.Response, origin, credentials string) {
	t.Helper()
	if got := res.Header.Get("Access-Control-Allow-Origin"); got != origin {
		t.Errorf("%s allows origin %q, want %q", what, got, origin)
	}
	if got := res.Header.Get("Access-Control-Allow-Credentials"); got != credentials {
		t.Errorf("%s allows credentials %q, want %q", what, got, credentials)
	}
}

func TestStatus(t *testing.T) {
	r := newRig(t, func(o *rigOptions) {
		o.gateway.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page "+r.URL.Path) })
	})
	id := r.publish("events.x", "1")
	s := r.subscribe("subject=events.x")
	s.primed()
	r.await("the stream to be counted", func() bool { return r.streams() == 1 })
	_, text := r.do(http.MethodGet, "/v1/status", "")
	var status gateway.Status
	if err := json.Unmarshal([]byte(text), &status); err != nil || status.HeadID != id || status.Stream != stream || !status.NATS.Connected {
		t.Errorf("%s: %v", text, err)
	}
	s.close()
	r.await("the stream to be forgotten", func() bool { return r.streams() == 0 })
	if res, body := r.do(http.MethodGet, "/readyz", ""); res.StatusCode != http.StatusOK || !strings.Contains(body, `"ready":true`) {
		t.Errorf("%s %s", res.Status, body)
	}
	if res, body := r.do(http.MethodGet, "/some/page", ""); body != "page /some/page" {
		t.Errorf("%s %s", res.Status, body)
	}
	if err := r.server.Shutdown(context.Background()); err != nil || !r.server.Draining() {
		t.Errorf("shutdown: %v", err)
	}
}

// A subject in the path is what it is however its bytes were encoded.
func TestPublish_EncodedSubject(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"events.caf%C3%A9", "events.caf%c3%a9", "events.café", "events.caf%C3%A9%2Fbar", "events.100%25"} {
		if res, body := r.do(http.MethodPost, "/v1/publish/"+path, "x"); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
	var subjects []string
	for _, e := range r.page("subject=" + esc("events.>") + "&from=oldest").Events {
		subjects = append(subjects, e.Subject)
	}
	want := []string{"events.café", "events.café", "events.café", "events.café/bar", "events.100%"}
	if !slices.Equal(subjects, want) {
		t.Errorf("stored under %q, want %q", subjects, want)
	}
}
