package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/transport/gateway"
	"ringcast/transport/sse"
)

// regionNodes is how many NATS servers a region has.
const regionNodes = 3

// region is a NATS cluster of its own, in this process, with the configuration that
// deploy/regions has for one.
type region struct {
	servers []*natsserver.Server
	// leafnodes are where other regions connect.
	leafnodes []string
}

// startRegion starts the servers of a region, which connect to origins, if any.
func startRegion(t *testing.T, file string, origins []string) *region {
	t.Helper()
	r := &region{}
	clusters := freeAddresses(t, regionNodes)
	r.leafnodes = freeAddresses(t, regionNodes)
	for i := range regionNodes {
		for name, value := range map[string]string{
			"NATS_NAME":      fmt.Sprintf("%s-%d", strings.TrimSuffix(file, ".conf"), i),
			"NATS_LISTEN":    "127.0.0.1:-1",
			"NATS_STORE":     t.TempDir(),
			"NATS_CLUSTER":   clusters[i],
			"NATS_ROUTES":    urlList(clusters),
			"NATS_LEAFNODES": r.leafnodes[i],
			"NATS_ORIGIN":    urlList(origins),
		} {
			t.Setenv(name, strconv.Quote(value))
			if strings.HasPrefix(value, "[") {
				t.Setenv(name, value)
			}
		}
		opts, err := natsserver.ProcessConfigFile(filepath.Join("..", "..", "deploy", "regions", file))
		if err != nil {
			t.Fatal(err)
		}
		opts.NoSigs, opts.NoLog = true, true
		s, err := natsserver.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		s.Start()
		r.servers = append(r.servers, s)
	}
	awaitThat(t, "the cluster of "+file, func() bool { // which only its leader knows
		return slices.ContainsFunc(r.servers, func(s *natsserver.Server) bool {
			return s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == regionNodes
		})
	})
	return r
}

// url is of all servers.
func (r *region) url() string {
	var urls []string
	for _, s := range r.servers {
		urls = append(urls, s.ClientURL())
	}
	return strings.Join(urls, ",")
}

// jetStream connects as whoever looks after the region does.
func (r *region) jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(r.url(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func freeAddresses(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

func urlList(addresses []string) string {
	var urls []string
	for _, a := range addresses {
		urls = append(urls, strconv.Quote("nats://"+a))
	}
	return "[" + strings.Join(urls, ", ") + "]"
}

// awaitThat polls what has no signal of its own.
func awaitThat(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// cable leads to an address, until it is cut.
type cable struct {
	l  net.Listener
	to string

	mu   sync.Mutex // guards what follows; nothing blocks while it is held
	cut  bool
	open map[net.Conn]bool
}

func layCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{l: l, to: to, open: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { c.carry(near) })
		}
	})
	t.Cleanup(func() { l.Close(); c.set(true); running.Wait() })
	return c
}

// set cuts the cable, or mends it.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.open {
		if cut {
			conn.Close()
		}
	}
}

// hold has a connection closed when the cable is cut; it is not ok where it is.
func (c *cable) hold(conn net.Conn) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = true
	return !c.cut
}

func (c *cable) let(conn net.Conn) {
	conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

func (c *cable) carry(near net.Conn) {
	defer c.let(near)
	if !c.hold(near) {
		return
	}
	far, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer c.let(far)
	if !c.hold(far) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(near, far)
		near.Close()
	})
	_, _ = io.Copy(far, near)
	far.Close()
	back.Wait()
}

// regions are two of them: the west has the stream, the east a mirror of it, on which a
// gateway of its own is.
type regions struct {
	west, east         *region
	westGate, eastGate *brokerProcess
	cables             []*cable
}

func startRegions(t *testing.T) *regions {
	t.Helper()
	r := &regions{west: startRegion(t, "origin.conf", nil)}
	var ends []string
	for _, leafnode := range r.west.leafnodes {
		c := layCable(t, leafnode)
		r.cables, ends = append(r.cables, c), append(ends, c.l.Addr().String())
	}
	r.east = startRegion(t, "mirror.conf", ends)
	r.westGate = r.west.serve(t)
	r.eastGate = r.east.serve(t, "--mirror-domain", "west") // which makes the mirror
	return r
}

// serve starts a gateway in the region.
func (r *region) serve(t *testing.T, args ...string) *brokerProcess {
	t.Helper()
	_, ready := serve(t, append([]string{"--nats-url", r.url(), "--data-dir", t.TempDir(), "--stream-replicas", "3"}, args...)...)
	return &brokerProcess{t: t, ready: ready}
}

// setCut cuts the east off from the west, or connects it again.
func (r *regions) setCut(cut bool) {
	for _, c := range r.cables {
		c.set(cut)
	}
}

// publishAt publishes the numbers from first to last over HTTP and returns their ids.
func (b *brokerProcess) publishAt(subject string, first, last int) []string {
	b.t.Helper()
	return commandWith(b.t, strings.NewReader(numbers(first, last)), "pub", subject, "--lines", "--url", b.ready.URL)
}

// wantFrom follows a subject after an id, which is to give the numbers from first to last
// and nothing before or between them, and returns their ids.
func (b *brokerProcess) wantFrom(subject, id string, first, last int) []string {
	b.t.Helper()
	f := b.follow(url.Values{"subject": {subject}, "last_event_id": {id}})
	defer f.close()
	return f.want(first, last, "")
}

// publishOnce publishes an event and returns how that was answered.
func (b *brokerProcess) publishOnce(subject string) (status int) {
	b.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Post(b.ready.URL+"v1/publish/"+subject, "text/plain", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// waiting returns how many requests had ids that could not be judged at once.
func (b *brokerProcess) waiting() uint64 {
	b.t.Helper()
	var status gateway.Status
	_, text := get(b.t, b.ready.URL+"v1/status")
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		b.t.Fatal(err)
	}
	return status.Counters.Outcomes.Pending
}

// wantGap wants the next thing that comes to be a gap for that reason.
func (f *follower) wantGap(reason string) {
	f.t.Helper()
	m, err := f.dec.Next()
	if err != nil || m.Type != sse.GapEvent || !strings.Contains(string(m.Data), fmt.Sprintf(`"reason":%q`, reason)) {
		f.t.Fatalf("got %+v, %v, want a gap: %s", m, err, reason)
	}
}

// step runs a part of a test that the next ones begin from.
func step(t *testing.T, name string, run func(t *testing.T)) {
	t.Helper()
	if !t.Run(name, run) {
		t.FailNow()
	}
}

// A mirror in a second cluster serves the same ids, and a client moves between the
// regions by its Last-Event-ID alone, also when the one it comes to is behind or cut off.
func TestRegions(t *testing.T) {
	r := startRegions(t)
	west, east := r.westGate, r.eastGate

	ids := append(west.publishAt("events.n", 1, 20), east.publishAt("events.n", 21, 40)...)
	for _, gate := range []*brokerProcess{west, east} {
		if diff := cmp.Diff(ids, gate.wantFrom("events.n", "0-0", 1, 40)); diff != "" {
			t.Errorf("%s has other ids than were told on publishing (-want +got):\n%s", gate.ready.URL, diff)
		}
	}

	step(t, "a client moves while events are published", func(t *testing.T) {
		const n, few = 600, 40
		published := make(chan error, 1)
		go func() { published <- publishNumbers(r.west.url(), "events.n", 41, n, "") }()
		at := ids[39]
		for first := 41; first <= n; first += few {
			gate := east
			if first/few%2 == 0 {
				gate = west
			}
			got := gate.wantFrom("events.n", at, first, min(first+few-1, n))
			at = got[len(got)-1]
		}
		if err := <-published; err != nil {
			t.Fatal(err)
		}
		ids = west.wantFrom("events.n", "0-0", 1, n)
	})

	step(t, "a worker is in either region", func(t *testing.T) {
		for region, js := range map[string]jetstream.JetStream{"west": r.west.jetStream(t), "east": r.east.jetStream(t)} {
			work(t, js.Conn(), "chat."+region, fortyTwo)
			for _, gate := range []*brokerProcess{west, east} {
				// A gateway of the other region hears of the worker in a moment.
				awaitThat(t, "a worker in the "+region, func() bool { status, _ := gate.ask("chat."+region, whole...); return status == http.StatusOK })
				status, text := gate.ask("chat."+region, whole...)
				wantWhole(t, status, text)
			}
		}
	})

	step(t, "cut off", func(t *testing.T) {
		r.setCut(true)
		ids = append(ids, west.publishAt("events.n", 601, 650)...)
		if answer := east.publishOnce("events.n"); answer != http.StatusServiceUnavailable {
			t.Errorf("publishing where the stream cannot be reached is answered %d, want 503", answer)
		}
		if answer, text := east.ask("chat"); answer != http.StatusServiceUnavailable {
			t.Errorf("asking there is answered %d %s, want 503", answer, text)
		}
		waiting := east.waiting()
		stays := east.follow(url.Values{"subject": {"events.n"}, "last_event_id": {ids[599]}})
		comes := east.follow(url.Values{"subject": {"events.n"}, "last_event_id": {ids[619]}})
		bogus := east.follow(url.Values{"subject": {"events.n"}, "last_event_id": {"9999-abc"}})
		awaitThat(t, "requests that wait", func() bool { return east.waiting() >= waiting+2 })
		r.setCut(false)
		stays.want(601, 650, "")
		comes.want(621, 650, "")
		bogus.wantGap("reset")
		ids = append(ids, east.publishAt("events.n", 651, 660)...)
		west.wantFrom("events.n", ids[649], 651, 660)
		for _, f := range []*follower{stays, comes, bogus} {
			f.close()
		}
	})

	step(t, "cut off for longer than the stream keeps events", func(t *testing.T) {
		short := []string{"--stream", "SHORT", "--subjects", "short.>", "--stream-max-events", "50"}
		west := r.west.serve(t, short...)
		_, err := r.east.jetStream(t).CreateStream(t.Context(), jetstream.StreamConfig{ // without limits
			Name: "SHORT", Replicas: 3, Mirror: &jetstream.StreamSource{Name: "SHORT", Domain: "west"},
		})
		if err != nil {
			t.Fatal(err)
		}
		east := r.east.serve(t, short...)
		first := west.publishAt("short.n", 1, 20)
		east.wantFrom("short.n", first[0], 2, 20)
		stays := east.follow(url.Values{"subject": {"short.n"}, "last_event_id": {first[19]}})
		r.setCut(true)
		west.publishAt("short.n", 21, 100) // of which 51 and later are left
		r.setCut(false)
		wantRest := func(f *follower) {
			defer f.close()
			f.wantGap("expired")
			f.want(51, 100, "")
		}
		wantRest(stays)
		wantRest(east.follow(url.Values{"subject": {"short.n"}, "last_event_id": {first[9]}})) // the mirror has 11 to 20 still
	})

	step(t, "the mirror takes over", func(t *testing.T) {
		r.setCut(true)
		lost := west.publishAt("events.n", 661, 670)
		for _, s := range r.west.servers {
			s.Shutdown()
		}
		waits := east.follow(url.Values{"subject": {"events.n"}, "last_event_id": {lost[9]}, "from": {"oldest"}})
		js := r.east.jetStream(t)
		stream, err := js.Stream(t.Context(), "EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		cfg.Mirror, cfg.Subjects = nil, []string{"events.>"}
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		east.publishAt("events.n", 661, 670)
		east.wantFrom("events.n", ids[649], 651, 670)
		waits.wantGap("reset")
		waits.want(1, 670, "")
		waits.close()
	})
}

// A mirror does not notice that its origin was made again: the gateway does, also when the
// two could not hear of each other meanwhile, and nobody is given events of both.
func TestRegions_diverged(t *testing.T) {
	r := startRegions(t)
	west, east := r.westGate, r.eastGate
	old := west.publishAt("events.n", 1, 20)
	east.wantFrom("events.n", old[0], 2, 20)
	stays := east.follow(url.Values{"subject": {"events.n"}, "last_event_id": {old[19]}, "from": {"oldest"}})
	defer stays.close()
	metrics := east.ready.URL + "metrics"
	awaitMetrics(t, metrics, []measured{{"ringcast_mirror_cut_off", "", 0}, {"ringcast_mirror_lag_events", "", 0}, {"ringcast_mirror_diverged", "", 0}})

	step(t, "made again while the mirror is cut off", func(t *testing.T) {
		r.setCut(true)
		if err := r.west.jetStream(t).DeleteStream(t.Context(), "EVENTS"); err != nil {
			t.Fatal(err)
		}
		awaitThat(t, "a new stream", func() bool { return west.publishOnce("events.other") == http.StatusOK }) // which the gateway makes
		west.publishAt("events.n", 101, 150)
		awaitMetrics(t, metrics, []measured{{"ringcast_mirror_cut_off", "", 1}})
		r.setCut(false)
		awaitMetrics(t, metrics, []measured{{"ringcast_mirror_diverged", "", 1}})
		for call, want := range map[string]int{"readyz": http.StatusServiceUnavailable, "v1/status": http.StatusOK} {
			if code, text := get(t, east.ready.URL+call); code != want || !strings.Contains(text, "one of the two has to be made again") {
				t.Errorf("%s answers %d %s", call, code, text)
			}
		}
		if code, text := east.ask("chat"); code != http.StatusServiceUnavailable || !strings.Contains(text, "one of the two has to be made again") {
			t.Errorf("asking is answered %d %s", code, text)
		}
	})

	step(t, "the mirror is made again", func(t *testing.T) {
		if err := r.east.jetStream(t).DeleteStream(t.Context(), "EVENTS"); err != nil {
			t.Fatal(err)
		}
		stays.wantGap("reset")
		ids := stays.want(101, 150, "")
		comes := east.follow(url.Values{"subject": {"events.n"}, "last_event_id": {old[4]}, "from": {"oldest"}})
		defer comes.close()
		comes.wantGap("reset")
		comes.want(101, 150, "")
		west.wantFrom("events.n", ids[0], 102, 150)
		awaitMetrics(t, metrics, []measured{{"ringcast_mirror_cut_off", "", 0}, {"ringcast_mirror_lag_events", "", 0}, {"ringcast_mirror_diverged", "", 0}})
		if code, text := get(t, east.ready.URL+"readyz"); code != http.StatusOK {
			t.Errorf("readyz answers %d %s", code, text)
		}
	})
}
