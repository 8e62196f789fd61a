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

	"ringcast/replay"
	"ringcast/transport/gateway"
	"ringcast/transport/peers"
	"ringcast/transport/presence"
)

// met has the gateway know others on its NATS server by the name, and tell presence.
func met(name string) func(*rigOptions) {
	return func(o *rigOptions) { o.name, o.presence = name, []string{"events.room.*"} }
}

// meet makes what the gateway knows others by.
func (r *rig) meet(o *gateway.Options) {
	r.t.Helper()
	if r.opts.name == "" {
		return
	}
	o.Peers = peers.New(peers.Options{
		Conn: r.client.Core(), Stream: stream, Name: r.opts.name, Beat: 20 * time.Millisecond, Gone: 300 * time.Millisecond,
	})
	var err error
	if o.Presence, err = presence.New(presence.Options{
		Patterns: r.opts.presence, Hub: r.hub, Log: r.ring, History: r.history, Publisher: r.client, Peers: o.Peers,
		Grace: 300 * time.Millisecond, Interval: 10 * time.Millisecond,
	}); err != nil {
		r.t.Fatal(err)
	}
	r.peers = o.Peers
}

// mingle makes the gateway known to the others, until it has stopped.
func (r *rig) mingle(o gateway.Options) {
	if o.Peers != nil {
		r.background(func(ctx context.Context) { _ = o.Peers.Run(ctx) })
		r.background(o.Presence.Run)
	}
}

func (r *rig) background(run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.onStop(func() { cancel(); <-done })
	go func() { defer close(done); run(ctx) }()
}

// beside returns a second gateway on the same NATS server.
func (r *rig) beside(name string, change ...func(*rigOptions)) *rig {
	r.t.Helper()
	return newRig(r.t, append(change, met(name), func(o *rigOptions) { o.nats = r.embedded })...)
}

// subscriptionsAnswer is the answer of /v1/subscriptions.
type subscriptionsAnswer struct {
	Time          time.Time
	Total         int
	Subscriptions []gateway.Subscription
	Instances     []struct {
		Instance          string
		Streams, Matching int
	}
	Missing []string
}

func (r *rig) subscriptions(query string, header ...string) (a subscriptionsAnswer) {
	r.t.Helper()
	res, text := r.do(http.MethodGet, "/v1/subscriptions?"+query, "", header...)
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %s: %v", res.Status, text, err)
	}
	return a
}

// instances returns the answer's instances as "name matching/streams", sorted.
func (a subscriptionsAnswer) instances() (all []string) {
	for _, i := range a.Instances {
		all = append(all, fmt.Sprintf("%s %d/%d", i.Instance, i.Matching, i.Streams))
	}
	slices.Sort(all)
	return all
}

func TestSubscriptions(t *testing.T) {
	before := time.Now()
	r := newRig(t)
	ann := r.subscribe("subject=events.a&subject=events.b.%3E&type=add&format=cloudevents")
	ann.primed()
	id := r.publish("events.x", "matches nobody")
	a := r.subscriptions("")
	if a.Total != 1 || len(a.Subscriptions) != 1 || len(a.Missing) != 0 || !slices.Equal(a.instances(), []string{" 1/1"}) {
		t.Fatalf("%+v", a)
	}
	s := a.Subscriptions[0]
	if !slices.Equal(s.Subjects, []string{"events.a", "events.b.>"}) || !slices.Equal(s.Types, []string{"add"}) ||
		s.Format != "cloudevents" || s.Address != "127.0.0.1" || s.Identity != "" || s.Since.Before(before.Add(-time.Second)) || s.Since.After(a.Time) {
		t.Errorf("%+v", s)
	}
	carrier := "taken_over"
	if r.over.protocol != "" {
		carrier = "net_http"
	}
	if s.Carrier != carrier {
		t.Errorf("carried by %s, want %s", s.Carrier, carrier)
	}
	// What matched nobody leaves nobody behind.
	if s.Behind != 0 || s.Position != id.Seq {
		t.Errorf("at %d, %d behind, want %d and none", s.Position, s.Behind, id.Seq)
	}
	id = r.publish("events.a", "x", "Ringcast-Event", "add")
	ann.next()
	r.await("the position to be the event's", func() bool { return r.subscriptions("").Subscriptions[0].Position == id.Seq })
	ann.close()
	r.await("the stream that has ended not to be there", func() bool { return r.subscriptions("").Total == 0 })
}

func TestSubscriptions_filters(t *testing.T) {
	r, _ := accessRig(t, "subscribe >")
	operator := "Bearer " + token(t, tokenSecret, inAMinute(), map[string][]string{"admin": {"subscriptions"}})
	name, ann := subscribing(t, inAMinute(), ">")
	for _, subject := range []string{"events.a.1", "events.a.2", "events.b.*", "events.%3E"} {
		r.subscribe("subject="+subject, name, ann).primed()
	}
	r.subscribe("subject=events.a.1").primed()
	for query, want := range map[string]int{
		"": 5, "subject=events.a.1": 3, "subject=events.a.*": 4, "subject=events.b.7": 2, "subject=events.%3E": 5, "subject=other": 0,
		"subject=events.$presence.a": 0, "identity=ann": 4, "identity=": 1, "identity=bob": 0, "subject=events.a.1&identity=ann": 2,
		"limit=2": 5,
	} {
		a := r.subscriptions(query, "Authorization", operator)
		if shown := want; a.Total != want || (query == "limit=2" && len(a.Subscriptions) != 2) || (query != "limit=2" && len(a.Subscriptions) != shown) {
			t.Errorf("%q: %d shown of %d, want %d", query, len(a.Subscriptions), a.Total, want)
		}
	}
	for query, says := range map[string]string{
		"limit=0": "limit", "limit=1001": "limit", "limit=x": "limit", "subject=a..b": "subject", "sub=x": "sub", "identity=a&identity=b": "identity",
	} {
		if res, body := r.do(http.MethodGet, "/v1/subscriptions?"+query, "", "Authorization", operator); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, says) {
			t.Errorf("%q: %s: %s", query, res.Status, body)
		}
	}
	if res, _ := r.do(http.MethodGet, "/v1/subscriptions", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", res.Status)
	}
	other := "Bearer " + token(t, tokenSecret, inAMinute(), map[string][]string{"admin": {"status"}})
	if res, _ := r.do(http.MethodGet, "/v1/subscriptions", "", "Authorization", other); res.StatusCode != http.StatusForbidden {
		t.Errorf("without the grant: %s", res.Status)
	}
}

// One gateway tells of all, and of those that do not answer.
func TestSubscriptions_peers(t *testing.T) {
	a := newRig(t, met("a"))
	b := a.beside("b")
	a.subscribe("subject=events.a").primed()
	for range 3 {
		b.subscribe("subject=events.b").primed()
	}
	a.await("both to know each other", func() bool { return len(a.peers.View().Peers) == 1 && len(b.peers.View().Peers) == 1 })
	for _, r := range []*rig{a, b} {
		all := r.subscriptions("")
		if all.Total != 4 || len(all.Subscriptions) != 4 || len(all.Missing) != 0 || !slices.Equal(all.instances(), []string{"a 1/1", "b 3/3"}) {
			t.Errorf("%+v", all)
		}
		some := r.subscriptions("subject=events.b&limit=2")
		if some.Total != 3 || len(some.Subscriptions) != 2 || !slices.Equal(some.instances(), []string{"a 0/1", "b 3/3"}) || some.Subscriptions[0].Instance != "b" {
			t.Errorf("%+v", some)
		}
	}
	b.client.Core().Close() // silent, and not gone yet
	all := a.subscriptions("")
	if all.Total != 1 || !slices.Equal(all.Missing, []string{"b"}) {
		t.Errorf("%+v", all)
	}
	a.await("b to be gone", func() bool { return len(a.peers.View().Peers) == 0 })
	if all := a.subscriptions(""); all.Total != 1 || len(all.Missing) != 0 {
		t.Errorf("%+v", all)
	}
}

// A client that does not read is seen to be behind, first of all.
func TestSubscriptions_behind(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.ring = replay.Options{MaxEvents: 100_000} })
	r.subscribe("subject=events.quiet").primed()
	slow := r.subscribe("subject=events.%3E")
	slow.primed()
	large := strings.Repeat("x", 64<<10)
	last := uint64(0)
	r.await("the one that does not read to be behind", func() bool {
		last = r.publish("events.a", large).Seq
		all := r.subscriptions("").Subscriptions
		return all[0].Behind > 0 && all[0].Position+all[0].Behind >= last && all[1].Behind == 0 && slices.Equal(all[1].Subjects, []string{"events.quiet"})
	})
}
