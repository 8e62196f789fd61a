package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ringcast/broker"
	"ringcast/transport/ask"
	"ringcast/transport/jetstream"
	"ringcast/transport/worker"
)

// publisher is a Publisher whose calls a test has in its hand.
type publisher struct {
	ask.Publisher
	after func(p broker.Publication, store func() (uint64, error)) (uint64, error)
}

func (p publisher) PublishAfter(ctx context.Context, e broker.Publication, last uint64) (uint64, error) {
	return p.after(e, func() (uint64, error) { return p.Publisher.PublishAfter(ctx, e, last) })
}

func publishing(after func(p broker.Publication, store func() (uint64, error)) (uint64, error)) func(*ask.Options) {
	return func(o *ask.Options) { o.Publisher = publisher{o.Publisher, after} }
}

// A worker that has spoken while the gateway was busy with other answers is not found to
// be silent for the time before.
func TestAsk_BusyWatch(t *testing.T) {
	const others = 64 // all that is done at a time
	var ending atomic.Int32
	release := make(chan struct{})
	r := newRig(t, asking(func(o *ask.Options) { o.SilenceTimeout, o.ProbeInterval = time.Second, time.Minute }, publishing(
		func(p broker.Publication, store func() (uint64, error)) (uint64, error) {
			if p.Type == ask.TypeError {
				ending.Add(1)
				<-release
			}
			return store()
		})))
	probed, speak, finish := make(chan struct{}, 10), make(chan struct{}), make(chan struct{})
	text := ""
	r.worker("busy", func(q question) {
		defer q.serves(worker.HeaderAlive, func() { probed <- struct{}{} })()
		q.reply("")
		<-probed // which comes once
		for ending.Load() < others {
			q.send(ask.TypeAdd, ".")
			text += "."
			time.Sleep(100 * time.Millisecond)
		}
		<-speak
		before := r.hub.Head().Seq
		q.send(ask.TypeAdd, "!")
		text += "!"
		r.await("it to be heard", func() bool { return r.hub.Head().Seq > before })
		close(release)
		<-finish
		q.send(ask.TypeFinish, "")
	})
	r.worker("dead", func(q question) { q.reply(""); q.send(ask.TypeAdd, "x") })
	s := r.ask("busy", `{}`)
	for range others {
		if res, text := r.do(http.MethodPost, "/v1/ask/dead", `{}`, "Content-Type", jsonBody, "Prefer", "respond-async"); res.StatusCode != http.StatusAccepted {
			t.Fatalf("%s %s", res.Status, text)
		}
	}
	r.await("all others to be ended", func() bool { return ending.Load() == others })
	time.Sleep(2 * time.Second) // until this one too is due: nothing tells
	close(speak)
	r.await("the others to be ended", func() bool { return r.desk.Tally().Answers["silent"] >= others })
	close(finish)
	got := s.untilEnd()
	if last := got[len(got)-1]; last != "finish " || strings.Join(got[1:len(got)-1], "") != strings.ReplaceAll(strings.ReplaceAll(text, ".", "add ."), "!", "add !") {
		t.Errorf("%q", got)
	}
}

// An answer whose events have left the stream ends as any other, although there is nothing
// left to come after.
func TestAsk_LeftTheStream(t *testing.T) {
	r := newRig(t, asking(func(o *ask.Options) { o.SilenceTimeout = 1500 * time.Millisecond }))
	r.worker("chat", func(q question) { q.reply(""); q.send(ask.TypeAdd, "so far ") })
	s := r.ask("chat", `{}`)
	s.read(2)
	js, err := r.nats.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := js.PurgeStream(stream); err != nil {
		t.Fatal(err)
	}
	r.await("its end", func() bool { return r.desk.Tally().Answers["silent"] == 1 })
	if got := s.untilEnd(); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], `error {"reason":"silent"`) {
		t.Errorf("%q", got)
	}
}

// Whoever reads an answer whose stream is made again in the middle is told so, and has an
// end: the rest where the worker goes on, else an error; and so is who comes only then.
func TestAsk_StreamMadeAgain(t *testing.T) {
	r := newRig(t, asking(func(o *ask.Options) { o.SilenceTimeout = 2 * time.Second }))
	goOn := make(chan struct{})
	r.worker("dead", func(q question) { q.reply(""); q.send(ask.TypeAdd, "so far ") })
	r.worker("alive", inTwo("so far ", goOn, "and on"))
	r.publishMany("events.x", 50) // so that the stream that is made again is shorter
	alive, dead := r.ask("alive", `{}`), r.ask("dead", `{}`)
	late, _ := r.do(http.MethodPost, "/v1/ask/dead", `{}`, "Content-Type", jsonBody, "Prefer", "respond-async")
	waits := make(chan *http.Response)
	go func() {
		res, _ := r.do(http.MethodGet, "/v1/ask/"+dead.res.Header.Get("Ringcast-Ask-Id"), "", "Accept", jsonBody)
		waits <- res
	}()
	for _, s := range []*subscriber{alive, dead} {
		s.read(2)
	}
	r.await("all to be under way", func() bool { return r.hub.Head().Seq == 56 && r.hub.Subscriptions() == 4 })
	r.makeStreamAgain()
	if res := <-waits; res.StatusCode != http.StatusNotFound {
		t.Errorf("who waits for the whole: %s", res.Status)
	}
	for _, s := range []*subscriber{alive, dead} {
		if m := s.next(); m.Type != "ringcast.gap" {
			t.Errorf("%+v", m)
		}
	}
	close(goOn)
	if got := alive.untilEnd(); !slices.Equal(got, []string{"add and on", "finish "}) {
		t.Errorf("%q", got)
	}
	comes := r.open(r.request(http.MethodGet, late.Header.Get("Location"), "", browser...))
	for _, s := range []*subscriber{dead, comes} {
		if got := s.untilEnd(); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], `error {"reason":"silent"`) {
			t.Errorf("%q", got)
		}
	}
	r.await("all to be let go", func() bool { return r.desk.Tally().Open == 0 })
}

func (r *rig) makeStreamAgain() {
	r.t.Helper()
	js, err := r.nats.JetStream()
	if err == nil {
		err = js.DeleteStream(stream)
	}
	if err == nil {
		err = r.client.EnsureStream(context.Background(), r.opts.stream)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// Of an answer that is gone with its stream nobody is kept waiting who comes back to it: an
// EventSource is told, then that there is nothing more. Nor is what a stream that was made
// again has of an answer taken for the whole.
func TestAsk_Gone(t *testing.T) {
	r := newRig(t, asking())
	r.worker("chat", echo)
	r.publishMany("events.x", 10)
	s := r.ask("chat", `{"say":"x"}`)
	events := s.untilEnd()
	location := s.res.Header.Get("Location")
	url := func(lastEventID string) *http.Request {
		return r.request(http.MethodGet, location, "", append(browser, "Last-Event-ID", lastEventID)...)
	}
	if got := r.open(url("")).untilEnd(); !slices.Equal(got, events) {
		t.Errorf("%s: %q", location, got)
	}
	r.makeStreamAgain()
	r.await("it to be noticed", func() bool { return r.reader.Status().Resets == 1 })
	for _, more := range []int{0, 100} { // what the stream has now is shorter, and longer
		r.publishMany("events.x", more)
		back := r.open(url(""))
		gap := back.next()
		if rest := back.untilEnd(); gap.Type != "ringcast.gap" || !strings.Contains(string(gap.Data), `"reason":"reset"`) || len(rest) > 0 {
			t.Errorf("%d events: %+v, then %q", more, gap, rest)
		}
		if again := r.open(url(gap.LastEventID)); again.res.StatusCode != http.StatusNoContent {
			t.Errorf("%d events: %s", more, again.res.Status)
		}
	}
	id := s.res.Header.Get("Ringcast-Ask-Id")
	r.publish("events.answers."+id, "the rest", jetstream.TypeHeader, ask.TypeFinish, jetstream.EndHeader, "true")
	if res, text := r.do(http.MethodGet, "/v1/ask/"+id, "", "Accept", jsonBody); res.StatusCode != http.StatusNotFound {
		t.Errorf("%s %s", res.Status, text)
	}
}

// An answer of which there is nothing yet is waited for.
func TestAsk_StillToCome(t *testing.T) {
	r := newRig(t, asking())
	const id = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	head := r.publish("events.x", "")
	query := "subject=events.answers." + id + "&from=" + head.String()
	for _, s := range []*subscriber{r.subscribe(query), r.subscribe("subject=events.answers." + id)} {
		s.primed()
		defer func() {
			if got := s.untilEnd(); !slices.Equal(got, []string{"finish "}) {
				t.Errorf("%q", got)
			}
		}()
	}
	r.publish("events.answers."+id, "", jetstream.TypeHeader, ask.TypeFinish, jetstream.EndHeader, "true")
}

// Who waits for a whole answer does not get its end alone, as where the stream was made again
// just after the question was asked.
func TestAsk_OnlyTheRest(t *testing.T) {
	r := newRig(t, asking(publishing(func(p broker.Publication, store func() (uint64, error)) (uint64, error) {
		seq, err := store()
		if p.Type == ask.TypeAsk {
			seq += 2
		}
		return seq, err
	})))
	r.worker("chat", echo)
	if code, _, _ := r.askWhole("chat", `{"say":"one two three"}`); code != http.StatusNotFound {
		t.Error(code)
	}
}

// While the stream is away nothing is known of workers, and that is not said four times a
// second.
func TestAsk_StreamAway(t *testing.T) {
	var ends, lines atomic.Int32
	r := newRig(t, asking(func(o *ask.Options) {
		o.SilenceTimeout = 300 * time.Millisecond
		o.Logger = slog.New(slog.NewTextHandler(writes(func() { lines.Add(1) }), nil))
	}, publishing(func(p broker.Publication, store func() (uint64, error)) (uint64, error) {
		if p.Type == ask.TypeError && ends.Add(1) < 5 {
			return 0, broker.ErrNoStream
		}
		return store()
	})))
	r.worker("chat", func(q question) { q.reply(""); q.send(ask.TypeAdd, "so far ") })
	if got := r.ask("chat", `{}`).untilEnd(); !strings.HasPrefix(got[len(got)-1], `error {"reason":"silent"`) {
		t.Errorf("%q", got)
	}
	if n := lines.Load(); n != 0 {
		t.Errorf("%d lines", n)
	}
}

// writes is told of each write.
type writes func()

func (w writes) Write(b []byte) (int, error) { w(); return len(b), nil }

// Who asks is not kept waiting for a claim that this gateway never takes in, as when its
// stream was made again in between.
func TestAsk_ClaimLeft(t *testing.T) {
	const far = 1000
	claims := 0
	r := newRig(t, asking(publishing(func(p broker.Publication, store func() (uint64, error)) (uint64, error) {
		seq, err := store()
		if p.Type != ask.TypeAsk || err != nil {
			return seq, err
		}
		if claims++; claims == 2 {
			seq += far
		}
		return seq, err
	})))
	key := []string{"Idempotency-Key", "k1"}
	for range 2 { // at first there is no worker, and then no claim
		if s := r.ask("chat", `{}`, key...); s.res.StatusCode != http.StatusServiceUnavailable || s.res.Header.Get("Retry-After") == "" {
			t.Error(s.res.Status)
		}
	}
	if claims != 2 {
		t.Errorf("%d claims", claims)
	}
}

// A worker that is faster than the gateway, so that nothing gets in between its events, is
// stopped too when it has said too much.
func TestAsk_FastAndTooLarge(t *testing.T) {
	var fast atomic.Pointer[question]
	r := newRig(t, asking(func(o *ask.Options) { o.MaxBytes = 1000 }, publishing(
		func(p broker.Publication, store func() (uint64, error)) (uint64, error) {
			if q := fast.Load(); q != nil && p.Type == ask.TypeError {
				q.send(ask.TypeAdd, "and more ")
			}
			return store()
		})))
	r.worker("fast", func(q question) {
		defer q.serves(worker.HeaderCancel, func() {
			if fast.Swap(nil) != nil {
				q.send(ask.TypeError, `{"reason":"told","status":500}`)
			}
		})()
		fast.Store(&q)
		q.reply("")
		q.send(ask.TypeAdd, strings.Repeat("x", 1001))
		r.await("its end", func() bool { return r.desk.Tally().Answers["error"] == 1 })
	})
	code, whole, _ := r.askWhole("fast", `{}`)
	if code != http.StatusInternalServerError || !strings.HasPrefix(whole.Text, "xxx") {
		t.Errorf("%d %.100q, %s", code, whole.Text, whole.Error)
	}
}

// A worker that is away for a moment, as when its NATS server is restarted, is not gone.
func TestAsk_WorkerAway(t *testing.T) {
	r := newRig(t, asking(func(o *ask.Options) { o.ProbeInterval = 4 * time.Second }))
	r.worker("chat", func(q question) {
		probed := make(chan struct{}, 100)
		isProbed := func() {
			select {
			case <-probed:
			case <-time.After(patience):
				t.Error("nobody asks whether the worker is there")
			}
		}
		stop := q.serves(worker.HeaderAlive, func() { probed <- struct{}{} })
		q.reply("")
		isProbed()
		q.send(ask.TypeAdd, "so ")
		isProbed()
		stop()
		time.Sleep(7 * time.Second) // of which the gateway finds nobody for 3 s
		defer q.serves(worker.HeaderAlive, func() { probed <- struct{}{} })()
		isProbed()
		q.send(ask.TypeFinish, "")
	})
	if code, whole, _ := r.askWhole("chat", `{}`); code != http.StatusOK || whole.Text != "so " {
		t.Errorf("%d %+v", code, whole)
	}
}

// A claim whose acknowledgement was lost is found again, and the question is asked once.
// Where it cannot be looked for it is given up, and who asks with the same key once more has
// the question answered; and so it is where the stream takes no word of that nobody was asked.
func TestAsk_LostClaim(t *testing.T) {
	for name, lose := range map[string]func(p broker.Publication, store func() (uint64, error)) error{
		"found": func(p broker.Publication, store func() (uint64, error)) error {
			_, _ = store()
			return broker.ErrUnavailable
		},
		"given up": func(p broker.Publication, store func() (uint64, error)) error {
			_, _ = store()
			return broker.ErrOverloaded
		},
	} {
		t.Run(name, func(t *testing.T) {
			var lost atomic.Bool
			a := newRig(t, met("a"), asking(publishing(func(p broker.Publication, store func() (uint64, error)) (uint64, error) {
				if p.Type == ask.TypeAsk && lost.CompareAndSwap(false, true) {
					return 0, lose(p, store)
				}
				return store()
			})))
			b := a.beside("b", asking())
			a.worker("chat", echo)
			key := []string{"Idempotency-Key", "k1"}
			s := a.ask("chat", `{"say":"x"}`, key...)
			if name == "given up" {
				if s.res.StatusCode != http.StatusServiceUnavailable {
					t.Fatal(s.res.Status)
				}
				b.await("the claim to be given up", func() bool { return b.desk.Tally().Answers["not_accepted"] == 1 })
			}
			if code, whole, _ := b.askWhole("chat", `{"say":"x"}`, key...); code != http.StatusOK || whole.Text != "x" {
				t.Errorf("%d %+v", code, whole)
			}
			if n := a.desk.Tally().Questions["accepted"] + b.desk.Tally().Questions["accepted"]; n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// A question that no worker took, of which the stream could not be told, can be asked anew.
func TestAsk_LostRefusal(t *testing.T) {
	var lost atomic.Bool
	r := newRig(t, asking(publishing(func(p broker.Publication, store func() (uint64, error)) (uint64, error) {
		if p.Type == ask.TypeError && lost.CompareAndSwap(false, true) {
			return 0, fmt.Errorf("lost: %w", broker.ErrUnavailable)
		}
		return store()
	})))
	key := []string{"Idempotency-Key", "k1"}
	if s := r.ask("chat", `{"say":"x"}`, key...); s.res.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(s.res.Status)
	}
	r.worker("chat", echo)
	r.await("the claim to be given up", func() bool { return r.desk.Tally().Answers["not_accepted"] == 1 })
	if code, whole, _ := r.askWhole("chat", `{"say":"x"}`, key...); code != http.StatusOK || whole.Text != "x" {
		t.Errorf("%d %+v", code, whole)
	}
}

// The time for the first event begins when the question is accepted, and to wait for that
// is not the client's time.
func TestAsk_SlowToAccept(t *testing.T) {
	r := newRig(t, asking(func(o *ask.Options) { o.AcceptTimeout, o.FirstTimeout = patience, 300*time.Millisecond }),
		func(o *rigOptions) { o.gateway.WriteTimeout = 500 * time.Millisecond })
	r.worker("chat", func(q question) {
		time.Sleep(1500 * time.Millisecond)
		echo(q)
	})
	r.worker("refuses", func(q question) {
		time.Sleep(1500 * time.Millisecond)
		q.reply(`{"status":418}`)
	})
	if got := r.ask("chat", `{"say":"x"}`).untilEnd(); len(got) != 4 || !strings.HasPrefix(got[3], "finish ") {
		t.Errorf("%q", got)
	}
	if code, whole, _ := r.askWhole("chat", `{"say":"x"}`); code != http.StatusOK || whole.Text != "x" {
		t.Errorf("%d %+v", code, whole)
	}
	if s := r.ask("refuses", `{}`); s.res.StatusCode != http.StatusTeapot {
		t.Error(s.res.Status)
	}
}

// How an answer is cut into events says nothing of its size, and its JSON is text
// whatever the worker says.
func TestAsk_SmallPieces(t *testing.T) {
	const pieces = 300
	r := newRig(t, asking(func(o *ask.Options) { o.MaxBytes = 2 * pieces }))
	r.worker("chat", func(q question) {
		q.reply("")
		for range pieces {
			q.send(ask.TypeAdd, "ab")
		}
		q.send(ask.TypeFinish, "\"\xff\"")
	})
	code, whole, _ := r.askWhole("chat", `{}`)
	if code != http.StatusOK || whole.Text != strings.Repeat("ab", pieces) || string(whole.Finish) != "\"\\\"\\ufffd\\\"\"" {
		t.Errorf("%d %d bytes of text, finish %s, error %s", code, len(whole.Text), whole.Finish, whole.Error)
	}
}

// A question that is asked anew has the gateway know that before anybody reads its answer,
// which has ended until then.
func TestAsk_Anew(t *testing.T) {
	r := newRig(t, asking())
	var asked sync.Map
	r.worker("chat", func(q question) {
		if _, before := asked.Swap(q.Header.Get(worker.HeaderID), true); !before {
			q.reply(`{"status":503}`)
			return
		}
		claim, err := strconv.ParseUint(q.Header.Get(worker.HeaderSequence), 10, 64)
		if head := r.hub.Head().Seq; err != nil || head < claim {
			t.Errorf("asked after event %d, and the gateway has taken in %d, %v", claim, head, err)
		}
		echo(q)
	})
	for n := range 20 {
		key := []string{"Idempotency-Key", fmt.Sprint("k", n)}
		if s := r.ask("chat", `{"say":"x"}`, key...); s.res.StatusCode != http.StatusServiceUnavailable {
			t.Fatal(s.res.Status)
		}
		if s := r.ask("chat", `{"say":"x"}`, key...); s.res.StatusCode != http.StatusOK {
			t.Error(s.res.Status)
		}
	}
}
