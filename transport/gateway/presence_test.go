package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// presenceAnswer is the answer of /v1/presence.
type presenceAnswer struct {
	Subject string
	Count   int
	Present []struct {
		Identity string
		Since    time.Time
	}
	LastEventID string `json:"last_event_id"`
}

func (a presenceAnswer) names() []string {
	names := []string{}
	for _, m := range a.Present {
		names = append(names, m.Identity)
	}
	return names
}

func (r *rig) presence(subject string, header ...string) (a presenceAnswer) {
	r.t.Helper()
	r.await("who is there to be known", func() bool {
		res, text := r.do(http.MethodGet, "/v1/presence?subject="+subject, "", header...)
		if res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "" {
			return false
		}
		a = presenceAnswer{}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&a); err != nil || res.StatusCode != http.StatusOK {
			r.t.Fatalf("%s: %s: %v", res.Status, text, err)
		}
		return true
	})
	return a
}

// as is the header of an identity that may do everything on rooms, presence included.
func as(t *testing.T, identity string) (name, value string) {
	t.Helper()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": identity, "exp": inAMinute().Unix(),
		"ringcast": map[string][]string{"subscribe": {"events.>", "events.$presence.>"}, "publish": {"events.>"}},
	}).SignedString([]byte(tokenSecret))
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization", "Bearer " + signed
}

// follower keeps who is there from a position on, as a client would.
type follower struct {
	sub   *subscriber
	there map[string]bool
	last  string
}

// follow opens the events of presence on the subject after what the gateway says is
// there.
func (r *rig) follow(subject string, header ...string) *follower {
	r.t.Helper()
	at := r.presence(subject, header...)
	f := &follower{there: map[string]bool{}, last: at.LastEventID}
	for _, m := range at.Present {
		f.there[m.Identity] = true
	}
	f.resume(r, subject, header...)
	return f
}

func (f *follower) resume(r *rig, subject string, header ...string) {
	r.t.Helper()
	f.sub = r.subscribe("subject="+strings.Replace(subject, "events.", "events.$presence.", 1), append(header, "Last-Event-ID", f.last)...)
}

// until reads events until these are there, by name. Nobody comes twice or leaves twice.
func (f *follower) until(want ...string) {
	t := f.sub.t
	t.Helper()
	for {
		names := []string{}
		for name := range f.there {
			names = append(names, name)
		}
		if slices.Sort(names); slices.Equal(names, want) {
			return
		}
		m := f.sub.next()
		var e struct {
			Identities []string
			Count      int
		}
		if err := json.Unmarshal(m.Data, &e); err != nil || m.Type != "join" && m.Type != "leave" {
			t.Fatalf("%+v: %v", m, err)
		}
		for _, identity := range e.Identities {
			if join := m.Type == "join"; join == f.there[identity] {
				t.Errorf("%s of %s, who is already", m.Type, identity)
			} else if join {
				f.there[identity] = true
			} else {
				delete(f.there, identity)
			}
		}
		if e.Count != len(f.there) {
			t.Errorf("count is %d, but there are %d", e.Count, len(f.there))
		}
		f.last = m.LastEventID
	}
}

// Who follows sees everybody come and go, over both gateways, a resume included; and
// what it sees adds up to what a gateway says.
func TestPresence(t *testing.T) {
	const room = "events.room.42"
	a, secret := accessRig(t, "", met("a"))
	b := a.beside("b", func(o *rigOptions) { o.gateway.Access, o.gateway.TicketKey = accessOf(t, secret, ""), ticketKey })
	watcher := func() (string, string) { return as(t, "watcher") }
	h, v := watcher()
	f := a.follow(room, h, v)
	enter := func(r *rig, identity string) *subscriber {
		h, v := as(t, identity)
		s := r.subscribe("subject="+room, h, v)
		s.primed()
		return s
	}
	ann, bob := enter(a, "ann"), enter(b, "bob")
	f.until("ann", "bob")
	again := enter(a, "ann")
	ann.close()
	enter(b, "moves")
	f.until("ann", "bob", "moves")
	f.sub.close() // and misses what follows
	bob.close()
	enter(a, "cat")
	a.await("bob to leave", func() bool { return slices.Equal(a.presence(room, h, v).names(), []string{"ann", "cat", "moves"}) })
	f.resume(b, room, h, v)
	f.until("ann", "cat", "moves")
	again.close()
	f.until("cat", "moves")
	for _, r := range []*rig{a, b} {
		r.await("the gateway to say the same", func() bool {
			at := r.presence(room, h, v)
			return at.Count == 2 && slices.Equal(at.names(), []string{"cat", "moves"})
		})
	}
	if at := a.presence(room+"&limit=1", h, v); at.Count != 2 || !slices.Equal(at.names(), []string{"cat"}) {
		t.Errorf("%+v", at)
	}
}

// Presence is for who is granted it by name, and told of by gateways alone.
func TestPresence_Access(t *testing.T) {
	r, _ := accessRig(t, "subscribe events.>", met("a"))
	name, wide := subscribing(t, inAMinute(), "events.>", ">")
	_, narrow := subscribing(t, inAMinute(), "events.$presence.room.42")
	for _, tc := range []struct {
		path, token string
		want        int
	}{
		{"/v1/stream?subject=events.$presence.room.42&limit=1", wide, http.StatusForbidden},
		{"/v1/stream?subject=events.room.42&subject=events.$presence.%3E&limit=1", wide, http.StatusForbidden},
		{"/v1/stream?subject=events.$presence.room.42&limit=1", narrow, http.StatusOK},
		{"/v1/stream?subject=events.$presence.room.*&limit=1", narrow, http.StatusForbidden},
		{"/v1/stream?subject=events.%3E&limit=1", wide, http.StatusOK},
		{"/v1/presence?subject=events.room.42", wide, http.StatusForbidden},
		{"/v1/presence?subject=events.room.42", narrow, http.StatusOK},
		{"/v1/presence?subject=events.room.43", narrow, http.StatusForbidden},
		{"/v1/presence?subject=events.other", narrow, http.StatusBadRequest},
		{"/v1/presence?subject=events.room.*", narrow, http.StatusBadRequest},
		{"/v1/presence?subject=events.room.42&limit=0", narrow, http.StatusBadRequest},
		{"/v1/presence?subject=events.room.42&of=me", narrow, http.StatusBadRequest},
		{"/v1/presence", narrow, http.StatusBadRequest},
	} {
		r.await(tc.path, func() bool {
			res, body := r.do(http.MethodGet, tc.path, "", name, tc.token, "Accept", "application/json")
			if res.StatusCode == http.StatusServiceUnavailable {
				return false // not read yet
			}
			if res.StatusCode != tc.want {
				t.Errorf("%s: %s, want %d: %s", tc.path, res.Status, tc.want, body)
			}
			return true
		})
	}
	// Whoever reads everything is told of everything but presence.
	all := r.subscribe("subject=events.%3E", name, wide)
	all.primed()
	h, ann := as(t, "ann")
	r.subscribe("subject=events.room.42", h, ann).primed()
	f := r.follow("events.room.42", h, ann)
	f.until("ann")
	r.publish("events.room.42", "hello")
	if m := all.next(); string(m.Data) != "hello" {
		t.Errorf("got %s", m.Data)
	}
	if p := r.page("subject=events.%3E&from=oldest", name, wide); !slices.Equal(p.data(), []string{"hello"}) {
		t.Errorf("a page has %q", p.data())
	}
	if p := r.page("subject=events.%3E&from=last", name, wide); !slices.Equal(p.data(), []string{"hello"}) {
		t.Errorf("the last values are %q", p.data())
	}
	if res, body := r.do(http.MethodPost, "/v1/publish/events.$presence.room.42", "{}", h, ann); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "gateways' own") {
		t.Errorf("%s: %s", res.Status, body)
	}
}

// Where presence is not configured there is no such call, and a stream that has ended,
// or was refused, leaves nobody behind.
func TestPresence_none(t *testing.T) {
	r := newRig(t)
	if res, body := r.do(http.MethodGet, "/v1/presence?subject=events.room.42", ""); res.StatusCode != http.StatusNotFound || !strings.Contains(body, "no presence") {
		t.Errorf("%s: %s", res.Status, body)
	}
	a, _ := accessRig(t, "", met("a"))
	h, ann := as(t, "ann")
	a.publish("events.room.7", "", "Ringcast-End", "true")
	if res, _ := a.do(http.MethodGet, "/v1/stream?subject=events.room.7", "", h, ann); res.StatusCode != http.StatusNoContent {
		t.Error(res.Status)
	}
	var streams []*subscriber
	for n := range 3 {
		s := a.subscribe(fmt.Sprintf("subject=events.room.42&subject=events.room.%d", n), h, ann)
		s.primed()
		streams = append(streams, s)
	}
	a.await("ann", func() bool { return a.presence("events.room.42", h, ann).Count == 1 })
	for _, s := range streams {
		s.close()
	}
	a.await("nobody", func() bool { return a.presence("events.room.42", h, ann).Count == 0 })
	if at := a.presence("events.room.7", h, ann); at.Count != 0 {
		t.Errorf("%+v", at)
	}
}
