package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A question over HTTP is answered by the demo's worker, with the very bytes that it
// announces at first.
func TestDemo_Answers(t *testing.T) {
	demo, ready := serveCommand(t, "demo", "--data-dir", t.TempDir())
	demo.stdout.await(t, 1)
	ask := func(question string) (status int, answer struct {
		Text   string
		Events []struct{ Type, Data string }
		Finish struct{ Reason string }
		Error  struct{ Reason string }
	}) {
		body := `{"messages":[{"role":"user","content":"` + question + `"}]}`
		status, text := request(t, http.MethodPost, ready.URL+"v1/ask/chat", body, "Content-Type", "application/json", "Accept", "application/json")
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return status, answer
	}
	status, answer := ask("Show me some Go")
	if status != http.StatusOK || answer.Finish.Reason != "stop" || !strings.Contains(answer.Text, "without a model") {
		t.Errorf("status %d: %+v", status, answer)
	}
	var whole struct {
		SHA256 string
		Bytes  int
	}
	if err := json.Unmarshal([]byte(answer.Events[0].Data), &whole); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(answer.Text))
	if whole.SHA256 != hex.EncodeToString(sum[:]) || whole.Bytes != len(answer.Text) {
		t.Errorf("%d bytes with the sum %x, and %+v were announced", len(answer.Text), sum, whole)
	}
	if status, answer := ask("an error"); status != http.StatusBadGateway || answer.Error.Reason != "demo_error" || answer.Text == "" {
		t.Errorf("status %d: %+v", status, answer)
	}
	demo.stop(t)
}
