package openai_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ringcast/transport/worker"
	"ringcast/transport/worker/openai"
	"ringcast/transport/worker/workertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "sk-test-0123456789abcdef"

// endpoint is a fake that speaks the real wire format, as answer writes it.
type endpoint struct {
	*httptest.Server
	requests chan request
	answer   func(w *wire)
}

// request is what came to an endpoint.
type request struct {
	path, authorization string
	body                string
}

// wire is the connection to who asks.
type wire struct {
	http.ResponseWriter
	ctx context.Context
}

// send writes bytes at once.
func (w *wire) send(text string) {
	_, _ = io.WriteString(w, text)
	w.ResponseWriter.(http.Flusher).Flush()
}

func (w *wire) stream() { w.Header().Set("Content-Type", "text/event-stream; charset=utf-8") }

func startEndpoint(t *testing.T) *endpoint {
	e := &endpoint{requests: make(chan request, 10)}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		e.requests <- request{r.URL.Path, r.Header.Get("Authorization"), string(body)}
		e.answer(&wire{w, r.Context()})
	}))
	t.Cleanup(e.Close)
	return e
}

// chunk is one as OpenAI sends it.
func chunk(delta string) string {
	return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini-2024-07-18",` +
		`"service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n"
}

func text(s string) string {
	data, _ := json.Marshal(s)
	return chunk(`{"content":` + string(data) + `}`)
}

func finish(reason string) string {
	return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{},"finish_reason":"` + reason + `"}],"usage":null}` + "\n\n"
}

const (
	role  = `{"role":"assistant","content":"","refusal":null}`
	usage = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-4o-mini-2024-07-18","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}` + "\n\n"
	done  = "data: [DONE]\n\n"
)

// rig is a worker with a model behind an endpoint.
type rig struct {
	*workertest.Gateway
	*endpoint
	log *bytes.Buffer
}

func newRig(t *testing.T, change ...func(*openai.Options)) *rig {
	t.Helper()
	s := workertest.StartNATS(t)
	r := &rig{Gateway: workertest.NewGateway(t, s), endpoint: startEndpoint(t), log: new(bytes.Buffer)}
	opt := openai.Options{Endpoint: r.URL + "/v1/", Model: "gpt-4o-mini", Key: key, Client: r.Client()}
	for _, f := range change {
		f(&opt)
	}
	m, err := openai.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return r.log.Write(p)
	}), nil))
	w := workertest.Run(t, s, worker.Options{Check: m.Check, Separate: true, Logger: log}, m.Answer)
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
		if strings.Contains(r.log.String(), "sk-") {
			t.Errorf("the key is in the log:\n%s", r.log)
		}
	})
	return r
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// said is what the events say, a line for each.
func said(events []workertest.Event) (lines []string) {
	for _, e := range events {
		lines = append(lines, e.Type+" "+e.Data)
	}
	return lines
}

func (r *rig) want(t *testing.T, body string, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, said(r.All(r.Ask(body)))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

const hello = `{"messages":[{"role":"user","content":"Hello"}]}`

const model = `info {"model":"gpt-4o-mini-2024-07-18"}`

func TestModel_Answer(t *testing.T) {
	r := newRig(t)
	whole := chunk(role) + text("Hé") + text("llo 👩‍💻\n") + text("\n    code") + finish("stop") + usage + done
	want := []string{model, "add Hé", "add llo 👩‍💻\n", "add \n    code", `info {"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`, `finish {"reason":"stop"}`}

	t.Run("asks_as_the_endpoint_wants", func(t *testing.T) {
		r.answer = func(w *wire) { w.stream(); w.send(whole) }
		r.want(t, `{"messages":[{"role":"system","content":"Be short"},{"role":"user","content":"Hello"}],"temperature":0.5,"stop":["\n"],"max_tokens":5,"stream":false}`, want...)
		got := <-r.requests
		if got.path != "/v1/chat/completions" || got.authorization != "Bearer "+key {
			t.Errorf("asked %+v", got)
		}
		const body = `{"model":"gpt-4o-mini","messages":[{"role":"system","content":"Be short"},{"role":"user","content":"Hello"}],` +
			`"temperature":0.5,"max_tokens":5,"stop":["\n"],"stream":true,"stream_options":{"include_usage":true}}`
		if got.body != body {
			t.Errorf("asked %s\nwant  %s", got.body, body)
		}
	})
	t.Run("prompt", func(t *testing.T) {
		r.want(t, `{"prompt":"Hello"}`, want...)
		if got := <-r.requests; !strings.Contains(got.body, `"messages":[{"role":"user","content":"Hello"}]`) || strings.Contains(got.body, "prompt") {
			t.Errorf("asked %s", got.body)
		}
	})
	t.Run("cut_at_any_byte", func(t *testing.T) {
		r.answer = func(w *wire) {
			w.stream()
			for i := range len(whole) { // also within lines and characters
				w.send(whole[i : i+1])
			}
		}
		r.want(t, hello, want...)
		<-r.requests
	})
	for name, c := range map[string]struct {
		stream string
		want   []string
	}{
		"comments":             {": OPENROUTER PROCESSING\n\n" + text("a") + ":\n\n" + text("b") + finish("stop") + done, []string{model, "add a", "add b", `finish {"reason":"stop"}`}},
		"line_ends":            {strings.ReplaceAll(text("a")+finish("stop")+done, "\n", "\r\n"), []string{model, "add a", `finish {"reason":"stop"}`}},
		"no_space":             {strings.ReplaceAll(text("a")+finish("stop")+done, "data: ", "data:"), []string{model, "add a", `finish {"reason":"stop"}`}},
		"no_DONE":              {text("a") + finish("stop"), []string{model, "add a", `finish {"reason":"stop"}`}},
		"no_finish_reason":     {text("a") + done, []string{model, "add a", `finish {"reason":"stop"}`}},
		"length":               {text("a") + finish("length") + done, []string{model, "add a", `finish {"reason":"length"}`}},
		"content_filter":       {text("a") + finish("content_filter") + done, []string{model, "add a", `finish {"reason":"content_filter"}`}},
		"refusal":              {chunk(`{"refusal":"I cannot"}`) + finish("stop") + done, []string{model, "add I cannot", `finish {"reason":"stop"}`}},
		"null_content":         {chunk(`{"content":null,"tool_calls":[]}`) + text("a") + finish("stop") + done, []string{model, "add a", `finish {"reason":"stop"}`}},
		"cut":                  {text("a") + `data: {"choi`, []string{model, "add a", `error {"reason":"model_cut_off","detail":"the model's endpoint ended before the answer did"}`}},
		"nothing":              {"", []string{`error {"reason":"model_cut_off","detail":"the model's endpoint ended before the answer did"}`}},
		"no_chunk":             {text("a") + "data: <html>\n\n", []string{model, "add a", `error {"reason":"model_failed","detail":"the model's endpoint sends what is no chunk"}`}},
		"error_with_a_status":  {text("a") + `data: {"error":{"message":"Provider returned error","code":502}}` + "\n\n", []string{model, "add a", `error {"reason":"model_failed","detail":"Provider returned error","status":502}`}},
		"error_with_a_word":    {text("a") + `data: {"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}` + "\n\n", []string{model, "add a", `error {"reason":"model_failed","detail":"The server had an error","status":502}`}},
		"error_of_its_type":    {text("a") + "event: error\n" + `data: {"error":{"message":"slow down","code":"rate_limit_exceeded"}}` + "\n\n", []string{model, "add a", `error {"reason":"rate_limited","detail":"slow down","status":429}`}},
		"error_with_the_key":   {text("a") + `data: {"error":{"message":"Incorrect API key provided: ` + key + `","code":401}}` + "\n\n", []string{model, "add a", `error {"reason":"model_unauthorized","detail":"the model's endpoint does not accept the worker's key","status":502}`}},
		"more_than_is_taken":   {"data: " + strings.Repeat("x", 2<<20) + "\n\n", []string{`error {"reason":"model_failed","detail":"the model's endpoint sends more than is taken at once"}`}},
		"usage_in_every_chunk": {text("a") + strings.Replace(finish("stop"), `"usage":null`, `"usage":{"total_tokens":1}`, 1) + done, []string{model, "add a", `info {"usage":{"total_tokens":1}}`, `finish {"reason":"stop"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			r.answer = func(w *wire) { w.stream(); w.send(c.stream) }
			r.want(t, hello, c.want...)
			<-r.requests
		})
	}
}

// A connection that breaks is no end, but after a finish_reason all has been said.
func TestModel_ConnectionCut(t *testing.T) {
	r := newRig(t)
	for stream, want := range map[string][]string{
		text("a"):                  {model, "add a", `error {"reason":"model_cut_off","detail":"the model's endpoint ended before the answer did"}`},
		text("a") + finish("stop"): {model, "add a", `finish {"reason":"stop"}`},
	} {
		r.answer = func(w *wire) {
			w.stream()
			w.send(stream)
			panic(http.ErrAbortHandler)
		}
		r.want(t, hello, want...)
	}
}

func TestModel_Refused(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		status int
		header http.Header
		body   string
		want   string
	}{
		{401, nil, `{"error":{"message":"Incorrect API key provided: ` + key + `.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`,
			`error {"reason":"model_unauthorized","detail":"the model's endpoint does not accept the worker's key","status":502}`},
		{429, http.Header{"Retry-After": {"7"}}, `{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}`,
			`error {"reason":"rate_limited","detail":"Rate limit reached","status":429,"retry_after":7}`},
		{429, http.Header{"Retry-After": {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}}, `busy`,
			`error {"reason":"rate_limited","detail":"the model's endpoint has too many requests (status 429)","status":429}`},
		{400, nil, `{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}`,
			`error {"reason":"model_rejected","detail":"This model's maximum context length is 8192 tokens.","status":400}`},
		{500, nil, ``, `error {"reason":"model_failed","detail":"the model's endpoint failed (status 500)","status":502}`},
		{503, http.Header{"Retry-After": {"1"}}, `<html>`, `error {"reason":"model_failed","detail":"the model's endpoint failed (status 503)","status":502,"retry_after":1}`},
		{404, nil, `{"error":{"message":"model not found"}}`, `error {"reason":"model_failed","detail":"model not found","status":502}`},
		{200, http.Header{"Content-Type": {"application/json"}}, `{}`, `error {"reason":"model_failed","detail":"the model's endpoint answers with \"application/json\", not with a stream"}`},
	} {
		t.Run(fmt.Sprint(c.status, c.header), func(t *testing.T) {
			r.answer = func(w *wire) {
				for name, values := range c.header {
					w.Header()[name] = values
				}
				w.WriteHeader(c.status)
				w.send(c.body)
			}
			r.want(t, hello, c.want)
			<-r.requests
		})
	}
	t.Run("redirects_are_not_followed", func(t *testing.T) {
		m := newRig(t, func(o *openai.Options) { o.Client = nil })
		m.answer = func(w *wire) {
			w.Header().Set("Location", r.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
		m.want(t, hello, `error {"reason":"model_failed","detail":"the model's endpoint failed (status 307)","status":502}`)
		http.DefaultClient.CloseIdleConnections()
	})
	t.Run("nobody_listens", func(t *testing.T) {
		r.endpoint.Close()
		r.want(t, hello, `error {"reason":"model_unreachable","detail":"the model's endpoint cannot be reached","status":502}`)
	})
}

// Stopping an answer aborts the request, whether the model has begun or not.
func TestModel_Stop(t *testing.T) {
	r := newRig(t)
	const stopped = `error {"reason":"stopped","detail":"the answer was stopped"}`
	for begins, want := range map[bool][]string{true: {model, "add a", stopped}, false: {stopped}} {
		t.Run(fmt.Sprintf("begun_%v", begins), func(t *testing.T) {
			aborted := make(chan struct{})
			r.answer = func(w *wire) {
				if begins {
					w.stream()
					w.send(text("a"))
				}
				<-w.ctx.Done()
				close(aborted)
			}
			id := r.Ask(hello)
			<-r.requests
			if answer := r.Read(id); begins {
				for e, _ := answer.Next(); e.Type != "add"; e, _ = answer.Next() {
					continue
				}
			}
			r.Cancel(id)
			select {
			case <-aborted:
			case <-time.After(workertest.Patience):
				t.Fatal("the request goes on")
			}
			if diff := cmp.Diff(want, said(r.All(id))); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// A model that thinks for long, and says only that it lives, is not taken for silent.
func TestModel_SlowFirstToken(t *testing.T) {
	r := newRig(t, func(o *openai.Options) { o.Progress = time.Nanosecond })
	r.answer = func(w *wire) {
		w.stream()
		w.send(": still thinking\n\n")
		w.send(chunk(`{"reasoning_content":"hm"}`))
		w.send(text("a") + finish("stop") + done)
	}
	const progress = `info {"progress":"waiting"}`
	r.want(t, hello, progress, model, progress, "add a", progress, `finish {"reason":"stop"}`)
}

func TestModel_Check(t *testing.T) {
	r := newRig(t)
	for body, want := range map[string]struct{ field, detail string }{
		`{}`:                             {"messages", "missing"},
		`[]`:                             {"", "cannot be"},
		`{"messages":[]}`:                {"messages", "missing"},
		`x`:                              {"", "not a JSON object"},
		`{"prompt":"x"} {}`:              {"", "more than one"},
		`{"prompt":"x","model":"gpt-5"}`: {"model", "unknown"},
		`{"prompt":"x","messages":[{"role":"user","content":"y"}]}`: {"prompt", "beside"},
		`{"messages":[{"role":"tool","content":"y"}]}`:              {"messages[0].role", "allowed are system, user, assistant"},
		`{"messages":[{"role":"user","content":[]}]}`:               {"messages.content", "array"},
		`{"messages":[{"role":"user","content":"y","name":"n"}]}`:   {"name", "unknown"},
		`{"prompt":"x","temperature":2.1}`:                          {"temperature", "0 to 2"},
		`{"prompt":"x","top_p":-1}`:                                 {"top_p", "0 to 1"},
		`{"prompt":"x","presence_penalty":3}`:                       {"presence_penalty", "-2 to 2"},
		`{"prompt":"x","max_tokens":0}`:                             {"max_tokens", "less than 1"},
		`{"prompt":"x","max_tokens":1.5}`:                           {"max_tokens", "number 1.5"},
		`{"prompt":"x","stop":["a","b","c","d","e"]}`:               {"stop", "4 are allowed"},
	} {
		var refusal struct {
			Status int
			Reason string
			Errors []struct{ Field, Detail string }
		}
		reply := r.Request(r.Question("chat", body))
		if err := json.Unmarshal(reply, &refusal); err != nil {
			t.Errorf("%s: reply %q: %v", body, reply, err)
			continue
		}
		if refusal.Status != 400 || refusal.Reason != "invalid" || len(refusal.Errors) != 1 || refusal.Errors[0].Field != want.field ||
			!strings.Contains(refusal.Errors[0].Detail, want.detail) {
			t.Errorf("%s: reply %s, want one about %q: …%s…", body, reply, want.field, want.detail)
		}
	}
	if len(r.requests) > 0 {
		t.Error("the endpoint was asked")
	}
}

func TestNew(t *testing.T) {
	for _, opt := range []openai.Options{
		{Endpoint: "http://x/v1"},
		{Model: "m"},
		{Model: "m", Endpoint: "localhost:1234"},
		{Model: "m", Endpoint: "ftp://x"},
		{Model: "m", Endpoint: "http://user:s3cret@x y/"},
		{Model: "m", Endpoint: "ftp://user:s3cret@x/"},
	} {
		_, err := openai.New(opt)
		if err == nil {
			t.Errorf("%+v makes a model", opt)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
}
