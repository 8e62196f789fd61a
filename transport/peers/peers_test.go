package peers_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"ringcast/transport/jetstream"
	"ringcast/transport/peers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait: what takes longer has failed.
const patience = 20 * time.Second

func startNATS(t *testing.T) (url string) {
	t.Helper()
	s, err := jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: filepath.Join(t.TempDir(), "nats"), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s.ClientURL()
}

// instance is a gateway's side of the network, on a connection of its own.
type instance struct {
	*peers.Network
	t    *testing.T
	conn *nats.Conn
	// end tells the others, and kill does not.
	end, kill func()
}

func start(t *testing.T, url, name string) *instance {
	t.Helper()
	conn, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	conn.SetClosedHandler(func(*nats.Conn) { close(closed) })
	i := &instance{t: t, conn: conn, Network: peers.New(peers.Options{
		Conn: conn, Stream: "EVENTS", Name: name, Beat: 20 * time.Millisecond, Gone: 400 * time.Millisecond,
	})}
	i.Handle("name", func(question []byte) []byte { return fmt.Appendf(nil, "%s: %s", question, name) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	ended := false
	i.end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
		<-closed
	}
	i.kill = func() { conn.Close(); i.end() }
	t.Cleanup(i.end)
	return i
}

// sees waits until the instance sees others of these names, with a * where they leave.
func (i *instance) sees(names ...string) {
	i.t.Helper()
	var seen []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		seen = nil
		for _, p := range i.View().Peers {
			if p.Leaving {
				p.Name += "*"
			}
			seen = append(seen, p.Name)
		}
		if slices.Sort(seen); slices.Equal(seen, names) {
			return
		}
	}
	i.t.Fatalf("sees %q, want %q", seen, names)
}

func (i *instance) ask(ctx context.Context) (answers, missing []string) {
	i.t.Helper()
	got, silent, err := i.Ask(ctx, "name", []byte("who"))
	if err != nil {
		i.t.Fatal(err)
	}
	for _, a := range got {
		answers = append(answers, string(a.Body))
	}
	for _, p := range silent {
		missing = append(missing, p.Name)
	}
	slices.Sort(answers)
	return answers, missing
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestNetwork(t *testing.T) {
	url := startNATS(t)
	a := start(t, url, "a")
	a.sees()
	if answers, missing := a.ask(within(t, patience)); len(answers)+len(missing) > 0 {
		t.Errorf("alone: %q, missing %q", answers, missing)
	}
	b, c := start(t, url, "b"), start(t, url, "c")
	a.sees("b", "c")
	b.sees("a", "c")
	c.sees("a", "b")
	if answers, missing := a.ask(within(t, patience)); !slices.Equal(answers, []string{"who: b", "who: c"}) || missing != nil {
		t.Errorf("%q, missing %q", answers, missing)
	}
	// One that leaves says so, and is gone after a while.
	c.end()
	a.sees("b", "c*")
	if answers, missing := a.ask(within(t, patience)); !slices.Equal(answers, []string{"who: b"}) || missing != nil {
		t.Errorf("%q, missing %q", answers, missing)
	}
	// Another run of the same name is another one.
	again := start(t, url, "c")
	a.sees("b", "c", "c*")
	a.sees("b", "c")
	again.sees("a", "b")
}

// One that dies is missed at first, and gone when it has been silent for long enough.
func TestNetwork_killed(t *testing.T) {
	url := startNATS(t)
	a, b := start(t, url, "a"), start(t, url, "b")
	a.sees("b")
	b.kill()
	if answers, missing := a.ask(within(t, 100*time.Millisecond)); answers != nil || !slices.Equal(missing, []string{"b"}) {
		t.Errorf("%q, missing %q", answers, missing)
	}
	a.sees()
}

// While this gateway hears nothing, nobody is gone; and it knows since when it hears.
func TestNetwork_cut_off(t *testing.T) {
	dir := t.TempDir()
	port := -1
	serve := func() *jetstream.Embedded {
		s, err := jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: dir, Port: port})
		if err != nil {
			t.Fatal(err)
		}
		_, p, _ := strings.Cut(strings.TrimPrefix(s.ClientURL(), "nats://"), ":")
		if _, err := fmt.Sscan(p, &port); err != nil {
			t.Fatal(err)
		}
		return s
	}
	server := serve()
	a, b := start(t, server.ClientURL(), "a"), start(t, server.ClientURL(), "b")
	a.sees("b")
	first := a.View().Since
	server.Shutdown()
	await(t, "the break to be noticed", func() bool { return a.View().Since.IsZero() })
	if _, _, err := a.Ask(within(t, patience), "name", nil); err == nil {
		t.Error("somebody can be asked without a connection")
	}
	<-time.After(500 * time.Millisecond) // longer than Gone: a break has to last to show anything
	a.sees("b")
	server = serve()
	defer server.Shutdown()
	await(t, "the end of the break", func() bool { return a.View().Since.After(first) })
	a.sees("b")
	b.sees("a")
	await(t, "an answer", func() bool { answers, _ := a.ask(within(t, 100*time.Millisecond)); return len(answers) == 1 })
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// What is no beat is nobody, and nobody can make up gateways without end.
func TestNetwork_noise(t *testing.T) {
	url := startNATS(t)
	a := start(t, url, "a")
	b := start(t, url, "b")
	a.sees("b")
	for _, body := range []string{"", "{", `{"run":""}`, `{"run":7}`, `{"run":"` + strings.Repeat("x", 1000) + `"}`, `{"run":"gone","leaving":true}`} {
		if err := b.conn.Publish("_ringcast.EVENTS.beat", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 1100 {
		if err := b.conn.Publish("_ringcast.EVENTS.beat", fmt.Appendf(nil, `{"run":"made up %d"}`, n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.conn.PublishRequest("_ringcast.EVENTS.ask.nothing", "nowhere", nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the noise to be heard", func() bool { return len(a.View().Peers) > 900 })
	if err := b.conn.FlushWithContext(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if n := len(a.View().Peers); n > 1000 {
		t.Errorf("%d gateways are known", n)
	}
	a.sees("b")
}
