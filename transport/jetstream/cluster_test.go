package jetstream_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

// startCluster starts three NATS servers with JetStream and returns them.
func startCluster(t testing.TB) []*server.Server {
	t.Helper()
	const n = 3
	var routes []*url.URL
	ports := make([]int, n)
	for i := range ports {
		ports[i] = freePort(t)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])})
	}
	var servers []*server.Server
	for i := range n {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), Routes: routes,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		s.Start()
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(patience) {
			t.Fatal("server is not ready")
		}
	}
	awaitThat(t, "the cluster", func() bool { // which only its leader knows
		return slices.ContainsFunc(servers, func(s *server.Server) bool {
			return s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == n
		})
	})
	return servers
}

// One server of three goes, whichever leads the stream: what is read goes on
// without a gap, and the history answers.
func TestReader_cluster(t *testing.T) {
	servers := startCluster(t)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	c, js := connect(t, strings.Join(urls, ",")), direct(t, strings.Join(urls, ","))
	ensure(t, c, func(cfg *jetstream.StreamConfig) { cfg.Replicas = 3 })
	sink := newSink()
	r, _ := run(t, c, sink)
	publish(t, c, "events.a", "a", 50)
	sink.awaitHead(t, 50)

	leader := mustStream(t, js).CachedInfo().Cluster.Leader
	for _, s := range servers {
		if s.Name() == leader {
			s.Shutdown()
			s.WaitForShutdown()
		}
	}
	stored := 0
	awaitThat(t, "a new leader", func() bool {
		_, err := c.Publish(testContext(t), broker.Publication{Subject: "events.a", Data: fmt.Appendf(nil, "b%d", stored), MsgID: fmt.Sprint(stored)})
		if err == nil {
			stored++
		}
		return stored == 50
	})
	sink.awaitHead(t, 100)
	if diff := cmp.Diff(append(numbered("a", 0, 50), numbered("b", 0, 50)...), sink.payloads()); diff != "" {
		t.Error(diff)
	}
	if st := r.Status(); st.Resets+st.Overtaken != 0 || sink.resetCount() != 0 {
		t.Errorf("a change of leader counted as a loss: %+v", st)
	}

	// What a replica that has not applied the last events would answer is not
	// promised (doc.go).
	awaitThat(t, "the replicas", func() bool {
		return !slices.ContainsFunc(servers, func(s *server.Server) bool { return s.Name() != leader && lastApplied(t, s) < 100 })
	})
	var h *jetstream.History
	f := filter(t, []string{"events.>"})
	for range 20 { // wherever each consumer is placed
		h = jetstream.NewHistory(c, jetstream.HistoryOptions{Stream: streamName}) // with nothing read yet
		p, floor, err := h.Read(testContext(t), 0, 100, f, broker.Limits{Events: 1000, Bytes: 1 << 20})
		if err != nil || floor.Seq != 0 || len(p.Events) != 100 {
			t.Fatalf("%d events, floor %s, %v", len(p.Events), floor, err)
		}
	}
	if seqs, err := h.Last(testContext(t), f, 100, 10); err != nil || len(seqs) != 1 || seqs[0] != 100 {
		t.Errorf("last %v, %v", seqs, err)
	}
}

// lastApplied returns the last sequence that a server itself has of the stream.
func lastApplied(t *testing.T, s *server.Server) uint64 {
	t.Helper()
	info, err := s.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			if stream.Name == streamName {
				return stream.State.LastSeq
			}
		}
	}
	return 0
}
