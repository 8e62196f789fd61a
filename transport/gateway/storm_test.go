package gateway_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ringcast/replay"
	"ringcast/transport/sse"
)

// Promise 1 and 3 with everything at once: clients with small buffers who read at
// every pace, some of whom leave and come back, on a ring that some fall off. The
// seed is printed where it fails; the timing is not in it.
func TestStream_Storm(t *testing.T) {
	const clients, events = 40, 3000
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	r := newRig(t, func(o *rigOptions) {
		o.ring = replay.Options{MaxEvents: 1000}
		o.gateway.Compression = true
	})
	first := r.publish("events.x", "begin").String()
	var running sync.WaitGroup
	for i := range clients {
		c := &stormClient{r: r, rand: rand.New(rand.NewPCG(seed, uint64(i))), last: first}
		c.query = []string{"events.x", "events.*", "events.x&format=cloudevents"}[i%3]
		c.slow = i%4 == 0
		c.gzip = i%5 == 0
		running.Go(func() {
			for c.next < events {
				if err := c.stay(events); err != nil {
					t.Errorf("client %d (%s) at %d: %v", i, c.query, c.next, err)
					return
				}
			}
		})
	}
	publisher := rand.New(rand.NewPCG(seed, clients))
	for i := 0; i < events; {
		for range min(1+publisher.IntN(200), events-i) {
			if err := r.nats.Publish("events.x", fmt.Appendf(nil, "%d %0*d", i, publisher.IntN(2000), 0)); err != nil {
				t.Fatal(err)
			}
			i++
		}
		r.reach(uint64(i) + 1)
	}
	running.Wait()
	r.await("the streams to end", func() bool { return r.streams() == 0 })
}

// stormClient is one client, over all of its connections.
type stormClient struct {
	r          *rig
	rand       *rand.Rand
	query      string
	slow, gzip bool
	last       string // the id it holds
	next       int    // the number it has to get
}

// stay reads from one connection, for a while or to the end.
func (c *stormClient) stay(events int) error {
	conn, err := net.Dial("tcp", c.r.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	if err := conn.SetDeadline(time.Now().Add(3 * patience)); err != nil {
		return err
	}
	transport := &http.Transport{
		Dial: func(string, string) (net.Conn, error) { return conn, nil }, DisableCompression: !c.gzip,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, c.r.url+"/v1/stream?subject="+c.query, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Last-Event-ID", c.last)
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	dec := sse.NewDecoder(bufio.NewReaderSize(res.Body, 1024))
	for left := 1 + c.rand.IntN(2*events); left > 0 && c.next < events; left-- {
		m, err := dec.Next()
		if err != nil {
			return err
		}
		var got int
		data := string(m.Data)
		if _, text, found := strings.Cut(data, `"data":"`); found { // CloudEvents
			data = text
		}
		_, err = fmt.Sscanf(data, "%d", &got)
		if err != nil || got != c.next || m.Type != "message" {
			return fmt.Errorf("got %.80q of type %s, want %d", data, m.Type, c.next)
		}
		c.next, c.last = c.next+1, m.LastEventID
		if c.slow && c.rand.IntN(50) == 0 {
			time.Sleep(time.Duration(c.rand.IntN(5)) * time.Millisecond) // is what slow means here
		}
	}
	return nil
}
