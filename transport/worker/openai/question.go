package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"ringcast/transport/worker"
)

// Question is the body of a question. What is nil is left to the endpoint.
type Question struct {
	// Messages, or Prompt, which stands for one message of the user's.
	Messages []Message `json:"messages,omitempty"`
	Prompt   string    `json:"prompt,omitempty"`

	Temperature      *float64 `json:"temperature,omitempty"`       // 0 to 2
	TopP             *float64 `json:"top_p,omitempty"`             // 0 to 1
	PresencePenalty  *float64 `json:"presence_penalty,omitempty"`  // -2 to 2
	FrequencyPenalty *float64 `json:"frequency_penalty,omitempty"` // -2 to 2
	MaxTokens        *int     `json:"max_tokens,omitempty"`        // 1 or more
	Seed             *int     `json:"seed,omitempty"`
	Stop             []string `json:"stop,omitempty"` // at most 4

	// Stream and DoStream are the gateway's: whether who asks wants a stream.
	Stream   *bool `json:"stream,omitempty"`
	DoStream *bool `json:"do_stream,omitempty"`
}

// Message is one of a conversation.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

var roles = []string{"system", "user", "assistant"}

const maxStops = 4

// read decodes a body and checks it. The error is a *worker.Refusal.
func read(body []byte) (*Question, error) {
	var q Question
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&q); err != nil {
		return nil, unreadable(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("", "the body is more than one JSON value")
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	return &q, nil
}

// unreadable names the field where encoding/json does.
func unreadable(err error) error {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return invalid(typ.Field, fmt.Sprintf("is a JSON %s, and cannot be that", typ.Value))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalid(strings.Trim(name, `"`), "is unknown")
	}
	return invalid("", "the body is not a JSON object: "+err.Error())
}

func (q *Question) check() error {
	switch {
	case len(q.Messages) == 0 && q.Prompt == "":
		return invalid("messages", "is missing: a question has messages, or a prompt")
	case len(q.Messages) > 0 && q.Prompt != "":
		return invalid("prompt", "is not allowed beside messages")
	case len(q.Stop) > maxStops:
		return invalid("stop", fmt.Sprintf("has %d members: %d are allowed", len(q.Stop), maxStops))
	case q.MaxTokens != nil && *q.MaxTokens < 1:
		return invalid("max_tokens", "is less than 1")
	}
	for i, m := range q.Messages {
		if !slices.Contains(roles, m.Role) {
			return invalid(fmt.Sprintf("messages[%d].role", i), fmt.Sprintf("is %.40q: allowed are %s", m.Role, strings.Join(roles, ", ")))
		}
	}
	for _, f := range []struct {
		name        string
		value       *float64
		least, most float64
	}{
		{"temperature", q.Temperature, 0, 2},
		{"top_p", q.TopP, 0, 1},
		{"presence_penalty", q.PresencePenalty, -2, 2},
		{"frequency_penalty", q.FrequencyPenalty, -2, 2},
	} {
		if f.value != nil && (*f.value < f.least || *f.value > f.most) {
			return invalid(f.name, fmt.Sprintf("is %g: allowed is %g to %g", *f.value, f.least, f.most))
		}
	}
	return nil
}

// invalid returns a refusal that names the field, in the words of the gateway's own.
func invalid(field, detail string) error {
	r := worker.Refuse(http.StatusBadRequest, "invalid", strings.TrimSpace(field+" "+detail))
	r.Body["errors"] = []map[string]string{{"field": field, "detail": detail}}
	return r
}

// request is what the endpoint is asked.
type request struct {
	Model string `json:"model"`
	*Question
	Stream        bool           `json:"stream"`
	StreamOptions *streamOptions `json:"stream_options,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

func (m *Model) request(q *Question) ([]byte, error) {
	asked := *q
	if asked.Prompt != "" {
		asked.Messages = []Message{{Role: "user", Content: asked.Prompt}}
	}
	asked.Prompt, asked.Stream, asked.DoStream = "", nil, nil
	r := request{Model: m.opt.Model, Question: &asked, Stream: true}
	if !m.opt.NoUsage {
		r.StreamOptions = &streamOptions{IncludeUsage: true}
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return data, nil
}
