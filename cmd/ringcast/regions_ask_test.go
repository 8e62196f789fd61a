package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
	"ringcast/transport/worker"
)

// laggard is a stream and a mirror of it, which can be made to lag, in one server.
type laggard struct {
	t      *testing.T
	server *natsserver.Server
	nc     *nats.Conn
	js     jetstream.JetStream
}

const lagOrigin = "ORIGIN"

func startLaggard(t *testing.T) *laggard {
	t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{
		ServerName: "laggard", Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []jetstream.StreamConfig{
		{Name: lagOrigin, Subjects: []string{"events.>"}}, // no direct get: the mirror would answer in its place
		{Name: "EVENTS", Mirror: &jetstream.StreamSource{Name: lagOrigin}, AllowDirect: true},
	} {
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	return &laggard{t, s, nc, js}
}

// lag is for how long the mirror gets nothing, which is much longer than a gateway takes to
// answer who need not wait for it.
const lag = time.Second

// lag has the origin send the mirror nothing for a while.
func (l *laggard) lag() {
	l.t.Helper()
	var name string
	awaitThat(l.t, "the mirror's consumer", func() bool {
		info, err := l.server.Jsz(&natsserver.JSzOptions{Accounts: true, Streams: true, Consumer: true, DirectConsumer: true})
		if err != nil {
			l.t.Fatal(err)
		}
		for _, account := range info.AccountDetails {
			for _, stream := range account.Streams {
				if stream.Name == lagOrigin && len(stream.DirectConsumer) == 1 {
					name = stream.DirectConsumer[0].Name
				}
			}
		}
		return name != ""
	})
	answer, err := l.js.PauseConsumer(l.t.Context(), lagOrigin, name, time.Now().Add(lag))
	if err != nil || !answer.Paused {
		l.t.Fatalf("pause the mirror's consumer: %+v, %v", answer, err)
	}
}

// work answers questions of that subject until the test ends.
func work(t *testing.T, nc *nats.Conn, subject string, handle worker.Handler) {
	t.Helper()
	listening := make(chan struct{})
	w, err := worker.New(nc, worker.Options{Subject: subject, Ready: func() { close(listening) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx, handle); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	<-listening
}

// ask asks a question with headers in pairs.
func (b *brokerProcess) ask(subject string, header ...string) (status int, text string) {
	b.t.Helper()
	return request(b.t, http.MethodPost, b.ready.URL+"v1/ask/"+subject, `{"q":1}`, append(header, "Content-Type", "application/json")...)
}

// askAsync asks a question and returns the id of its answer.
func (b *brokerProcess) askAsync(subject string, header ...string) (id string) {
	b.t.Helper()
	status, text := b.ask(subject, append(header, "Prefer", "respond-async")...)
	var accepted struct{ ID string }
	if err := json.Unmarshal([]byte(text), &accepted); err != nil || status != http.StatusAccepted || accepted.ID == "" {
		b.t.Fatalf("asked for the URL alone: %d %s", status, text)
	}
	return accepted.ID
}

// whole are headers that ask for an answer as one JSON object.
var whole = []string{"Accept", "application/json"}

func fortyTwo(_ context.Context, _ *worker.Question, a *worker.Answer) error {
	return a.Add("forty-two")
}

// wantWhole wants the answer of fortyTwo.
func wantWhole(t *testing.T, status int, text string) {
	t.Helper()
	if status != http.StatusOK || !strings.Contains(text, `"text":"forty-two"`) {
		t.Errorf("the whole answer is %d %s", status, text)
	}
}

// Questions are asked through a mirror that has not got yet what was published for them.
func TestRegions_ask(t *testing.T) {
	l := startLaggard(t)
	gates := []*brokerProcess{}
	for range 2 {
		_, ready := serve(t, "--nats-url", l.server.ClientURL(), "--data-dir", t.TempDir())
		gates = append(gates, &brokerProcess{t: t, ready: ready})
	}
	here, there := gates[0], gates[1]
	work(t, l.nc, "chat", fortyTwo)
	work(t, l.nc, "slow", func(ctx context.Context, _ *worker.Question, _ *worker.Answer) error { <-ctx.Done(); return ctx.Err() })

	t.Run("a stream", func(t *testing.T) {
		l.lag()
		status, text := here.ask("chat", "Accept", "text/event-stream")
		if asked, added := strings.Index(text, "event: ask\n"), strings.Index(text, "data: forty-two\n"); status != http.StatusOK ||
			asked < 0 || added < asked || strings.Index(text, "event: finish\n") < added || strings.Contains(text, "ringcast.gap") {
			t.Errorf("got %d %s", status, text)
		}
	})
	t.Run("the whole", func(t *testing.T) {
		l.lag()
		status, text := here.ask("chat", whole...)
		wantWhole(t, status, text)
	})
	for name, gate := range map[string]*brokerProcess{"the same gateway": here, "another gateway": there} {
		t.Run(name+" is asked for the answer", func(t *testing.T) {
			l.lag()
			id := here.askAsync("chat")
			status, text := get(t, gate.ready.URL+"v1/ask/"+id, whole...)
			wantWhole(t, status, text)
		})
		t.Run(name+" is asked again with the key", func(t *testing.T) {
			key := strings.ReplaceAll(name, " ", "-")
			l.lag()
			id := here.askAsync("chat", "Idempotency-Key", key)
			status, text := gate.ask("chat", append(whole, "Idempotency-Key", key)...)
			wantWhole(t, status, text)
			if !strings.Contains(text, `"id":"`+id+`"`) {
				t.Errorf("with the same key came another answer than %s: %s", id, text)
			}
		})
		t.Run(name+" is to stop it", func(t *testing.T) {
			l.lag()
			id := here.askAsync("slow")
			if status, text := request(t, http.MethodDelete, gate.ready.URL+"v1/ask/"+id, ""); status != http.StatusAccepted {
				t.Errorf("to stop it is answered %d %s", status, text)
			}
			if status, text := get(t, gate.ready.URL+"v1/ask/"+id, whole...); status != http.StatusBadGateway || !strings.Contains(text, `"stopped"`) {
				t.Errorf("the answer is %d %s", status, text)
			}
		})
	}
	t.Run("who comes with an event of the answer", func(t *testing.T) {
		l.lag()
		id := here.askAsync("chat")
		origin, err := l.js.Stream(t.Context(), lagOrigin)
		if err != nil {
			t.Fatal(err)
		}
		first, err := origin.GetLastMsgForSubject(t.Context(), "events.answers."+id)
		if err != nil {
			t.Fatal(err)
		}
		at := broker.ID{Seq: first.Sequence, Stamp: first.Time.UnixNano()}
		if _, text := there.ask("chat", append(whole, "Last-Event-ID", at.String())...); !strings.Contains(text, `"id":"`+id+`"`) {
			t.Errorf("with %s came another answer than %s: %s", at, id, text)
		}
	})
}
