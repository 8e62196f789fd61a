package gateway_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"ringcast/transport/gateway"
)

func limitRig(t *testing.T, l gateway.Limits) *rig {
	return newRig(t, func(o *rigOptions) { o.gateway.Limits = l })
}

// refused checks that a request for a stream is refused by a limit: before it begins,
// with a time to wait, in words.
func (r *rig) refused(status int, says string, header ...string) {
	r.t.Helper()
	res, body := r.do(http.MethodGet, "/v1/stream?subject=events.a", "", header...)
	wait, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if res.StatusCode != status || !strings.Contains(body, says) || err != nil || wait < 1 || res.Header.Get("Content-Type") != "application/problem+json" {
		r.t.Errorf("%s, Retry-After %q: %s; want %d and %q", res.Status, res.Header.Get("Retry-After"), body, status, says)
	}
}

func TestLimits_Streams(t *testing.T) {
	r := limitRig(t, gateway.Limits{Streams: 2})
	first := r.subscribe("subject=events.a")
	first.primed()
	r.subscribe("subject=events.a", browser...).primed()
	r.refused(http.StatusServiceUnavailable, "2 streams open")
	if n := r.server.Counters().Refusals.Streams; n != 1 {
		t.Errorf("%d refusals counted", n)
	}
	// A page is no stream, but one that is being waited for is as much.
	r.refused(http.StatusServiceUnavailable, "2 streams open", "Accept", "application/json")
	first.close()
	r.await("the seat of a client that left", func() bool {
		res, err := r.http.Do(r.request(http.MethodGet, "/v1/stream?subject=events.a&limit=1", "", "Accept", "application/json"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	for range 5 { // a page leaves its seat, and so does what comes to nothing
		r.page("subject=events.a")
		r.do(http.MethodGet, "/v1/stream?subject=events.a&from=nonsense", "")
	}
	r.publish("events.end", "", "Ringcast-End", "true")
	for range 5 {
		if res, _ := r.do(http.MethodGet, "/v1/stream?subject=events.end", ""); res.StatusCode != http.StatusNoContent {
			t.Fatal(res.Status)
		}
	}
	r.subscribe("subject=events.a").primed()
	r.refused(http.StatusServiceUnavailable, "2 streams open")
}

func TestLimits_StreamsPerIdentity(t *testing.T) {
	r, _ := accessRig(t, "subscribe events.public.>", func(o *rigOptions) { o.gateway.Limits = gateway.Limits{StreamsPerIdentity: 1} })
	name, value := subscribing(t, inAMinute(), "events.a")
	s := r.subscribe("subject=events.a", name, value)
	s.primed()
	r.refused(http.StatusTooManyRequests, "one identity", name, value)
	// Nobody in particular is no identity.
	r.subscribe("subject=events.public.x").primed()
	r.subscribe("subject=events.public.x").primed()
	s.close()
	r.await("the seat of a client that left", func() bool { return r.tryStream(name, value) })
}

// tryStream reports whether a stream can be opened, and closes it.
func (r *rig) tryStream(header ...string) bool {
	r.t.Helper()
	s := r.open(r.request(http.MethodGet, "/v1/stream?subject=events.a", "", header...))
	defer s.close()
	return s.res.StatusCode == http.StatusOK
}

func TestLimits_StreamsPerAddress(t *testing.T) {
	r := newRig(t, func(o *rigOptions) {
		o.gateway.Limits = gateway.Limits{StreamsPerAddress: 1}
		o.gateway.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	})
	from := func(addresses string) []string { return []string{"X-Forwarded-For", addresses} }
	r.subscribe("subject=events.a", from("203.0.113.1")...).primed()
	r.refused(http.StatusTooManyRequests, "one address", from("203.0.113.1")...)
	r.refused(http.StatusTooManyRequests, "one address", from("203.0.113.1, 10.1.2.3")...)
	// What stands before the last address that is no proxy's is the client's own claim.
	r.refused(http.StatusTooManyRequests, "one address", from("198.51.100.7, 203.0.113.1")...)
	r.subscribe("subject=events.a", from("203.0.113.2")...).primed()
	// One client has a whole /64.
	r.subscribe("subject=events.a", from("2001:db8::1")...).primed()
	r.refused(http.StatusTooManyRequests, "one address", from("2001:db8::ffff:1")...)
	r.subscribe("subject=events.a", from("2001:db8:0:1::1")...).primed()

	t.Run("without trusted proxies", func(t *testing.T) {
		r := limitRig(t, gateway.Limits{StreamsPerAddress: 1})
		r.subscribe("subject=events.a", from("203.0.113.1")...).primed()
		r.refused(http.StatusTooManyRequests, "one address", from("203.0.113.2")...)
	})
}

func TestLimits_ConnectRate(t *testing.T) {
	r := limitRig(t, gateway.Limits{ConnectRate: 0.2}) // ten seconds' worth at once: 2
	r.subscribe("subject=events.a").primed()
	r.page("subject=events.a")
	r.refused(http.StatusTooManyRequests, "0.2 streams a second")
	if n := r.server.Counters().Refusals.ConnectRate; n != 1 {
		t.Errorf("%d refusals counted", n)
	}
}

func TestLimits_PublishRate(t *testing.T) {
	r, _ := accessRig(t, "publish events.a", func(o *rigOptions) { o.gateway.Limits = gateway.Limits{PublishRate: 0.1} })
	ann := "Bearer " + token(t, tokenSecret, inAMinute(), map[string][]string{"publish": {"events.a"}})
	publish := func(authorization ...string) int {
		res, _ := r.do(http.MethodPost, "/v1/publish/events.a", "x", authorization...)
		return res.StatusCode
	}
	for i, tc := range []struct {
		header []string
		want   int
	}{
		{nil, 200}, {nil, 429}, // by address
		{[]string{"Authorization", ann}, 200}, {[]string{"Authorization", ann}, 429}, // by identity
	} {
		if got := publish(tc.header...); got != tc.want {
			t.Errorf("publish %d: %d, want %d", i, got, tc.want)
		}
	}
	if head := r.hub.Head().Seq; head != 2 {
		t.Errorf("%d events are stored, want 2", head)
	}
}

func TestLimits_Subjects(t *testing.T) {
	r := limitRig(t, gateway.Limits{Subjects: 2})
	res, body := r.do(http.MethodGet, "/v1/stream?subject=events.a&subject=events.b&subject=events.c", "")
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "at most 2") {
		t.Errorf("%s: %s", res.Status, body)
	}
	if n := r.server.Counters().Refusals.Subjects; n != 1 {
		t.Errorf("%d refusals counted", n)
	}
	r.page("subject=events.a&subject=events.b")
}
