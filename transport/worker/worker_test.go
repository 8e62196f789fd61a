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
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"ringcast/transport/worker"
	"ringcast/transport/worker/workertest"
)

// hi answers every question.
func hi(_ context.Context, _ *worker.Question, a *worker.Answer) error { return a.Add("hi") }

func TestWorker_Answer(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	var asked *worker.Question
	workertest.Run(t, s, worker.Options{Separate: true, Subject: "chat.*"}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
		asked = q
		return errors.Join(a.Add("Hello"), a.Add(",\n  world"), a.Info(map[string]any{"references": []int{1}}), a.Send("tool", []byte("x")),
			a.Add("!"), a.Finish(map[string]any{"reason": "stop"}))
	})
	m := g.Question("chat.de", `{"a":1}`)
	if reply := g.Request(m); len(reply) > 0 {
		t.Fatalf("refused: %s", reply)
	}
	id := m.Header.Get("Ringcast-Ask-Id")
	wantEvents(t, g.All(id), said("add", "Hello"), said("add", ",\n  world"), said("info", `{"references":[1]}`), said("tool", "x"),
		said("add", "!"), said("finish", `{"reason":"stop"}`))
	got := *asked
	got.Header = nil
	if diff := cmp.Diff(worker.Question{ID: id, Subject: "chat.de", Identity: "Ann % é", Body: []byte(`{"a":1}`)}, got); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
	workertest.Await(t, "the end of what the gateway probes", func() bool { return !g.Alive(id) })
}

// How an answer ends whose handler does not say.
func TestWorker_End(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	var log workertest.Log
	workertest.Run(t, s, worker.Options{Logger: log.Logger()}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
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
		`"nil"`:                said("finish", ""),
		`"error"`:              said("error", `{"reason":"failed","detail":"no model"}`),
		`"failure"`:            said("error", `{"reason":"rate_limited","detail":"later","status":429,"retry_after":7}`),
		`"decode"`:             said("error", `{"reason":"invalid","detail":"json: cannot unmarshal string into Go value of type int","status":400}`),
		`"panic"`:              said("error", `{"reason":"failed","detail":"the worker failed"}`),
		`"fail, then nil"`:     said("error", `{"reason":"mine"}`),
		`"finish, then error"`: said("finish", ""),
		`"finish, then more"`:  said("finish", ""),
		`"from elsewhere"`:     said("finish", "1"),
	} {
		t.Run(body, func(t *testing.T) { wantEvents(t, g.All(g.Ask(body)), said("add", "hi"), want) })
	}
	for _, want := range []string{"a handler panicked", "panic=secret", "worker_test.go" /* of the stack */, "no model"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log.String())
		}
	}
}

// Text may be cut anywhere, and be of any size. It arrives as the same characters, and
// each event has whole ones.
func TestAnswer_Add(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	long := strings.Repeat("añb👩‍💻\r\n ", 20_000)
	pieces := map[string][]string{
		`"large"`:          {long},
		`"ends in a half"`: {"x", "\xf0\x9f"},
		`"empty"`:          {"", ""},
	}
	for _, b := range []byte("é👩‍💻 x\xff\xc3é") {
		pieces[`"by bytes"`] = append(pieces[`"by bytes"`], string([]byte{b}))
	}
	for _, separate := range []bool{true, false} {
		w := workertest.Run(t, s, worker.Options{Separate: separate, Buffer: 1000}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
			for _, piece := range pieces[string(q.Body)] {
				if err := a.Add(piece); err != nil {
					return err
				}
			}
			return nil
		})
		for body, want := range map[string]string{
			`"by bytes"`:       "é👩‍💻 x\uFFFD\uFFFDé",
			`"large"`:          long,
			`"ends in a half"`: "x\uFFFD",
			`"empty"`:          "",
		} {
			events := g.All(g.Ask(body))
			if got := workertest.Text(events); got != want {
				t.Errorf("%s: %s", body, firstDifference(got, want))
			}
			for _, e := range events {
				if !utf8.ValidString(e.Data) || e.Type == "add" && e.Data == "" {
					t.Errorf("%s: event %.40q", body, e)
				}
			}
		}
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// The answer's events go on with the trace of the question.
func TestAnswer_Trace(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	traced := make(chan trace.SpanContext, 1)
	workertest.Run(t, s, worker.Options{}, func(ctx context.Context, _ *worker.Question, _ *worker.Answer) error {
		traced <- trace.SpanContextFromContext(ctx)
		return nil
	})
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	m := g.Question("chat", `1`)
	m.Header["traceparent"] = []string{parent}
	g.Request(m)
	if got := <-traced; got.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || !got.IsRemote() {
		t.Errorf("the handler has %+v", got)
	}
	g.All(m.Header.Get("Ringcast-Ask-Id"))
	stream, err := g.JetStream.Stream(workertest.Within(t), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	last, err := stream.GetLastMsgForSubject(workertest.Within(t), m.Header.Get("Ringcast-Answer-Subject"))
	if err != nil || last.Header["traceparent"][0] != parent {
		t.Errorf("the last event has %v, %v", last, err)
	}
}

func TestWorker_Refuses(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
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
	var log workertest.Log
	workertest.Run(t, s, worker.Options{Check: check, Logger: log.Logger()}, hi)
	for body, want := range map[string]string{
		`1`:     `{"left":0,"reason":"quota","status":402}`,
		`2`:     `{"detail":"the worker cannot check the question","reason":"failed","status":500}`,
		`3`:     `{"status":500,"reason":"failed","detail":"the worker refuses the question"}`,
		`4`:     `{"detail":"the worker cannot check the question","reason":"failed","status":500}`,
		`{`:     `{"detail":"unexpected end of JSON input","reason":"invalid","status":400}`,
		`"yes"`: "",
	} {
		m := g.Question("chat", body)
		if got := string(g.Request(m)); got != want {
			t.Errorf("%s: reply %s, want %s", body, got, want)
		}
		if want == "" {
			wantEvents(t, g.All(m.Header.Get("Ringcast-Ask-Id")), said("add", "hi"), said("finish", ""))
		}
	}
	if !strings.Contains(log.String(), "database away") {
		t.Errorf("the log does not say why:\n%s", log.String())
	}
	t.Run("what_is_no_question", func(t *testing.T) {
		for _, change := range []func(*nats.Msg){
			func(m *nats.Msg) { m.Header = nil },
			func(m *nats.Msg) { m.Header.Del("Ringcast-Alive-Subject") },
			func(m *nats.Msg) { m.Header.Del("Ringcast-Answer-Sequence") },
			func(m *nats.Msg) { m.Header["Ringcast-Answer-Sequence"] = []string{"-1"} },
			func(m *nats.Msg) { m.Header["Ringcast-Cancel-Subject"] = []string{"_ask.>"} },
			func(m *nats.Msg) { m.Header["Ringcast-Answer-Subject"] = []string{"events. x"} },
		} {
			m := g.Question("chat", `"x"`)
			change(m)
			if got := string(g.Request(m)); !strings.Contains(got, `"status":400`) {
				t.Errorf("%v: reply %s", m.Header, got)
			}
		}
	})
}

// Two workers of a group share the questions; at their bound they refuse.
func TestWorker_Concurrency(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	const each = 4
	var answering [2]atomic.Int32
	release := make(chan struct{})
	for i := range answering {
		workertest.Run(t, s, worker.Options{Concurrency: each}, func(_ context.Context, _ *worker.Question, a *worker.Answer) error {
			answering[i].Add(1)
			<-release
			return a.Add("hi")
		})
	}
	var ids []string
	refused := 0
	for len(ids) < 2*each {
		m := g.Question("chat", `1`)
		switch reply := string(g.Request(m)); {
		case reply == "":
			ids = append(ids, m.Header.Get("Ringcast-Ask-Id"))
		case strings.Contains(reply, `"status":503`) && strings.Contains(reply, `"reason":"busy"`):
			refused++
		default:
			t.Fatalf("reply %s", reply)
		}
	}
	workertest.Await(t, "both at work", func() bool { return answering[0].Load() == each && answering[1].Load() == each })
	if got := string(g.Request(g.Question("chat", `1`))); !strings.Contains(got, `"status":503`) {
		t.Errorf("beyond the bound: reply %s", got)
	}
	close(release)
	for _, id := range ids {
		wantEvents(t, g.All(id), said("add", "hi"), said("finish", ""))
	}
	t.Logf("%d of %d questions refused before both were full", refused, refused+len(ids))
}

// A stop ends the handler's context; the last word is still said, and nothing after it.
func TestWorker_Stop(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	told := make(chan error, 3)
	workertest.Run(t, s, worker.Options{}, func(ctx context.Context, q *worker.Question, a *worker.Answer) error {
		if string(q.Body) != `"silent"` {
			if err := a.Add("begun"); err != nil {
				return err
			}
		}
		<-ctx.Done()
		told <- context.Cause(ctx)
		told <- a.Add("more")
		if string(q.Body) == `"finishes"` {
			return a.Finish(map[string]string{"reason": "stopped"})
		}
		told <- a.Info("more")
		if string(q.Body) == `"nil"` {
			return nil
		}
		return context.Cause(ctx)
	})
	stopped := said("error", `{"reason":"stopped","detail":"the answer was stopped"}`)
	begun := said("add", "begun")
	for body, want := range map[string][]event{
		`"nil"`:      {begun, stopped},
		`"error"`:    {begun, stopped},
		`"finishes"`: {begun, said("finish", `{"reason":"stopped"}`)},
		`"silent"`:   {stopped},
	} {
		id := g.Ask(body)
		if !g.Alive(id) {
			t.Error("nobody is at work")
		}
		g.Cancel(id)
		wantEvents(t, g.All(id), want...)
		for range 2 {
			if err := <-told; !errors.Is(err, worker.ErrStopped) {
				t.Errorf("%s: %v", body, err)
			}
		}
		if body != `"finishes"` {
			<-told
		}
	}
}

// What the gateway has ended stays ended, whatever the worker is about to say, and
// whether it is told or not.
func TestWorker_EndedElsewhere(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	for _, told := range []bool{false, true} {
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprintf("told_%v/begun_%v", told, begun), func(t *testing.T) {
				cause, handled := make(chan error, 1), make(chan error, 1)
				goOn := make(chan struct{})
				w := workertest.Run(t, s, worker.Options{}, func(ctx context.Context, _ *worker.Question, a *worker.Answer) error {
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
				id := g.Ask(`1`)
				r := g.Read(id)
				r.Next()
				if begun {
					r.Next()
				}
				end := &nats.Msg{Subject: "events.answers." + id, Header: nats.Header{"Ringcast-Event": {"error"}, "Ringcast-End": {"true"}}}
				if _, err := g.JetStream.PublishMsg(workertest.Within(t), end); err != nil {
					t.Fatal(err)
				}
				if told {
					if err := errors.Join(g.Conn.Publish("_ask."+id+".cancel", nil), g.Conn.Flush()); err != nil {
						t.Fatal(err)
					}
					workertest.Await(t, "the worker to hear of it", func() bool { return g.Alive(id) }) // on the same connection, later
				}
				close(goOn)
				if err := <-cause; !errors.Is(err, worker.ErrEnded) && !errors.Is(err, worker.ErrStopped) {
					t.Errorf("cause %v", err)
				}
				if err := <-handled; !errors.Is(err, worker.ErrEnded) {
					t.Errorf("finished after the end: %v", err)
				}
				if err := w.Stop(); err != nil {
					t.Error(err)
				}
				r.Next() // the end
				info, err := g.JetStream.Stream(workertest.Within(t), "EVENTS")
				if err != nil {
					t.Fatal(err)
				}
				last, err := info.GetLastMsgForSubject(workertest.Within(t), "events.answers."+id)
				if err != nil || last.Header.Get("Ringcast-End") != "true" {
					t.Errorf("after the end came %+v, %v", last, err)
				}
			})
		}
	}
}

// Nothing is lost, doubled or out of order while the NATS server is away for a moment.
func TestWorker_ServerRestart(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	const pieces, answers = 2000, 3
	halfway := make(chan struct{}, answers)
	goOn := make(chan struct{})
	workertest.Run(t, s, worker.Options{Separate: true, Buffer: 1 << 10}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
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
		ids = append(ids, g.Ask(fmt.Sprint(i)))
	}
	<-halfway
	s.Stop()
	s.Start()
	close(goOn)
	for i, id := range ids {
		events := g.All(id)
		var want strings.Builder
		for n := range pieces {
			fmt.Fprintf(&want, "%d:%d ", i, n)
		}
		if got := workertest.Text(events); got != want.String() {
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
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	var log workertest.Log
	taken, stop := make(chan int, 1), make(chan struct{})
	failed := make(chan error, 1)
	w := workertest.Run(t, s, worker.Options{Buffer: 4 << 10, Patience: 300 * time.Millisecond, Logger: log.Logger()}, func(_ context.Context, _ *worker.Question, a *worker.Answer) error {
		if err := a.Add("begun"); err != nil {
			return err
		}
		<-stop
		for n := 0; ; n++ {
			if err := a.Add(strings.Repeat("x", 100)); err != nil {
				taken <- n
				failed <- err
				return err
			}
		}
	})
	id := g.Ask(`1`)
	r := g.Read(id)
	r.Next()
	r.Next()
	s.Stop()
	close(stop)
	if n := <-taken; n > 2*4<<10/100 {
		t.Errorf("%d events of 100 bytes were taken for a buffer of 4 KiB", n)
	}
	if err := <-failed; !errors.Is(err, worker.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "an answer has no end") {
		t.Errorf("log:\n%s", log.String())
	}
}

// The stream's limits may take an answer's events while it is given.
func TestWorker_ShortRetention(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s, func(c *natsjs.StreamConfig) { c.MaxMsgs = 1 })
	stored := make(chan struct{})
	workertest.Run(t, s, worker.Options{Separate: true}, func(_ context.Context, _ *worker.Question, a *worker.Answer) error {
		if err := a.Add("one"); err != nil {
			return err
		}
		<-stored
		return a.Add("two")
	})
	id := g.Ask(`1`)
	stream, err := g.JetStream.Stream(workertest.Within(t), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	workertest.Await(t, "the first event", func() bool {
		m, err := stream.GetLastMsgForSubject(workertest.Within(t), "events.answers."+id)
		return err == nil && string(m.Data) == "one"
	})
	if _, err := g.JetStream.Publish(workertest.Within(t), "events.other", nil); err != nil {
		t.Fatal(err)
	}
	close(stored)
	workertest.Await(t, "the end", func() bool {
		m, err := stream.GetLastMsgForSubject(workertest.Within(t), "events.answers."+id)
		return err == nil && m.Header.Get("Ringcast-Event") == "finish"
	})
}

func TestWorker_TooLarge(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s, func(c *natsjs.StreamConfig) { c.MaxMsgSize = 1 << 10 })
	sent, finished := make(chan error, 1), make(chan error, 1)
	workertest.Run(t, s, worker.Options{Separate: true}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
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
	wantEvents(t, g.All(g.Ask(`"for the server"`)), said("add", "fine"), said("finish", ""))
	if err := <-sent; !errors.Is(err, worker.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	for _, body := range []string{`"for the stream"`, `"the last event"`} {
		events := g.All(g.Ask(body))
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
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	t.Run("in_its_grace", func(t *testing.T) {
		goOn := make(chan struct{})
		w := workertest.Run(t, s, worker.Options{}, func(ctx context.Context, _ *worker.Question, a *worker.Answer) error {
			if err := a.Add("one "); err != nil {
				return err
			}
			<-goOn
			return a.Add("two")
		})
		id := g.Ask(`1`)
		w.End()
		workertest.Await(t, "no more questions", func() bool {
			_, err := g.Conn.RequestMsgWithContext(workertest.Within(t), g.Question("chat", `2`))
			return errors.Is(err, nats.ErrNoResponders)
		})
		close(goOn)
		if err := w.Wait(); err != nil {
			t.Error(err)
		}
		events := g.All(id)
		if workertest.Text(events) != "one two" || events[len(events)-1] != said("finish", "") {
			t.Errorf("got %q", events)
		}
	})
	t.Run("after_its_grace", func(t *testing.T) {
		w := workertest.Run(t, s, worker.Options{Grace: time.Millisecond}, func(ctx context.Context, _ *worker.Question, a *worker.Answer) error {
			if err := a.Add("one"); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
		id := g.Ask(`1`)
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
		wantEvents(t, g.All(id), said("add", "one"), said("error", `{"reason":"shutdown","detail":"the worker shuts down"}`))
	})
	t.Run("with_the_connection_closed", func(t *testing.T) {
		nc := workertest.Connect(t, s.ClientURL())
		cause := make(chan error, 1)
		w := workertest.RunOn(t, nc, worker.Options{}, func(ctx context.Context, _ *worker.Question, a *worker.Answer) error {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return a.Add("more")
		})
		g.Ask(`1`)
		nc.Close()
		if err := w.Wait(); !errors.Is(err, nats.ErrConnectionClosed) {
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
	for separate, pieces := range map[bool]int{true: 20, false: 400} {
		t.Run(fmt.Sprintf("separate_%v", separate), func(t *testing.T) {
			s := workertest.StartNATS(t)
			g := workertest.NewGateway(t, s)
			all := make(chan struct{})
			var started atomic.Int32
			workertest.Run(t, s, worker.Options{Concurrency: answers, Separate: separate}, func(_ context.Context, q *worker.Question, a *worker.Answer) error {
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
				ids[i] = g.Ask(fmt.Sprint(i))
			}
			begin := time.Now()
			var mu sync.Mutex
			texts, events, ended := map[string]*strings.Builder{}, 0, make(chan struct{})
			finished := 0
			sub, err := g.JetStream.OrderedConsumer(workertest.Within(t), "EVENTS", natsjs.OrderedConsumerConfig{})
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
			case <-time.After(workertest.Patience):
				mu.Lock()
				defer mu.Unlock()
				t.Fatalf("%d of %d answers finished, with %d events", finished, answers, events)
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
	s := workertest.StartNATS(t)
	nc := workertest.Connect(t, s.ClientURL())
	for _, opt := range []worker.Options{{}, {Subject: "a..b"}, {Subject: "a b"}, {Subject: "a", Concurrency: -1}, {Subject: "a", Grace: -1}} {
		if _, err := worker.New(nc, opt); err == nil {
			t.Errorf("%+v makes a worker", opt)
		}
	}
}
