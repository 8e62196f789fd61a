package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	ticketKey = []byte("a key of 32 bytes or a few more.")
	otherKey  = []byte("another key that has 32 bytes too")
)

func ticketRig(t *testing.T, ttl time.Duration) *rig {
	return newRig(t, func(o *rigOptions) { o.gateway.TicketKey, o.gateway.TicketTTL = ticketKey, ttl })
}

// ticket asks for a ticket and returns the URL.
func (r *rig) ticket(params string) string {
	r.t.Helper()
	res, body := r.do(http.MethodPost, "/v1/tickets", params, "Content-Type", "application/json")
	var answer struct {
		URL     string
		Expires time.Time
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %s", res.Status, body)
	}
	if time.Until(answer.Expires) > time.Hour || res.Header.Get("Cache-Control") != "no-store" {
		r.t.Errorf("%+v, %v", answer, res.Header)
	}
	return answer.URL
}

// PROTOCOL.md, "Tickets": what a URL opens that a native EventSource is given.
func TestTicket(t *testing.T) {
	r := ticketRig(t, time.Minute)
	r.publish("events.a", "1")
	second := r.publish("events.a", "2")
	r.publish("events.b", "other")
	path := r.ticket(`{"subject":"events.a","from":"oldest","format":"cloudevents"}`)

	t.Run("opens the stream", func(t *testing.T) {
		s := r.open(r.request(http.MethodGet, path, "", browser...))
		for _, want := range []string{"1", "2"} {
			if m := s.next(); !strings.Contains(string(m.Data), `"subject":"events.a"`) || !strings.Contains(string(m.Data), `"data":`+want) {
				t.Errorf("got %s, want %s", m.Data, want)
			}
		}
	})
	t.Run("and again, from the id that the client has", func(t *testing.T) {
		third := r.publish("events.a", "3")
		for _, s := range []*subscriber{
			r.open(r.request(http.MethodGet, path, "", append([]string{"Last-Event-ID", second.String()}, browser...)...)),
			r.open(r.request(http.MethodGet, path+"&lastEventId="+second.String(), "", browser...)),
			r.open(r.request(http.MethodGet, path+"&last_event_id="+second.String(), "", browser...)),
		} {
			if m := s.next(); m.LastEventID != third.String() {
				t.Errorf("got %+v, want %s", m, third)
			}
		}
	})
	t.Run("on every gateway with the key", func(t *testing.T) {
		r.restart(nil)
		if m := r.open(r.request(http.MethodGet, path, "")).next(); !strings.Contains(string(m.Data), `"data":1`) {
			t.Errorf("got %s", m.Data)
		}
	})
	t.Run("nothing is signed that would be refused", func(t *testing.T) {
		var long []string
		for i := range 8 {
			long = append(long, fmt.Sprintf(`"events.%d%s"`, i, strings.Repeat("x", 900)))
		}
		for body, says := range map[string]string{
			`{"subject":"other.x"}`:                  "other.x",
			`{}`:                                     "no subject",
			`{"subject":"events.a","form":"oldest"}`: "form",
			`{"subject":[` + strings.Join(long, ",") + `]}`: "fewer or shorter",
		} {
			res, text := r.do(http.MethodPost, "/v1/tickets", body, "Content-Type", "application/json")
			if res.StatusCode != http.StatusBadRequest || !strings.Contains(text, says) {
				t.Errorf("%.60s: %s %s", body, res.Status, text)
			}
		}
	})
}

// A ticket that was altered, has expired or was made by somebody else opens nothing.
func TestTicket_Forged(t *testing.T) {
	r := ticketRig(t, time.Minute)
	path := r.ticket(`{"subject":"events.a"}`)
	token := strings.TrimPrefix(path, "/v1/stream?ticket=")
	parts := strings.Split(token, ".")
	encode := base64.RawURLEncoding.EncodeToString
	claims := func(use string, expires time.Time) jwt.MapClaims {
		return jwt.MapClaims{"aud": []string{use}, "exp": expires.Unix(), "stream": map[string]any{"subject": "events.a"}}
	}
	sign := func(method jwt.SigningMethod, key any, c jwt.MapClaims) string {
		t.Helper()
		signed, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	later := time.Now().Add(time.Minute)
	for _, tc := range []struct {
		name, ticket string
		status       int
		says         string
	}{
		{"nothing", "", 401, "not valid"},
		{"rubbish", "a.b.c", 401, "not valid"},
		{"other parameters", parts[0] + "." + encode([]byte(`{"aud":["ringcast.stream"],"exp":9999999999,"stream":{"subject":"events.b"}}`)) + "." + parts[2], 401, "not valid"},
		{"another key", sign(jwt.SigningMethodHS256, otherKey, claims("ringcast.stream", later)), 401, "not valid"},
		{"another algorithm", sign(jwt.SigningMethodHS512, ticketKey, claims("ringcast.stream", later)), 401, "not valid"},
		{"none", sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims("ringcast.stream", later)), 401, "not valid"},
		{"another use", sign(jwt.SigningMethodHS256, ticketKey, claims("login", later)), 401, "not valid"},
		{"without an end", sign(jwt.SigningMethodHS256, ticketKey, jwt.MapClaims{"aud": "ringcast.stream", "stream": map[string]any{"subject": "events.a"}}), 401, "not valid"},
		{"expired", sign(jwt.SigningMethodHS256, ticketKey, claims("ringcast.stream", time.Now().Add(-time.Minute))), 401, "expired"},
		{"other subjects beside it", token + "&subject=events.b", 400, "subject"},
		{"another place to begin", token + "&from=oldest", 400, "from"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, body := r.do(http.MethodGet, "/v1/stream?ticket="+tc.ticket, "")
			if res.StatusCode != tc.status || !strings.Contains(body, tc.says) || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s", res.Status, body)
			}
		})
	}
	t.Run("is signed right otherwise", func(t *testing.T) { // or none of the above says anything
		r.open(r.request(http.MethodGet, "/v1/stream?ticket="+sign(jwt.SigningMethodHS256, ticketKey, claims("ringcast.stream", later)), "")).primed()
	})
}

// Without a key the gateway makes one of its own.
func TestTicket_OwnKey(t *testing.T) {
	r := newRig(t)
	path := r.ticket(`{"subject":"events.a"}`)
	r.open(r.request(http.MethodGet, path, "")).primed()
	r.restart(nil)
	if res, body := r.do(http.MethodGet, path, ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("another process took it: %s %s", res.Status, body)
	}
}
