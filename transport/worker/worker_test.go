package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"ringcast/transport/worker"
)

// hi answers every question.
func hi(_ context.Context, _ *worker.Question, a *worker.Answer) error { return a.Add("hi") }

func TestWorker_Answer(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s)
	var asked *worker.Question
	run(t, s, worker.Options{Separate: true, Subject: "chat.*"}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
		asked = q
		return errors.Join(a.Add("Hello"), a.Add(",\n  world"), a.Info(map[string]any{"references": []int{1}}), a.Send("tool", []byte("x")),
			a.Add("!"), a.Finish(map[string]any{"reason": "stop"}))
	})
	m := g.question("chat.de", `{"a":1}`)
	if reply := g.request(m); len(reply) > 0 {
		t.Fatalf("refused: %s", reply)
	}
	id := m.Header.Get("Ringcast-Ask-Id")
	wantEvents(t, g.all(id), event{"add", "Hello"}, event{"add", ",\n  world"}, event{"info", `{"references":[1]}`}, event{"tool", "x"},
		event{"add", "!"}, event{"finish", `{"reason":"stop"}`})
	got := *asked
	got.Header = nil
	if diff := cmp.Diff(worker.Question{ID: id, Subject: "chat.de", Identity: "Ann % é", Body: []byte(`{"a":1}`)}, got); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
	await(t, "the end of what the gateway probes", func() bool { return !g.alive(id) })
}

// How an answer ends whose handler does not say.
func TestWorker_End(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s)
	var log logBuffer
	run(t, s, worker.Options{Logger: log.logger()}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
		if err := a.Add("hi"); err != nil {
			return err
		}
		switch string(q.Body) {
		case `"nil"`:
			return nil
		case `"error"`:
			return errors.New("no model")
		case `"failure"`:
			return fmt.Errorf("wrapped: %w", &worker.Failure{Reason: "rate_limited", Detail: "later", Status: 429, RetryAfter: 7})
		case `"decode"`:
			return q.Decode(new(int))
		case `"panic"`:
			panic("secret")
		case `"fail, then nil"`:
			return a.Fail(worker.Failure{Reason: "mine"})
		case `"finish, then error"`:
			return errors.Join(a.Finish(nil), errors.New("too late"))
		case `"finish, then more"`:
			return errors.Join(a.Finish(nil), a.Add("more"), a.Fail(worker.Failure{Reason: "x"}))
		case `"from elsewhere"`:
			go func() { _ = a.Finish(1) }()
			return a.Finish(1)
		}
		return nil
	})
	for body, want := range map[string]event{
		`"nil"`:                {"finish", ""},
		`"error"`:              {"error", `{"reason":"failed","detail":"no model"}`},
		`"failure"`:            {"error", `{"reason":"rate_limited","detail":"later","status":429,"retry_after":7}`},
		`"decode"`:             {"error", `{"reason":"refused","detail":"json: cannot unmarshal string into Go value of type int","status":400}`},
		`"panic"`:              {"error", `{"reason":"failed","detail":"the worker failed"}`},
		`"fail, then nil"`:     {"error", `{"reason":"mine"}`},
		`"finish, then error"`: {"finish", ""},
		`"finish, then more"`:  {"finish", ""},
		`"from elsewhere"`:     {"finish", "1"},
	} {
		t.Run(body, func(t *testing.T) { wantEvents(t, g.all(g.ask(body)), event{"add", "hi"}, want) })
	}
	for _, want := range []string{"a handler panicked", "panic=secret", "worker_test.go" /* of the stack */, "no model"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log.String())
		}
	}
}

func TestWorker_Refuses(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s)
	check := func(_ context.Context, q *worker.Question) error {
		switch string(q.Body) {
		case `1`:
			return &worker.Refusal{Status: http.StatusPaymentRequired, Body: map[string]any{"reason": "quota", "left": 0}}
		case `2`:
			return errors.New("database away")
		case `3`:
			return &worker.Refusal{Status: 200}
		case `4`:
			panic("oh")
		}
		return q.Decode(new(string))
	}
	var log logBuffer
	run(t, s, worker.Options{Check: check, Logger: log.logger()}, hi)
	for body, want := range map[string]string{
		`1`:     `{"left":0,"reason":"quota","status":402}`,
		`2`:     `{"detail":"the worker cannot check the question","reason":"failed","status":500}`,
		`3`:     `{"status":500,"reason":"failed","detail":"the worker refuses the question"}`,
		`4`:     `{"detail":"the worker cannot check the question","reason":"failed","status":500}`,
		`{`:     `{"detail":"unexpected end of JSON input","reason":"invalid","status":400}`,
		`"yes"`: "",
	} {
		m := g.question("chat", body)
		if got := string(g.request(m)); got != want {
			t.Errorf("%s: reply %s, want %s", body, got, want)
		}
		if want == "" {
			wantEvents(t, g.all(m.Header.Get("Ringcast-Ask-Id")), event{"add", "hi"}, event{"finish", ""})
		}
	}
	if !strings.Contains(log.String(), "database away") {
		t.Errorf("the log does not say why:\n%s", log.String())
	}
	t.Run("what_is_no_question", func(t *testing.T) {
		for _, change := range []func(*nats.Msg){
			func(m *nats.Msg) { m.Header = nil },
			func(m *nats.Msg) { m.Header.Del("Ringcast-Alive-Subject") },
			func(m *nats.Msg) { m.Header["Ringcast-Cancel-Subject"] = []string{"_ask.>"} },
			func(m *nats.Msg) { m.Header["Ringcast-Answer-Subject"] = []string{"events. x"} },
		} {
			m := g.question("chat", `"x"`)
			change(m)
			if got := string(g.request(m)); !strings.Contains(got, `"status":400`) {
				t.Errorf("%v: reply %s", m.Header, got)
			}
		}
	})
}

// Two workers of a group share the questions; at their bound they refuse.
func TestWorker_Concurrency(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s)
	const each = 4
	var answering [2]atomic.Int32
	release := make(chan struct{})
	for i := range answering {
		run(t, s, worker.Options{Concurrency: each}, func(_ context.Context, _ *worker.Question, a *worker.Answer) error {
			answering[i].Add(1)
			<-release
			return a.Add("hi")
		})
	}
	var ids []string
	refused := 0
	for len(ids) < 2*each {
		m := g.question("chat", `1`)
		switch reply := string(g.request(m)); {
		case reply == "":
			ids = append(ids, m.Header.Get("Ringcast-Ask-Id"))
		case strings.Contains(reply, `"status":503`) && strings.Contains(reply, `"reason":"busy"`):
			refused++
		default:
			t.Fatalf("reply %s", reply)
		}
	}
	await(t, "both at work", func() bool { return answering[0].Load() == each && answering[1].Load() == each })
	if got := string(g.request(g.question("chat", `1`))); !strings.Contains(got, `"status":503`) {
		t.Errorf("beyond the bound: reply %s", got)
	}
	close(release)
	for _, id := range ids {
		wantEvents(t, g.all(id), event{"add", "hi"}, event{"finish", ""})
	}
	t.Logf("%d of %d questions refused before both were full", refused, refused+len(ids))
}

// A stop ends the handler's context; the last word is still said, and nothing after it.
func TestWorker_Stop(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s)
	said := make(chan error, 3)
	run(t, s, worker.Options{}, func(ctx context.Context, q *worker.Question, a *worker.Answer) error {
		if string(q.Body) != `"silent"` {
			if err := a.Add("begun"); err != nil {
				return err
			}
		}
		<-ctx.Done()
		said <- context.Cause(ctx)
		said <- a.Add("more")
		if string(q.Body) == `"finishes"` {
			return a.Finish(map[string]string{"reason": "stopped"})
		}
		said <- a.Info("more")
		if string(q.Body) == `"nil"` {
			return nil
		}
		return context.Cause(ctx)
	})
	stopped := event{"error", `{"reason":"stopped","detail":"the answer was stopped"}`}
	begun := event{"add", "begun"}
	for body, want := range map[string][]event{
		`"nil"`:      {begun, stopped},
		`"error"`:    {begun, stopped},
		`"finishes"`: {begun, {"finish", `{"reason":"stopped"}`}},
		`"silent"`:   {stopped},
	} {
		id := g.ask(body)
		if !g.alive(id) {
			t.Error("nobody is at work")
		}
		g.cancel(id)
		wantEvents(t, g.all(id), want...)
		for range 2 {
			if err := <-said; !errors.Is(err, worker.ErrStopped) {
				t.Errorf("%s: %v", body, err)
			}
		}
		if body != `"finishes"` {
			<-said
		}
	}
}

// What the gateway has ended stays ended, whatever the worker is about to say, and
// whether it is told or not.
func TestWorker_EndedElsewhere(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s)
	for _, told := range []bool{false, true} {
		for _, begun := range []bool{false, true} {
			if !begun && !told {
				continue // its first event comes after one that it does not know
			}
			t.Run(fmt.Sprintf("told_%v/begun_%v", told, begun), func(t *testing.T) {
				cause, handled := make(chan error, 1), make(chan error, 1)
				goOn := make(chan struct{})
				w := run(t, s, worker.Options{}, func(ctx context.Context, _ *worker.Question, a *worker.Answer) error {
					if begun {
						if err := a.Add("begun"); err != nil {
							return err
						}
					}
					<-goOn
					for a.Add("more") == nil && !told {
						continue
					}
					<-ctx.Done()
					cause <- context.Cause(ctx)
					handled <- a.Finish(nil)
					return nil
				})
				id := g.ask(`1`)
				r := g.read(id)
				r.next()
				if begun {
					r.next()
				}
				end := &nats.Msg{Subject: "events.answers." + id, Header: nats.Header{"Ringcast-Event": {"error"}, "Ringcast-End": {"true"}}}
				if _, err := g.js.PublishMsg(within(t), end); err != nil {
					t.Fatal(err)
				}
				if told {
					if err := errors.Join(g.nc.Publish("_ask."+id+".cancel", nil), g.nc.Flush()); err != nil {
						t.Fatal(err)
					}
					await(t, "the worker to hear of it", func() bool { return g.alive(id) }) // on the same connection, later
				}
				close(goOn)
				if err := <-cause; !errors.Is(err, worker.ErrEnded) && !errors.Is(err, worker.ErrStopped) {
					t.Errorf("cause %v", err)
				}
				if err := <-handled; !errors.Is(err, worker.ErrEnded) {
					t.Errorf("finished after the end: %v", err)
				}
				if err := w.stop(); err != nil {
					t.Error(err)
				}
				r.next() // the end
				info, err := g.js.Stream(within(t), "EVENTS")
				if err != nil {
					t.Fatal(err)
				}
				last, err := info.GetLastMsgForSubject(within(t), "events.answers."+id)
				if err != nil || last.Header.Get("Ringcast-End") != "true" {
					t.Errorf("after the end came %+v, %v", last, err)
				}
			})
		}
	}
}

// Nothing is lost, doubled or out of order while the NATS server is away for a moment.
func TestWorker_ServerRestart(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s)
	const pieces, answers = 2000, 3
	halfway := make(chan struct{}, answers)
	goOn := make(chan struct{})
	run(t, s, worker.Options{Separate: true, Buffer: 1 << 10}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
		for i := range pieces {
			if i == pieces/2 {
				halfway <- struct{}{}
			}
			if err := a.Add(fmt.Sprintf("%s:%d ", q.Body, i)); err != nil {
				return err
			}
		}
		<-goOn
		return nil
	})
	var ids []string
	for i := range answers {
		ids = append(ids, g.ask(fmt.Sprint(i)))
	}
	<-halfway
	s.stop()
	s.start()
	close(goOn)
	for i, id := range ids {
		events := g.all(id)
		var want strings.Builder
		for n := range pieces {
			fmt.Fprintf(&want, "%d:%d ", i, n)
		}
		if got := text(events); got != want.String() {
			t.Errorf("answer %d has %d bytes, want %d:\n%.2000s", i, len(got), want.Len(), firstDifference(got, want.String()))
		}
		if len(events) != pieces+1 || events[pieces].Type != "finish" {
			t.Errorf("answer %d has %d events, the last %q", i, len(events), events[len(events)-1])
		}
	}
}

func firstDifference(got, want string) string {
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	return fmt.Sprintf("at %d: …%.60q, want …%.60q", n, got[n:], want[n:])
}

// While NATS is away a handler that says much waits, and after Patience is told so.
func TestWorker_ServerAway(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s)
	var log logBuffer
	said, stop := make(chan int, 1), make(chan struct{})
	failed := make(chan error, 1)
	w := run(t, s, worker.Options{Buffer: 4 << 10, Patience: 300 * time.Millisecond, Logger: log.logger()}, func(_ context.Context, _ *worker.Question, a *worker.Answer) error {
		if err := a.Add("begun"); err != nil {
			return err
		}
		<-stop
		for n := 0; ; n++ {
			if err := a.Add(strings.Repeat("x", 100)); err != nil {
				said <- n
				failed <- err
				return err
			}
		}
	})
	id := g.ask(`1`)
	r := g.read(id)
	r.next()
	r.next()
	s.stop()
	close(stop)
	if n := <-said; n > 2*4<<10/100 {
		t.Errorf("%d events of 100 bytes were taken for a buffer of 4 KiB", n)
	}
	if err := <-failed; !errors.Is(err, worker.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "an answer has no end") {
		t.Errorf("log:\n%s", log.String())
	}
}

// The stream's limits may take an answer's events while it is given.
func TestWorker_ShortRetention(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s, func(c *natsjs.StreamConfig) { c.MaxMsgs = 1 })
	stored := make(chan struct{})
	run(t, s, worker.Options{Separate: true}, func(_ context.Context, _ *worker.Question, a *worker.Answer) error {
		if err := a.Add("one"); err != nil {
			return err
		}
		<-stored
		return a.Add("two")
	})
	id := g.ask(`1`)
	stream, err := g.js.Stream(within(t), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the first event", func() bool {
		m, err := stream.GetLastMsgForSubject(within(t), "events.answers."+id)
		return err == nil && string(m.Data) == "one"
	})
	if _, err := g.js.Publish(within(t), "events.other", nil); err != nil {
		t.Fatal(err)
	}
	close(stored)
	await(t, "the end", func() bool {
		m, err := stream.GetLastMsgForSubject(within(t), "events.answers."+id)
		return err == nil && m.Header.Get("Ringcast-Event") == "finish"
	})
}

func TestWorker_TooLarge(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s, func(c *natsjs.StreamConfig) { c.MaxMsgSize = 1 << 10 })
	sent, finished := make(chan error, 1), make(chan error, 1)
	run(t, s, worker.Options{Separate: true}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
		switch string(q.Body) {
		case `"for the server"`:
			sent <- a.Send("x", make([]byte, 9<<20))
			return a.Add("fine")
		case `"for the stream"`:
			err := a.Send("x", make([]byte, 2<<10))
			finished <- a.Finish(nil)
			return err
		case `"the last event"`:
			finished <- a.Finish(strings.Repeat("x", 2<<10))
		}
		return nil
	})
	wantEvents(t, g.all(g.ask(`"for the server"`)), event{"add", "fine"}, event{"finish", ""})
	if err := <-sent; !errors.Is(err, worker.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	for _, body := range []string{`"for the stream"`, `"the last event"`} {
		events := g.all(g.ask(body))
		if len(events) != 1 {
			t.Errorf("%s: %q", body, events)
		}
		wantFailure(t, events[0], "failed")
		if err := <-finished; !errors.Is(err, worker.ErrTooLarge) {
			t.Errorf("%s: finished with %v", body, err)
		}
	}
}

// When Run is to end, answers may go on for the grace; what is left then is ended.
func TestWorker_Shutdown(t *testing.T) {
	s := startNATS(t)
	g := newGateway(t, s)
	t.Run("in_its_grace", func(t *testing.T) {
		goOn := make(chan struct{})
		w := run(t, s, worker.Options{}, func(ctx context.Context, _ *worker.Question, a *worker.Answer) error {
			if err := a.Add("one "); err != nil {
				return err
			}
			<-goOn
			return a.Add("two")
		})
		id := g.ask(`1`)
		w.cancel()
		await(t, "no more questions", func() bool {
			_, err := g.nc.RequestMsgWithContext(within(t), g.question("chat", `2`))
			return errors.Is(err, nats.ErrNoResponders)
		})
		close(goOn)
		if err := w.wait(); err != nil {
			t.Error(err)
		}
		events := g.all(id)
		if text(events) != "one two" || events[len(events)-1] != (event{"finish", ""}) {
			t.Errorf("got %q", events)
		}
	})
	t.Run("after_its_grace", func(t *testing.T) {
		w := run(t, s, worker.Options{Grace: time.Millisecond}, func(ctx context.Context, _ *worker.Question, a *worker.Answer) error {
			if err := a.Add("one"); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
		id := g.ask(`1`)
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		wantEvents(t, g.all(id), event{"add", "one"}, event{"error", `{"reason":"shutdown","detail":"the worker shuts down"}`})
	})
	t.Run("with_the_connection_closed", func(t *testing.T) {
		nc := connect(t, s.ClientURL())
		cause := make(chan error, 1)
		w := runOn(t, nc, worker.Options{}, func(ctx context.Context, _ *worker.Question, a *worker.Answer) error {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return a.Add("more")
		})
		g.ask(`1`)
		nc.Close()
		if err := w.wait(); !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("Run: %v", err)
		}
		if err := <-cause; !errors.Is(err, worker.ErrUnavailable) {
			t.Errorf("cause %v", err)
		}
	})
}

// 500 answers at once: nothing mixed up, nothing lost. With the race detector 400 events
// of each would take minutes; as few pieces as events are enough where each is one.
func TestWorker_Load(t *testing.T) {
	const answers = 500
	for separate, pieces := range map[bool]int{true: 40, false: 400} {
		t.Run(fmt.Sprintf("separate_%v", separate), func(t *testing.T) {
			s := startNATS(t)
			g := newGateway(t, s)
			all := make(chan struct{})
			var started atomic.Int32
			run(t, s, worker.Options{Concurrency: answers, Separate: separate}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
				if started.Add(1) == answers {
					close(all)
				}
				<-all
				for i := range pieces {
					if err := a.Add(fmt.Sprintf("%s.%d ", q.Body, i)); err != nil {
						return err
					}
				}
				return nil
			})
			ids := make([]string, answers)
			for i := range ids {
				ids[i] = g.ask(fmt.Sprint(i))
			}
			begin := time.Now()
			var mu sync.Mutex
			texts, events, ended := map[string]*strings.Builder{}, 0, make(chan struct{})
			finished := 0
			sub, err := g.js.OrderedConsumer(within(t), "EVENTS", natsjs.OrderedConsumerConfig{})
			if err != nil {
				t.Fatal(err)
			}
			consume, err := sub.Consume(func(m natsjs.Msg) {
				mu.Lock()
				defer mu.Unlock()
				b := texts[m.Subject()]
				if b == nil {
					b = new(strings.Builder)
					texts[m.Subject()] = b
				}
				switch m.Headers().Get("Ringcast-Event") {
				case "add":
					events++
					b.Write(m.Data())
				case "finish":
					if finished++; finished == answers {
						close(ended)
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer consume.Stop()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatalf("%d of %d answers finished", finished, answers)
			}
			t.Logf("%d events of %d pieces in %v", events, answers*pieces, time.Since(begin))
			for i, id := range ids {
				var want strings.Builder
				for n := range pieces {
					fmt.Fprintf(&want, "%d.%d ", i, n)
				}
				if got := texts["events.answers."+id].String(); got != want.String() {
					t.Fatalf("answer %d: %s", i, firstDifference(got, want.String()))
				}
			}
			if separate && events != answers*pieces {
				t.Errorf("%d events, want one for each of %d pieces", events, answers*pieces)
			}
		})
	}
}

func TestNew(t *testing.T) {
	s := startNATS(t)
	nc := connect(t, s.ClientURL())
	for _, opt := range []worker.Options{{}, {Subject: "a..b"}, {Subject: "a b"}, {Subject: "a", Concurrency: -1}, {Subject: "a", Grace: -1}} {
		if _, err := worker.New(nc, opt); err == nil {
			t.Errorf("%+v makes a worker", opt)
		}
	}
}
