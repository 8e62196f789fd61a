package proxies_test

import "testing"

// A client that leaves has left the gateway, too: at once or, through a proxy that only
// then notices, when a heartbeat cannot be passed on.
func TestClient_Leaves(t *testing.T) {
	t.Parallel()
	quiet, beating := startGateway(t, "--heartbeat", never), startGateway(t, "--heartbeat", "1s")
	for _, w := range ways() {
		g := quiet
		if w.needsHeartbeat {
			g = beating
		}
		_, address := w.start(t, []string{g.address})
		for _, protocol := range protocols {
			t.Run(w.String()+"/"+protocol, func(t *testing.T) {
				leaves(t, g, newClient(t, address, protocol, "127.0.0.1"))
			})
		}
	}
}

func leaves(t *testing.T, g *gateway, c *client) {
	leaves, stays := c.follow(t, "subject=events.x"), c.follow(t, "subject=events.x")
	for _, s := range []*stream{leaves, stays} {
		s.await("id: ")
	}
	g.awaitStreams(t, 2)
	leaves.close()
	g.awaitStreams(t, 1)
	g.publish(t, "events.x", "to who stays")
	stays.event("to who stays")
	stays.close()
	g.awaitStreams(t, 0)
}

// All tabs of a browser have one HTTP/2 connection, with a stream each.
func TestClient_ManyStreams(t *testing.T) {
	t.Parallel()
	const n = 200
	g := startGateway(t, "--max-streams", "1000")
	for _, r := range routes(t, []string{g.address}, asItIs) {
		if r.protocol != "HTTP/2.0" {
			continue
		}
		t.Run(r.way.String(), func(t *testing.T) {
			c := r.client(t, "127.0.0.1")
			streams := make([]*stream, n)
			for i := range streams {
				streams[i] = c.follow(t, "subject="+r.subject())
				streams[i].await("id: ")
			}
			g.publish(t, r.subject(), "to all")
			for _, s := range streams {
				s.event("to all")
			}
			if dials := c.dials.Load(); dials != 1 {
				t.Errorf("%d connections", dials)
			}
		})
	}
}
