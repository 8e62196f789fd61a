package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"ringcast/transport/worker/workertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "sk-test-0123456789abcdef"

// The program answers a question, with the key of a file, and ends when it is told to.
func TestRun(t *testing.T) {
	s := workertest.StartNATS(t)
	g := workertest.NewGateway(t, s)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer "+key {
			t.Errorf("Authorization: %s", got)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"choices":[{"delta":{"content":"Hi"}}]}`+"\n\ndata: [DONE]\n\n")
	}))
	defer endpoint.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"NATS_URL": s.ClientURL(), "OPENAI_BASE_URL": endpoint.URL, "OPENAI_API_KEY": "another"}
	ctx, cancel := context.WithCancel(t.Context())
	var out workertest.Log
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"--model", "m", "--api-key-file", file}, func(name string) string { return env[name] }, &out)
	}()
	workertest.Await(t, "the worker", func() bool { return strings.Contains(out.String(), "answering questions") })
	events := g.All(g.Ask(`{"prompt":"Hello"}`))
	if workertest.Text(events) != "Hi" || events[len(events)-1].Type != "finish" {
		t.Errorf("got %q", events)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), "sk-") {
		t.Errorf("the key is in the log:\n%s", out.String())
	}
}

// A worker without NATS says so, and answers when it is there again.
func TestRun_NATSAway(t *testing.T) {
	s := workertest.StartNATS(t)
	address := s.ClientURL()
	s.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	var out workertest.Log
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"--model", "m", "--nats-url", address}, func(string) string { return "" }, &out)
	}()
	workertest.Await(t, "the warning", func() bool { return strings.Contains(out.String(), "NATS cannot be reached") })
	s.Start()
	workertest.Await(t, "the worker", func() bool { return strings.Contains(out.String(), "answering questions") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRun_Fails(t *testing.T) {
	for args, want := range map[string]string{
		"":                              "--model is missing",
		"--model m --endpoint x":        "not http://",
		"--model m --api-key-file /no/": "read key",
		"--model m more":                `"more" is no flag`,
		"--model m --nats-url nats://user:s3cret@[x": "--nats-url is no URL",
		"--model m --concurrency -1":                 "cannot be negative",
	} {
		err := run(t.Context(), strings.Fields(args), func(string) string { return "" }, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	var out workertest.Log
	if err := run(t.Context(), []string{"--what"}, func(string) string { return "" }, &out); !errors.Is(err, errUsage) || !strings.Contains(out.String(), "-endpoint") {
		t.Errorf("an unknown flag: %v\n%s", err, out.String())
	}
}
