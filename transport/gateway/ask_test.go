package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"

	"ringcast/transport/ask"
	"ringcast/transport/gateway"
	"ringcast/transport/jetstream"
	"ringcast/transport/worker"
)

// asking has a gateway take questions. Its times are short, and change makes others of them.
func asking(change ...func(*ask.Options)) func(*rigOptions) {
	return func(o *rigOptions) {
		o.ask = func(opts *ask.Options) {
			opts.AcceptTimeout, opts.ProbeInterval = 2*time.Second, 50*time.Millisecond
			for _, c := range change {
				c(opts)
			}
		}
	}
}

func (r *rig) takeQuestions(o *gateway.Options) {
	r.t.Helper()
	if r.opts.ask == nil {
		return
	}
	opts := ask.Options{
		Answers: "events.answers", Hub: r.hub, Log: r.ring, History: r.history, Publisher: r.client, Conn: r.client.Core(),
		Peers: o.Peers, Logger: o.Logger,
	}
	r.opts.ask(&opts)
	var err error
	if o.Ask, err = ask.New(opts); err != nil {
		r.t.Fatal(err)
	}
	r.desk = o.Ask
	r.background(o.Ask.Run)
}

// question is one that a worker has got.
type question struct {
	*nats.Msg
	t  testing.TB
	nc *nats.Conn
}

// worker has questions on the subject answered by do, each in a goroutine, until the test
// ends. It is called before the question is accepted.
func (r *rig) worker(subject string, do func(q question)) {
	r.t.Helper()
	nc, err := nats.Connect(r.embedded.ClientURL())
	if err != nil {
		r.t.Fatal(err)
	}
	var running sync.WaitGroup
	if _, err := nc.QueueSubscribe("ask."+subject, "workers", func(m *nats.Msg) {
		running.Go(func() { do(question{m, r.t, nc}) })
	}); err != nil {
		r.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close(); running.Wait() })
}

func (q question) reply(text string) {
	if err := q.Respond([]byte(text)); err != nil {
		q.t.Error(err)
	}
}

// send publishes an event of the answer; the last ones are finish and error.
func (q question) send(typ, data string) {
	msg := &nats.Msg{Subject: q.Header.Get(worker.HeaderAnswer), Data: []byte(data), Header: nats.Header{jetstream.TypeHeader: {typ}}}
	if typ == ask.TypeFinish || typ == ask.TypeError {
		msg.Header[jetstream.EndHeader] = []string{"true"}
	}
	if _, err := q.nc.RequestMsg(msg, patience); err != nil && !q.nc.IsClosed() { // the test has ended
		q.t.Errorf("send %s: %v", typ, err)
	}
}

// inTwo answers in two pieces, the second one when goOn is closed.
func inTwo(first string, goOn <-chan struct{}, second string) func(question) {
	return func(q question) {
		q.reply("")
		q.send(ask.TypeAdd, first)
		<-goOn
		q.send(ask.TypeAdd, second)
		q.send(ask.TypeFinish, "")
	}
}

// serves subscribes to one of the question's subjects until the test ends, or stop is
// called, and answers everything there.
func (q question) serves(header string, heard func()) (stop func()) {
	sub, err := q.nc.Subscribe(q.Header.Get(header), func(m *nats.Msg) {
		_ = m.Respond(nil)
		heard()
	})
	if err == nil {
		err = q.nc.Flush()
	}
	if err != nil {
		q.t.Error(err)
	}
	return func() { _ = sub.Unsubscribe(); _ = q.nc.Flush() }
}

// echo answers with the words of {"say":"…"}, one by one.
func echo(q question) {
	var body struct{ Say string }
	if err := json.Unmarshal(q.Data, &body); err != nil {
		q.t.Error(err)
	}
	q.reply("")
	for _, word := range strings.SplitAfter(body.Say, " ") {
		q.send(ask.TypeAdd, word)
	}
	q.send("info", `{"references":[1]}`)
	q.send(ask.TypeFinish, `{"reason":"stop"}`)
}

const jsonBody = "application/json"

// ask asks, with pairs of headers.
func (r *rig) ask(path, body string, header ...string) *subscriber {
	r.t.Helper()
	return r.open(r.request(http.MethodPost, "/v1/ask/"+path, body, append([]string{"Content-Type", jsonBody}, header...)...))
}

func (r *rig) askWhole(path, body string, header ...string) (int, wholeAnswer, http.Header) {
	r.t.Helper()
	res, text := r.do(http.MethodPost, "/v1/ask/"+path, body, append([]string{"Content-Type", jsonBody, "Accept", jsonBody}, header...)...)
	return res.StatusCode, readWhole(r.t, text), res.Header
}

type wholeAnswer struct {
	ID     string
	Text   string
	Events []struct{ Type, Data string }
	Finish json.RawMessage
	Error  json.RawMessage
}

func readWhole(t testing.TB, text string) (w wholeAnswer) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return w
}

// until reads a stream to its end and returns "type data" of each event.
func (s *subscriber) untilEnd() (events []string) {
	s.t.Helper()
	for {
		m, err := s.dec.Next()
		if err == io.EOF {
			return events
		}
		if err != nil {
			s.t.Fatalf("%v after %q", err, events)
		}
		events = append(events, m.Type+" "+string(m.Data))
	}
}

// A question is answered by a stream, from what was asked to the worker's last word, with
// an id of the answer's own on every event, and a clean end.
func TestAsk_Stream(t *testing.T) {
	r := newRig(t, asking())
	got := make(chan nats.Header, 1)
	r.worker("chat.fast", func(q question) { got <- q.Header; echo(q) })
	s := r.ask("chat.fast", `{"say":"  two  words"}`)
	if s.res.StatusCode != http.StatusOK || s.res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatal(s.res.Status, s.res.Header)
	}
	id := s.res.Header.Get("Ringcast-Ask-Id")
	events := s.untilEnd()
	if len(events) == 0 || !strings.HasPrefix(events[0], `ask {"id":"`+id+`","subject":"chat.fast",`) || !ask.ValidID(id) {
		t.Fatalf("id %q, %q", id, events)
	}
	want := []string{"add  ", "add  ", "add two ", "add  ", "add words", `info {"references":[1]}`, `finish {"reason":"stop"}`}
	if !slices.Equal(events[1:], want) {
		t.Errorf("got  %q\nwant %q", events[1:], want)
	}
	header := <-got
	for name, value := range map[string]string{
		worker.HeaderID: id, worker.HeaderAnswer: "events.answers." + id, worker.HeaderCancel: "_ask." + id + ".cancel", worker.HeaderAlive: "_ask." + id + ".alive",
		worker.HeaderSequence: "1",
	} {
		if header.Get(name) != value {
			t.Errorf("header %s is %q, want %q", name, header.Get(name), value)
		}
	}
	if header.Get(worker.HeaderIdentity) != "" {
		t.Error("somebody is named who is not known")
	}
	if n := strings.Count(s.raw.buf.String(), "id: "); n != len(events) {
		t.Errorf("%d ids for %d events: %s", n, len(events), s.raw.buf.String())
	}
	location := s.res.Header.Get("Location")
	again := r.open(r.request(http.MethodGet, location, "", browser...))
	if got := again.untilEnd(); !slices.Equal(got, events) {
		t.Errorf("%s: %q", location, got)
	}
}

// The forms of one answer: as JSON when the headers or the body say so, by URL, in JSON
// events, again by its id, and after its end.
func TestAsk_Forms(t *testing.T) {
	r := newRig(t, asking())
	r.worker("chat", echo)
	code, whole, header := r.askWhole("chat", `{"say":"a b"}`)
	if code != http.StatusOK || whole.Text != "a b" || string(whole.Finish) != `{"reason":"stop"}` || string(whole.Error) != "null" ||
		len(whole.Events) != 4 || whole.Events[0].Type != "add" || whole.Events[0].Data != "a " || whole.ID != header.Get("Ringcast-Ask-Id") {
		t.Errorf("%d %+v", code, whole)
	}
	for _, body := range []string{`{"say":"x","stream":false}`, `{"say":"x","do_stream":false}`} {
		res, text := r.do(http.MethodPost, "/v1/ask/chat", body, "Content-Type", jsonBody)
		if res.Header.Get("Content-Type") != jsonBody || readWhole(t, text).Text != "x" {
			t.Errorf("%s: %s %s", body, res.Status, text)
		}
	}
	if s := r.ask("chat", `{"say":"x","stream":false}`, "Accept", "text/event-stream"); s.res.Header.Get("Content-Type") != "text/event-stream" {
		t.Error("the body has won over Accept")
	}

	res, text := r.do(http.MethodPost, "/v1/ask/chat", `{"say":"later"}`, "Content-Type", jsonBody, "Prefer", "wait=5, respond-async")
	var async struct{ ID, URL, Expires string }
	if err := json.Unmarshal([]byte(text), &async); err != nil || res.StatusCode != http.StatusAccepted || async.Expires != "" ||
		res.Header.Get("Preference-Applied") != "respond-async" || res.Header.Get("Location") != async.URL {
		t.Fatalf("%s %s %v", res.Status, text, res.Header)
	}
	events := r.open(r.request(http.MethodGet, async.URL, "", browser...)).untilEnd()
	if len(events) != 4 || events[1] != "add later" {
		t.Errorf("%q", events)
	}

	res, text = r.do(http.MethodGet, "/v1/ask/"+async.ID, "", "Accept", jsonBody)
	if res.StatusCode != http.StatusOK || readWhole(t, text).Text != "later" {
		t.Errorf("%s %s", res.Status, text)
	}
	s := r.open(r.request(http.MethodGet, "/v1/ask/"+async.ID+"?format=json", ""))
	var event struct{ ID, Subject, Type, Data string }
	last := ""
	for {
		m, err := s.dec.Next()
		if err != nil {
			break
		}
		if err := json.Unmarshal(m.Data, &event); err != nil || event.Type != m.Type || event.ID != m.LastEventID || event.Subject != "events.answers."+async.ID {
			t.Errorf("%s: %v", m.Data, err)
		}
		last = m.LastEventID
	}
	if event.Type != "finish" {
		t.Errorf("the last event is %+v", event)
	}
	for _, req := range []*http.Request{
		r.request(http.MethodGet, "/v1/ask/"+async.ID, "", "Last-Event-ID", last),
		r.request(http.MethodGet, "/v1/ask/"+async.ID+"?last_event_id="+last, ""),
		r.request(http.MethodPost, "/v1/ask/chat", `{"say":"later"}`, "Content-Type", jsonBody, "Last-Event-ID", last),
	} {
		if s := r.open(req); s.res.StatusCode != http.StatusNoContent {
			t.Errorf("%s %s at the end: %s", req.Method, req.URL, s.res.Status)
		}
	}
}

// A client that comes back to the URL where it has asked, with the id of an event, has the
// rest of its answer, and nobody is asked again; another's id asks.
func TestAsk_Resume(t *testing.T) {
	r := newRig(t, asking())
	var asked sync.Map
	goOn := make(chan struct{})
	r.worker("chat", func(q question) {
		asked.Store(q.Header.Get(worker.HeaderID), true)
		q.reply("")
		q.send(ask.TypeAdd, "first ")
		<-goOn
		q.send(ask.TypeAdd, "second")
		q.send(ask.TypeFinish, "")
	})
	const body = `{"q":1}`
	s := r.ask("chat", body)
	first := s.next()
	last := s.next()
	s.close()
	if first.Type != "ask" || string(last.Data) != "first " {
		t.Fatalf("%+v %+v", first, last)
	}
	again := r.ask("chat", body, "Last-Event-ID", last.LastEventID)
	byID := r.open(r.request(http.MethodGet, "/v1/ask/"+s.res.Header.Get("Ringcast-Ask-Id"), "", "Last-Event-ID", last.LastEventID))
	other := r.ask("chat", `{"q":2}`, "Last-Event-ID", last.LastEventID)
	close(goOn)
	for _, s := range []*subscriber{again, byID} {
		if got := s.untilEnd(); !slices.Equal(got, []string{"add second", "finish "}) {
			t.Errorf("%q", got)
		}
	}
	if got := other.untilEnd(); len(got) != 4 || !strings.HasPrefix(got[0], "ringcast.gap") && !strings.HasPrefix(got[0], "ask ") {
		t.Errorf("another question: %q", got)
	}
	n := 0
	asked.Range(func(any, any) bool { n++; return true })
	if n != 2 {
		t.Errorf("%d questions have reached the worker, want 2", n)
	}
}

// What no worker takes is told before there is a stream, and is recorded; a question that
// has a key is asked anew after that, and once when it was taken.
func TestAsk_Key(t *testing.T) {
	a := newRig(t, asking(), met("a"))
	b := a.beside("b", asking())
	key := []string{"Idempotency-Key", "k 1"}
	if s := a.ask("chat", `{"say":"x"}`, key...); s.res.StatusCode != http.StatusBadRequest {
		t.Errorf("a key with a space: %s", s.res.Status)
	}
	key[1] = "k1"
	s := a.ask("chat", `{"say":"one two"}`, key...)
	text, _ := io.ReadAll(s.res.Body)
	if s.res.StatusCode != http.StatusServiceUnavailable || s.res.Header.Get("Retry-After") == "" || !bytes.Contains(text, []byte(`"reason":"no_worker"`)) {
		t.Fatalf("%s %s", s.res.Status, text)
	}
	a.worker("chat", echo)
	var ids []string
	for _, r := range []*rig{b, a, b} {
		code, whole, header := r.askWhole("chat", `{"say":"one two"}`, key...)
		if code != http.StatusOK || whole.Text != "one two" {
			t.Errorf("%d %+v", code, whole)
		}
		ids = append(ids, header.Get("Ringcast-Ask-Id"))
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 1 {
		t.Errorf("three answers: %q", ids)
	}
	if n := a.desk.Tally().Questions; n["accepted"] != 0 || n["repeated"] != 1 || n["no_worker"] != 1 {
		t.Errorf("a: %v", n)
	}
	if n := b.desk.Tally().Questions; n["accepted"] != 1 || n["repeated"] != 1 {
		t.Errorf("b: %v", n)
	}
	// A worker's own word for an error is no reason to ask again.
	a.worker("unwilling", func(q question) { q.reply(""); q.send(ask.TypeError, `{"reason":"refused"}`) })
	for range 2 {
		if code, whole, _ := a.askWhole("unwilling", `{}`, "Idempotency-Key", "k3"); code != http.StatusBadGateway || len(whole.Events) != 1 {
			t.Errorf("%d %+v", code, whole)
		}
	}
	if n := a.desk.Tally().Questions; n["accepted"] != 1 || n["repeated"] != 2 {
		t.Errorf("a: %v", n)
	}
	if s := b.ask("chat", `{"say":"three"}`, key...); s.res.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("the key for another question: %s", s.res.Status)
	}
	// All at once, on both: one of them asks.
	var running sync.WaitGroup
	for n := range 20 {
		running.Go(func() {
			if code, whole, _ := []*rig{a, b}[n%2].askWhole("chat", `{"say":"race"}`, "Idempotency-Key", "k2"); code != http.StatusOK || whole.Text != "race" {
				t.Errorf("%d %+v", code, whole)
			}
		})
	}
	running.Wait()
	if n := a.desk.Tally().Questions["accepted"] + b.desk.Tally().Questions["accepted"]; n != 3 {
		t.Errorf("%d questions accepted, want 3", n)
	}
}

// What a request can get wrong.
func TestAsk_Refusals(t *testing.T) {
	r := newRig(t, asking(func(o *ask.Options) { o.AcceptTimeout = 50 * time.Millisecond }), func(o *rigOptions) { o.gateway.PublishMaxBytes = 1000 })
	none := newRig(t)
	r.worker("refuses", func(q question) { q.reply(`{"status":402,"error":"pay first"}`) })
	r.worker("babbles", func(q question) { q.reply(`{"status":200}`) })
	r.worker("sleeps", func(question) {})
	r.worker("chat", echo)
	for _, tc := range []struct {
		r                         *rig
		method, path, contentType string
		body                      string
		status                    int
		says                      string
	}{
		{r, "POST", "nobody", jsonBody, `{}`, 503, `"reason":"no_worker"`},
		{r, "POST", "refuses", jsonBody, `{}`, 402, `{"status":402,"error":"pay first"}`},
		{r, "POST", "babbles", jsonBody, `{}`, 502, `"reason":"refused"`},
		{r, "POST", "sleeps", jsonBody, `{}`, 504, `"reason":"not_accepted"`},
		{r, "POST", "chat.*", jsonBody, `{}`, 400, "wildcard"},
		{r, "POST", "chat", jsonBody, `{} {}`, 400, "not one alone"},
		{r, "POST", "chat", jsonBody, ``, 400, "no JSON value"},
		{r, "POST", "chat", "text/plain", `{}`, 415, "application/json"},
		{r, "POST", "chat", jsonBody, `"` + strings.Repeat("x", 1000) + `"`, 413, "1000 bytes"},
		{r, "POST", "chat?subject=a", jsonBody, `{}`, 400, `"field":"subject"`},
		{r, "POST", "chat?format=xml", jsonBody, `{}`, 400, `"field":"format"`},
		{r, "GET", "aaaaaaaaaaaaaaaaaaaaaaaaaa", "", "", 404, "no such answer"},
		{r, "GET", "..", "", "", 404, "no such"},
		{r, "DELETE", "aaaaaaaaaaaaaaaaaaaaaaaaaa", "", "", 404, "no such answer"},
		{none, "POST", "chat", jsonBody, `{}`, 404, "answers is not configured"},
		{none, "GET", "aaaaaaaaaaaaaaaaaaaaaaaaaa", "", "", 404, "answers is not configured"},
	} {
		res, text := tc.r.do(tc.method, "/v1/ask/"+tc.path, tc.body, "Content-Type", tc.contentType)
		if res.StatusCode != tc.status || !strings.Contains(text, tc.says) {
			t.Errorf("%s %s %s: %s %s, want %d and %s", tc.method, tc.path, tc.body, res.Status, text, tc.status, tc.says)
		}
	}
}

// An answer that goes wrong ends with an error, for who reads it now, for who reads it
// later, and in the JSON.
func TestAsk_Failures(t *testing.T) {
	short := func(o *ask.Options) {
		o.FirstTimeout, o.SilenceTimeout, o.StopTimeout, o.MaxBytes = time.Second, 2*time.Second, 300*time.Millisecond, 100
	}
	a := newRig(t, asking(short), met("a"))
	b := a.beside("b", asking(short))
	cancelled := make(chan string, 10)
	a.worker("late", func(q question) { q.reply("") })
	a.worker("silent", func(q question) {
		stop := q.serves(worker.HeaderCancel, func() { cancelled <- "silent" })
		defer stop()
		q.reply("")
		q.send(ask.TypeAdd, "so far ")
		<-cancelled
	})
	a.worker("dies", func(q question) {
		seen := make(chan struct{}, 100)
		stop := q.serves(worker.HeaderAlive, func() { seen <- struct{}{} })
		q.reply("")
		q.send(ask.TypeAdd, "so far ")
		<-seen
		<-seen // by both gateways, or by one that has taken note of the first
		stop()
	})
	a.worker("large", func(q question) {
		q.reply("")
		q.send(ask.TypeAdd, strings.Repeat("x", 101))
	})
	a.worker("fails", func(q question) {
		q.reply("")
		q.send(ask.TypeError, `{"reason":"failed","status":429}`)
	})
	for _, tc := range []struct {
		subject, reason string
		status          int
	}{
		{"late", "first_event_late", 504}, {"silent", "silent", 504}, {"dies", "worker_gone", 502}, {"large", "too_large", 502}, {"fails", "failed", 429},
	} {
		t.Run(tc.subject, func(t *testing.T) {
			wantLast := func(events []string) {
				t.Helper()
				if last := events[len(events)-1]; !strings.HasPrefix(last, `error {"reason":"`+tc.reason+`"`) || strings.Count(fmt.Sprint(events), "error {") != 1 {
					t.Errorf("%q", events)
				}
			}
			s := a.ask(tc.subject, `{}`)
			wantLast(s.untilEnd())
			wantLast(b.open(b.request(http.MethodGet, s.res.Header.Get("Location"), "", browser...)).untilEnd())
			res, text := b.do(http.MethodGet, "/v1/ask/"+s.res.Header.Get("Ringcast-Ask-Id"), "", "Accept", jsonBody)
			if w := readWhole(t, text); res.StatusCode != tc.status || !strings.Contains(string(w.Error), tc.reason) || string(w.Finish) != "null" {
				t.Errorf("%s %s", res.Status, text)
			}
		})
	}
	ended := a.desk.Tally().Answers
	for _, how := range []string{"first_event_late", "silent", "worker_gone", "too_large", "error"} {
		if ended[how] != 1 {
			t.Errorf("%d ended by %s: %v", ended[how], how, ended)
		}
	}
}

// Another gateway ends an answer when the one that it was asked of is gone, and so is the
// worker.
func TestAsk_GatewayGone(t *testing.T) {
	a := newRig(t, met("a"))
	quick := func(o *ask.Options) { o.SilenceTimeout = 500 * time.Millisecond }
	b, c := a.beside("b", asking(quick)), a.beside("c", asking(quick))
	b.worker("chat", func(q question) { q.reply(""); q.send(ask.TypeAdd, "so far ") })
	s := b.ask("chat", `{}`)
	s.read(2)
	id := s.res.Header.Get("Ringcast-Ask-Id")
	b.stop()
	events := c.open(c.request(http.MethodGet, "/v1/ask/"+id, "")).untilEnd()
	if len(events) != 3 || !strings.Contains(events[2], `"silent"`) {
		t.Errorf("%q", events)
	}
}

// Who stops an answer has the worker's last word all the same, or the gateway's; to leave
// stops nothing, unless nobody is left for long enough.
func TestAsk_Stop(t *testing.T) {
	a := newRig(t, asking(func(o *ask.Options) { o.StopTimeout, o.Abandoned = 300*time.Millisecond, 400*time.Millisecond }), met("a"))
	b := a.beside("b", asking(func(o *ask.Options) { o.StopTimeout, o.Abandoned = 300*time.Millisecond, 400*time.Millisecond }))
	a.worker("polite", func(q question) {
		stop := make(chan struct{}, 10)
		defer q.serves(worker.HeaderCancel, func() { stop <- struct{}{} })()
		q.reply("")
		q.send(ask.TypeAdd, "so far ")
		<-stop
		q.send(ask.TypeFinish, `{"reason":"stopped"}`)
	})
	a.worker("deaf", func(q question) { q.reply(""); q.send(ask.TypeAdd, "so far ") })
	for subject, want := range map[string]string{"polite": `finish {"reason":"stopped"}`, "deaf": `error {"reason":"stopped",`} {
		s := a.ask(subject, `{}`)
		s.read(2)
		path := "/v1/ask/" + s.res.Header.Get("Ringcast-Ask-Id")
		if res, text := b.do(http.MethodDelete, path, ""); res.StatusCode != http.StatusAccepted {
			t.Errorf("%s %s", res.Status, text)
		}
		if got := s.untilEnd(); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: %q", subject, got)
		}
		if res, _ := b.do(http.MethodDelete, path, ""); res.StatusCode != http.StatusNoContent {
			t.Errorf("stopped twice: %s", res.Status)
		}
	}
	// Read on b alone, then nowhere.
	s := a.ask("polite", `{}`)
	s.read(2)
	id := s.res.Header.Get("Ringcast-Ask-Id")
	elsewhere := b.open(b.request(http.MethodGet, "/v1/ask/"+id, ""))
	elsewhere.read(2)
	s.close()
	time.Sleep(time.Second) // longer than it may be abandoned: what has to happen is nothing
	if a.desk.Tally().Open != 1 {
		t.Fatal("an answer was stopped that is read")
	}
	elsewhere.close()
	a.await("the answer to be stopped", func() bool { return a.desk.Tally().Open == 0 && b.desk.Tally().Open == 0 })
}

// A question needs a grant, and its answer is for who has asked: by token or, without one,
// by ticket.
func TestAsk_Access(t *testing.T) {
	r, _ := accessRig(t, "", asking())
	identities := make(chan string, 10)
	r.worker("chat", func(q question) { identities <- q.Header.Get(worker.HeaderIdentity); echo(q) })
	bearer := func(sub string, grants map[string][]string) []string { return bearer(t, sub, inAMinute(), grants) }
	may := map[string][]string{"ask": {"chat"}}
	ann, bob := bearer("änn|1\r\n", may), bearer("bob", may)
	if s := r.ask("chat", `{}`); s.res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", s.res.Status)
	}
	if s := r.ask("other", `{}`, ann...); s.res.StatusCode != http.StatusForbidden {
		t.Errorf("what is not granted: %s", s.res.Status)
	}
	s := r.ask("chat", `{"say":"x"}`, ann...)
	events := s.untilEnd()
	if got, err := url.PathUnescape(<-identities); got != "änn|1\r\n" || err != nil {
		t.Errorf("the worker was told of %q, %v", got, err)
	}
	if strings.Contains(s.raw.buf.String(), "1\\r") {
		t.Errorf("a reader is told who has asked: %s", s.raw.buf.String())
	}
	path := "/v1/ask/" + s.res.Header.Get("Ringcast-Ask-Id")
	for _, tc := range []struct {
		method string
		header []string
		want   int
	}{
		{"GET", ann, 200}, {"GET", bob, 404}, {"GET", nil, 404}, {"DELETE", bob, 404}, {"DELETE", nil, 404}, {"DELETE", ann, 204},
	} {
		if res, text := r.do(tc.method, path, "", tc.header...); res.StatusCode != tc.want {
			t.Errorf("%s by %s: %s %s", tc.method, tc.header, res.Status, text)
		}
	}
	writer := bearer("writer", map[string][]string{"publish": {"events.>"}})
	if res, text := r.do(http.MethodPost, "/v1/publish/events.answers."+s.res.Header.Get("Ringcast-Ask-Id"), "forged", writer...); res.StatusCode != http.StatusBadRequest {
		t.Errorf("an answer was written over HTTP: %s %s", res.Status, text)
	}
	location := s.res.Header.Get("Location")
	if !strings.Contains(location, "ticket=") {
		t.Fatal(location)
	}
	if got := r.open(r.request(http.MethodGet, location, "", browser...)).untilEnd(); !slices.Equal(got, events) {
		t.Errorf("%q", got)
	}
	res, text := r.do(http.MethodPost, "/v1/ask/chat?format=json", `{"say":"x"}`, append(ann, "Content-Type", jsonBody, "Prefer", "respond-async")...)
	if !strings.Contains(text, `"expires":"`) {
		t.Error(text)
	}
	got := r.open(r.request(http.MethodGet, res.Header.Get("Location"), "", browser...)).untilEnd()
	if len(got) != 4 || !strings.HasPrefix(got[1], `add {"id":`) {
		t.Errorf("not in the format that was asked for: %q", got)
	}
}

// bearer is the header of an identity with these grants.
func bearer(t *testing.T, sub string, expires time.Time, grants map[string][]string) []string {
	t.Helper()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": sub, "exp": expires.Unix(), "ringcast": grants,
	}).SignedString([]byte(tokenSecret))
	if err != nil {
		t.Fatal(err)
	}
	return []string{"Authorization", "Bearer " + signed}
}

// A token that expires in mid-answer ends the streams that were opened with it, and the
// client goes on with a new one; who waits for the JSON has it.
func TestAsk_TokenExpires(t *testing.T) {
	r, _ := accessRig(t, "", asking())
	goOn := make(chan struct{})
	r.worker("chat", inTwo("so ", goOn, "on"))
	may := map[string][]string{"ask": {"chat"}}
	old := bearer(t, "ann", time.Now().Add(3*time.Second), may)
	s := r.ask("chat", `{}`, old...)
	path := "/v1/ask/" + s.res.Header.Get("Ringcast-Ask-Id")
	ticket := r.open(r.request(http.MethodGet, s.res.Header.Get("Location"), "", browser...))
	whole := make(chan string)
	go func() {
		_, text := r.do(http.MethodGet, path, "", append(old, "Accept", jsonBody)...)
		whole <- text
	}()
	last := ""
	for _, s := range []*subscriber{s, ticket} {
		s.next()
		last = s.next().LastEventID
		if m, err := s.dec.Next(); err == nil {
			t.Errorf("still open: %+v", m)
		}
	}
	ann, bob := bearer(t, "ann", inAMinute(), may), bearer(t, "bob", inAMinute(), may)
	back := func(method string, header []string) *http.Request {
		return r.request(method, path, "", append(header, "Last-Event-ID", last)...)
	}
	for _, tc := range []struct {
		req  *http.Request
		want int
	}{
		{back(http.MethodGet, old), http.StatusUnauthorized}, {back(http.MethodDelete, old), http.StatusUnauthorized},
		{back(http.MethodGet, bob), http.StatusNotFound}, {back(http.MethodDelete, bob), http.StatusNotFound},
	} {
		if got := r.open(tc.req).res.StatusCode; got != tc.want {
			t.Errorf("%s %s: %d, want %d", tc.req.Method, tc.req.Header["Authorization"], got, tc.want)
		}
	}
	again := r.open(back(http.MethodGet, ann))
	close(goOn)
	if got := again.untilEnd(); !slices.Equal(got, []string{"add on", "finish "}) {
		t.Errorf("%q", got)
	}
	if got := readWhole(t, <-whole); got.Text != "so on" {
		t.Errorf("%+v", got)
	}
}

// What is refused by a limit is refused before a worker hears of it, in every form; who
// waits for the JSON counts as a stream, and no longer when it has left.
func TestAsk_Limits(t *testing.T) {
	r, _ := accessRig(t, "", asking(), func(o *rigOptions) { o.gateway.Limits = gateway.Limits{Streams: 3, StreamsPerIdentity: 2} })
	asked := make(chan string, 100)
	goOn := make(chan struct{})
	r.worker("chat", func(q question) {
		asked <- q.Header.Get(worker.HeaderIdentity)
		q.reply("")
		<-goOn
		q.send(ask.TypeFinish, "")
	})
	as := func(sub string, header ...string) []string {
		return append(append(bearer(t, sub, inAMinute(), map[string][]string{"ask": {"chat"}}), "Content-Type", jsonBody), header...)
	}
	refused := func(sub string, status int) {
		t.Helper()
		for _, form := range [][]string{{"Accept", "text/event-stream"}, {"Accept", jsonBody}, {"Prefer", "respond-async"}} {
			if s := r.ask("chat", `{}`, as(sub, form...)...); s.res.StatusCode != status || s.res.Header.Get("Retry-After") == "" {
				t.Errorf("%s by %s: %s, want %d", form, sub, s.res.Status, status)
			}
		}
		if len(asked) > 0 {
			t.Errorf("a worker was asked by %s", <-asked)
		}
	}
	waits := func(sub string) (leave func()) {
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			res, err := r.http.Do(r.request(http.MethodPost, "/v1/ask/chat", `{}`, as(sub, "Accept", jsonBody)...).WithContext(ctx))
			if err == nil {
				t.Errorf("%s is answered: %s", sub, res.Status)
				_ = res.Body.Close()
			}
		}()
		<-asked
		return func() { cancel(); <-left }
	}
	leave := waits("ann")
	r.ask("chat", `{}`, as("ann")...).next()
	<-asked
	refused("ann", http.StatusTooManyRequests)
	leaveToo := waits("bob")
	refused("cat", http.StatusServiceUnavailable)
	leave()
	r.await("a seat of who has left", func() bool { return r.ask("chat", `{}`, as("ann")...).res.StatusCode == http.StatusOK })
	leaveToo()
	close(goOn)
}

// A gateway that shuts down lets go of who waits for a whole answer, and the answer goes on.
func TestAsk_Drain(t *testing.T) {
	a := newRig(t, met("a"))
	b, c := a.beside("b", asking()), a.beside("c", asking())
	goOn := make(chan struct{})
	c.worker("chat", inTwo("so ", goOn, "on"))
	waits := make(chan *http.Response)
	go func() {
		res, err := b.http.Do(b.request(http.MethodPost, "/v1/ask/chat", `{}`, "Content-Type", jsonBody, "Accept", jsonBody))
		if err != nil {
			t.Error(err)
		}
		waits <- res
	}()
	c.await("the answer", func() bool { return c.desk.Tally().Open == 1 })
	c.await("its first event", func() bool { return c.hub.Head().Seq >= 2 })
	b.stop()
	res := <-waits
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || res.Header.Get("Ringcast-Ask-Id") == "" {
		t.Fatal(res.Status, res.Header)
	}
	close(goOn)
	got, text := c.do(http.MethodGet, "/v1/ask/"+res.Header.Get("Ringcast-Ask-Id"), "", "Accept", jsonBody)
	if got.StatusCode != http.StatusOK || readWhole(t, text).Text != "so on" {
		t.Errorf("%s %s", got.Status, text)
	}
}

// A gateway that shuts down does not have a question asked whose client it could not let
// wait for the answer.
func TestAsk_DrainBefore(t *testing.T) {
	r := newRig(t, asking())
	asked := make(chan string, 10)
	r.worker("chat", func(q question) { asked <- string(q.Data); q.reply(`{"status":500}`) })
	r.http.Transport.(*http.Transport).ExpectContinueTimeout = patience
	body, write := io.Pipe()
	req := r.request(http.MethodPost, "/v1/ask/chat", "", "Content-Type", jsonBody, "Accept", jsonBody, "Expect", "100-continue")
	req.Body, req.ContentLength = body, 2
	answered := make(chan *http.Response)
	go func() {
		defer close(answered)
		res, err := r.http.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		answered <- res
	}()
	_, _ = io.WriteString(write, "{") // which is taken once the gateway reads it
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.stop() }()
	r.await("the gateway to shut down", r.server.Draining)
	_, _ = io.WriteString(write, "}")
	_ = write.Close()
	res := <-answered
	if res == nil {
		t.FailNow()
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Error(res.Status)
	}
	<-stopped
	if len(asked) > 0 {
		t.Errorf("the worker was asked %s", <-asked)
	}
}

// An answer that has left the ring is read from the stream, and one that has not also
// while NATS is away; then nothing can be asked.
func TestAsk_Old(t *testing.T) {
	r := newRig(t, asking(), func(o *rigOptions) { o.ring.MaxEvents = 20 })
	r.worker("chat", echo)
	whole := func(id string) string {
		res, text := r.do(http.MethodGet, "/v1/ask/"+id, "", "Accept", jsonBody)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", res.Status, text)
		}
		return readWhole(t, text).Text
	}
	_, old, _ := r.askWhole("chat", `{"say":"old words"}`)
	r.publishMany("events.x", 100)
	if got := whole(old.ID); got != "old words" {
		t.Errorf("%q", got)
	}
	_, recent, _ := r.askWhole("chat", `{"say":"new words"}`)
	r.embedded.Shutdown()
	r.await("NATS to be away", func() bool { return !r.client.Status().Connected })
	if got := whole(recent.ID); got != "new words" {
		t.Errorf("%q", got)
	}
	if s := r.ask("chat", `{}`); s.res.StatusCode != http.StatusServiceUnavailable {
		t.Error(s.res.Status)
	}
}
