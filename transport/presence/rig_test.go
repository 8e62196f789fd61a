package presence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ringcast/broker"
	"ringcast/replay"
	"ringcast/transport/jetstream"
	"ringcast/transport/peers"
	"ringcast/transport/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	stream = "EVENTS"
	// patience bounds every wait: what takes longer has failed.
	patience = 30 * time.Second
	// The times of these tests, in the proportions of the defaults.
	beat     = 40 * time.Millisecond
	gone     = 400 * time.Millisecond
	grace    = 400 * time.Millisecond
	interval = 20 * time.Millisecond
)

// rig is a NATS server with gateways' trackers on it.
type rig struct {
	t      *testing.T
	stream jetstream.StreamConfig
	dir    string
	port   int // of the NATS server, also when it is started again
	nats   *jetstream.Embedded
}

func newRig(t *testing.T, change ...func(*jetstream.StreamConfig)) *rig {
	t.Helper()
	r := &rig{t: t, dir: filepath.Join(t.TempDir(), "nats"), port: -1, stream: jetstream.StreamConfig{Name: stream, Subjects: []string{"events.>"}}}
	for _, c := range change {
		c(&r.stream)
	}
	r.startNATS()
	t.Cleanup(func() { r.nats.Shutdown() })
	return r
}

func (r *rig) startNATS() {
	r.t.Helper()
	var err error
	if r.nats, err = jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: r.dir, Port: r.port}); err != nil {
		r.t.Fatal(err)
	}
	if _, err := fmt.Sscanf(r.nats.ClientURL(), "nats://127.0.0.1:%d", &r.port); err != nil {
		r.t.Fatal(err)
	}
}

// instance is a gateway, less the HTTP side.
type instance struct {
	*presence.Tracker
	rig    *rig
	client *jetstream.Client
	hub    *broker.Hub
	peers  *peers.Network
	// stop tells the others; kill has them find out.
	stop, kill func()
}

func (r *rig) start(name string) *instance {
	r.t.Helper()
	i := &instance{rig: r}
	var err error
	if i.client, err = jetstream.Connect(r.t.Context(), jetstream.Options{URL: r.nats.ClientURL()}); err != nil {
		r.t.Fatal(err)
	}
	if err := i.client.EnsureStream(r.t.Context(), r.stream); err != nil {
		r.t.Fatal(err)
	}
	ring, err := replay.Open(filepath.Join(r.t.TempDir(), "ring.db"), replay.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	history := jetstream.NewHistory(i.client, jetstream.HistoryOptions{Stream: stream})
	i.hub = broker.NewHub(ring, history, broker.HubOptions{Retry: 10 * time.Millisecond})
	reader := jetstream.NewReader(i.client, jetstream.ReaderOptions{Stream: stream, RingEvents: 1_000_000, AuditInterval: 50 * time.Millisecond})
	i.peers = peers.New(peers.Options{Conn: i.client.Core(), Stream: stream, Name: name, Beat: beat, Gone: gone})
	i.Tracker, err = presence.New(presence.Options{
		Patterns: []string{"events.room.*", "events.notify.>"}, Hub: i.hub, Log: ring, History: history, Publisher: i.client,
		Peers: i.peers, Grace: grace, Interval: interval,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	stopReader := background(func(ctx context.Context) { _ = reader.Run(ctx, i.hub) })
	stopPeers := background(func(ctx context.Context) { _ = i.peers.Run(ctx) })
	stopTracker := background(i.Run)
	ended := false
	end := func(before func()) func() {
		return func() {
			if ended {
				return
			}
			ended = true
			before()
			stopTracker()
			stopPeers()
			stopReader()
			_ = ring.Close()
			i.client.Close()
		}
	}
	i.stop, i.kill = end(func() {}), end(i.client.Core().Close)
	r.t.Cleanup(i.stop)
	return i
}

func background(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); run(ctx) }()
	return func() { cancel(); <-done }
}

func filter(t *testing.T, subjects ...string) broker.Filter {
	t.Helper()
	f, err := broker.NewFilter(subjects, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// enter opens a stream for the identity. What it returns ends it.
func (i *instance) enter(identity string, subjects ...string) (leave func()) {
	i.rig.t.Helper()
	f := filter(i.rig.t, subjects...)
	i.Enter(identity, f)
	return func() { i.Leave(identity, f) }
}

// present returns who is on the subject.
func (i *instance) present(subject string) []string {
	room, _ := i.Room(subject)
	names := []string{}
	for _, m := range room.Present {
		names = append(names, m.Identity)
	}
	return names
}

// sees waits until the instance says that these are on the subject.
func (i *instance) sees(subject string, identities ...string) {
	i.rig.t.Helper()
	i.rig.await(fmt.Sprintf("%q on %s", identities, subject), func() bool {
		_, known := i.Room(subject)
		return known && slices.Equal(i.present(subject), identities)
	})
}

func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// told is an event of presence.
type told struct {
	Type       string
	Subject    string   `json:"subject"`
	Identities []string `json:"identities"`
	Count      int      `json:"count"`
	id         broker.ID
}

// history returns all events of presence that the instance has, from after on, having
// checked that they add up: nobody comes twice or leaves twice, and counts are right.
func (i *instance) history(subject string) (all []told) {
	t := i.rig.t
	t.Helper()
	sub, err := i.hub.Subscribe(broker.Request{Filter: filter(t, broker.PresenceSubject(subject)), From: broker.FromOldest})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	there := map[string]map[string]bool{}
	for {
		batch, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch.Events {
			one := told{Type: e.Type, id: e.ID}
			if err := json.Unmarshal(e.Data, &one); err != nil {
				t.Fatalf("%s: %v", e.Data, err)
			}
			room := there[one.Subject]
			if room == nil {
				room = map[string]bool{}
				there[one.Subject] = room
			}
			for _, identity := range one.Identities {
				if join := one.Type == presence.TypeJoin; room[identity] == join {
					t.Errorf("%s of %q, who is already: %+v", one.Type, identity, one)
				} else if join {
					room[identity] = true
				} else {
					delete(room, identity)
				}
			}
			if one.Count != len(room) {
				t.Errorf("%+v, but there are %d", one, len(room))
			}
			all = append(all, one)
		}
		if !batch.More {
			if room, known := i.Room(subject); known && broker.IsLiteral(subject) && room.At.Seq <= batch.Position.Seq {
				if diff := cmp.Diff(slices.Sorted(maps.Keys(there[subject])), i.present(subject), cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
					t.Errorf("the events of %s do not add up to who is there: %s", subject, diff)
				}
			}
			return all
		}
	}
}
