package demo_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"ringcast/cmd/internal/demo"
	"ringcast/transport/jetstream"
	"ringcast/transport/worker"
)

// patience bounds every wait: what takes longer has failed.
const patience = 30 * time.Second

// asker has the demo's worker running, and asks it as a gateway does.
type asker struct {
	t      *testing.T
	nc     *nats.Conn
	events *nats.Subscription
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	s, err := jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: filepath.Join(t.TempDir(), "nats"), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	client, err := jetstream.Connect(ctx, jetstream.Options{URL: s.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.EnsureStream(ctx, jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}}); err != nil {
		t.Fatal(err)
	}
	a := &asker{t: t, nc: client.Core()}
	if a.events, err = a.nc.SubscribeSync("events.answers.*"); err != nil {
		t.Fatal(err)
	}
	a.runWorker()
	return a
}

func (a *asker) runWorker() {
	answers := demo.NewAnswers(time.Microsecond)
	w, err := worker.New(a.nc, worker.Options{Subject: demo.AnswerSubject, Check: answers.Check})
	if err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	before := a.nc.NumSubscriptions()
	go func() { done <- w.Run(ctx, answers.Answer) }()
	a.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			a.t.Error(err)
		}
	})
	for a.nc.NumSubscriptions() == before {
		time.Sleep(time.Millisecond)
	}
}

func (a *asker) request(body string) (reply string) {
	a.t.Helper()
	m, err := a.nc.RequestMsg(&nats.Msg{Subject: "ask.chat", Data: []byte(body), Header: nats.Header{
		"Ringcast-Ask-Id":         {"1"},
		"Ringcast-Answer-Subject": {"events.answers.1"},
		"Ringcast-Cancel-Subject": {"_ask.1.cancel"},
		"Ringcast-Alive-Subject":  {"_ask.1.alive"},
	}}, patience)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(m.Data)
}

// ask returns the events of an answer: their data, by type.
func (a *asker) ask(question string) (text string, infos []json.RawMessage, last *nats.Msg) {
	a.t.Helper()
	body, err := json.Marshal(map[string]any{"messages": []map[string]string{
		{"role": "user", "content": "python"}, {"role": "assistant", "content": "…"}, {"role": "user", "content": question},
	}})
	if err != nil {
		a.t.Fatal(err)
	}
	if reply := a.request(string(body)); reply != "" {
		a.t.Fatalf("refused: %s", reply)
	}
	var b strings.Builder
	for {
		m, err := a.events.NextMsg(patience)
		if err != nil {
			a.t.Fatal(err)
		}
		switch m.Header.Get("Ringcast-Event") {
		case "add":
			b.Write(m.Data)
		case "info":
			infos = append(infos, m.Data)
		}
		if m.Header.Get("Ringcast-End") == "true" {
			return b.String(), infos, m
		}
	}
}

// whole is the info with which an answer begins.
type whole struct {
	SHA256 string
	Bytes  int
}

func TestAnswers(t *testing.T) {
	a := newAsker(t)
	for question, has := range map[string]string{
		"Hello, who are you?":               "## What you see here",
		"Show me a worker in Go!":           "\n\t\tif err := a.Add(word + \" \"); err != nil {\n",
		"TypeScript, please":                "\n  body: JSON.stringify(",
		"python":                            "\n\n        if answer[\"error\"] is not None:\n            raise",
		"a table":                           "| :--- | :---: | ---: |",
		"some emoji":                        "👨‍👩‍👧‍👦",
		"a long text":                       "### 7. The end",
		"something slow with a table in it": "## What becomes of a connection",
	} {
		t.Run(question, func(t *testing.T) {
			text, infos, last := a.ask(question)
			if !strings.HasPrefix(text, "This is a demonstration without a model:") || !strings.Contains(text, has) {
				t.Errorf("the text is not the one with %q:\n%s", has, text)
			}
			var said whole
			if err := json.Unmarshal(infos[0], &said); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(text))
			if said.Bytes != len(text) || said.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%d bytes with the sum %x, and %+v were told of", len(text), sum, said)
			}
			var references struct{ References []struct{ Title, URL string } }
			if err := json.Unmarshal(infos[1], &references); err != nil || len(references.References) == 0 {
				t.Errorf("references %s: %v", infos[1], err)
			}
			if last.Header.Get("Ringcast-Event") != "finish" || string(last.Data) != `{"reason":"stop"}` {
				t.Errorf("the last event is %q: %s", last.Header, last.Data)
			}
		})
	}
}

func TestAnswers_Error(t *testing.T) {
	a := newAsker(t)
	text, infos, last := a.ask("an error in Go")
	var said whole
	if err := json.Unmarshal(infos[0], &said); err != nil {
		t.Fatal(err)
	}
	if len(text) < said.Bytes/4 || len(text) > said.Bytes*3/4 {
		t.Errorf("it failed after %d of %d bytes, which is not in the middle", len(text), said.Bytes)
	}
	if last.Header.Get("Ringcast-Event") != "error" || !regexp.MustCompile(`^{"reason":"demo_error","detail":".+"}$`).Match(last.Data) {
		t.Errorf("the last event is %q: %s", last.Header, last.Data)
	}
}

func TestAnswers_Refuses(t *testing.T) {
	a := newAsker(t)
	for _, body := range []string{`{}`, `{"messages":[]}`, `{"messages":"x"}`, `{"messages":[{"role":"user","content":" "}]}`, `{"messages":[{"role":"assistant","content":"x"}]}`, `x`} {
		if reply := a.request(body); !strings.Contains(reply, `"status":400`) {
			t.Errorf("%s: reply %q", body, reply)
		}
	}
}
