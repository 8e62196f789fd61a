package demo_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ringcast/cmd/internal/demo"
	"ringcast/transport/worker"
	"ringcast/transport/worker/workertest"
)

// newAsker has the demo's worker running, and asks it as a gateway does.
func newAsker(t *testing.T) *workertest.Gateway {
	t.Helper()
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	answers := demo.NewAnswers(time.Microsecond)
	workertest.Run(t, s, worker.Options{Subject: demo.AnswerSubject, Check: answers.Check}, answers.Answer)
	return g
}

// answer returns what is said to a question, which others come before: the text, the data
// of each info, and the last event.
func answer(t *testing.T, g *workertest.Gateway, question string) (text string, infos []string, last workertest.Event) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"messages": []map[string]string{
		{"role": "user", "content": "python"}, {"role": "assistant", "content": "…"}, {"role": "user", "content": question},
	}})
	if err != nil {
		t.Fatal(err)
	}
	events := g.All(g.Ask(string(body)))
	for _, e := range events {
		if e.Type == "info" {
			infos = append(infos, e.Data)
		}
	}
	return workertest.Text(events), infos, events[len(events)-1]
}

// whole is the info with which an answer begins.
type whole struct {
	SHA256 string
	Bytes  int
}

func TestAnswers(t *testing.T) {
	g := newAsker(t)
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
			text, infos, last := answer(t, g, question)
			if !strings.HasPrefix(text, "This is a demonstration without a model:") || !strings.Contains(text, has) {
				t.Errorf("the text is not the one with %q:\n%s", has, text)
			}
			var said whole
			if err := json.Unmarshal([]byte(infos[0]), &said); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(text))
			if said.Bytes != len(text) || said.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%d bytes with the sum %x, and %+v were told of", len(text), sum, said)
			}
			var references struct{ References []struct{ Title, URL string } }
			if err := json.Unmarshal([]byte(infos[1]), &references); err != nil || len(references.References) == 0 {
				t.Errorf("references %s: %v", infos[1], err)
			}
			if last != (workertest.Event{Type: "finish", Data: `{"reason":"stop"}`}) {
				t.Errorf("the last event is %q", last)
			}
		})
	}
}

// As README.md has curl ask.
func TestAnswers_Prompt(t *testing.T) {
	g := newAsker(t)
	if text := workertest.Text(g.All(g.Ask(`{"prompt":"a table"}`))); !strings.Contains(text, "| :--- | :---: | ---: |") {
		t.Errorf("the text is not the one with a table:\n%s", text)
	}
}

func TestAnswers_Error(t *testing.T) {
	g := newAsker(t)
	text, infos, last := answer(t, g, "an error in Go")
	var said whole
	if err := json.Unmarshal([]byte(infos[0]), &said); err != nil {
		t.Fatal(err)
	}
	if len(text) < said.Bytes/4 || len(text) > said.Bytes*3/4 {
		t.Errorf("it failed after %d of %d bytes, which is not in the middle", len(text), said.Bytes)
	}
	if last.Type != "error" || !strings.HasPrefix(last.Data, `{"reason":"demo_error","detail":"`) {
		t.Errorf("the last event is %q", last)
	}
}

func TestAnswers_Refuses(t *testing.T) {
	g := newAsker(t)
	for _, body := range []string{`{}`, `{"messages":[]}`, `{"messages":"x"}`, `{"prompt":" "}`, `{"messages":[{"role":"user","content":" "}]}`, `{"messages":[{"role":"assistant","content":"x"}]}`, `x`} {
		if reply := string(g.Request(g.Question(demo.AnswerSubject, body))); !strings.Contains(reply, `"status":400`) {
			t.Errorf("%s: reply %q", body, reply)
		}
	}
}
