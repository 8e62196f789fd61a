package openai

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"ringcast/transport/sse"
	"ringcast/transport/worker"
)

// Options configures a Model.
type Options struct {
	// Endpoint is the URL before /chat/completions, such as https://api.openai.com/v1.
	// Required.
	Endpoint string
	// Model is which one is asked. Required.
	Model string
	// Key is sent as a bearer token. Default: none is.
	Key string
	// NoUsage does not ask for the number of tokens, for endpoints that reject
	// stream_options.
	NoUsage bool
	// Progress is how often an info says that the model is still at work, while it sends
	// no text but signs of life: comments, or chunks without text. Without any the
	// gateway would take it for silent. Default: 10 s.
	Progress time.Duration
	// Client makes the requests. Default: one that follows no redirects.
	Client *http.Client
}

const defaultProgress = 10 * time.Second

// maxChunk bounds one chunk of a model's.
const maxChunk = 1 << 20

// Model answers questions.
type Model struct {
	opt Options
	url string
}

// New returns a model.
func New(opt Options) (*Model, error) {
	u, err := url.Parse(opt.Endpoint)
	if err != nil {
		return nil, errors.New("make model: endpoint is no URL") // whose error would show a password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("make model: endpoint %q is not http://… or https://…", u.Redacted())
	}
	if opt.Model == "" {
		return nil, errors.New("make model: no model is named")
	}
	opt.Progress = cmp.Or(opt.Progress, defaultProgress)
	opt.Client = cmp.Or(opt.Client, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }})
	return &Model{opt: opt, url: u.JoinPath("chat", "completions").String()}, nil
}

// Check is for Options.Check of a worker.
func (*Model) Check(_ context.Context, q *worker.Question) error {
	_, err := read(q.Body)
	return err
}

// Answer is a worker's Handler.
func (m *Model) Answer(ctx context.Context, q *worker.Question, a *worker.Answer) error {
	question, err := read(q.Body)
	if err != nil {
		return err
	}
	resp, err := m.post(ctx, question)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp, time.Now())
	}
	if typ, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); typ != "text/event-stream" {
		return &worker.Failure{Reason: ReasonFailed, Detail: fmt.Sprintf("the model's endpoint answers with %.60q, not with a stream", typ)}
	}
	return (&completion{answer: a, progress: m.opt.Progress, said: time.Now()}).read(ctx, resp.Body)
}

func (m *Model) post(ctx context.Context, q *Question) (*http.Response, error) {
	body, err := m.request(q)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask model: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	if m.opt.Key != "" {
		r.Header.Set("Authorization", "Bearer "+m.opt.Key)
	}
	resp, err := m.opt.Client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", &worker.Failure{Reason: ReasonUnreachable, Detail: "the model's endpoint cannot be reached", Status: http.StatusBadGateway}, err)
	}
	return resp, nil
}

// completion is an answer that is being streamed by an endpoint.
type completion struct {
	answer   *worker.Answer
	progress time.Duration
	said     time.Time // when something was said last
	model    string
	finish   string // finish_reason, once it has come
	err      error  // of a comment's progress
}

// chunk is one message of the stream
// (https://platform.openai.com/docs/api-reference/chat-streaming).
type chunk struct {
	Model   string `json:"model"`
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
			Refusal string `json:"refusal"` // the model's words instead of content
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage json.RawMessage `json:"usage"`
	Error *apiError       `json:"error"`
}

// done is the data of the message that ends a stream.
const done = "[DONE]"

func (c *completion) read(ctx context.Context, body io.Reader) error {
	decoder := sse.NewDecoder(body, sse.WithMaxEventSize(maxChunk), sse.WithComments(func([]byte) {
		c.err = cmp.Or(c.err, c.waiting())
	}))
	for {
		m, err := decoder.Next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case c.err != nil:
			return c.err
		case errors.Is(err, sse.ErrEventTooLarge):
			return fmt.Errorf("%w: %w", &worker.Failure{Reason: ReasonFailed, Detail: "the model's endpoint sends more than is taken at once"}, err)
		case err != nil && c.finish == "":
			return fmt.Errorf("%w: %w", &worker.Failure{Reason: ReasonCut, Detail: "the model's endpoint ended before the answer did"}, err)
		case err != nil, string(m.Data) == done:
			// Some endpoints never say that they are done, and some not why.
			return c.answer.Finish(map[string]string{"reason": cmp.Or(c.finish, "stop")})
		}
		if err := c.take(m.Data); err != nil {
			return err
		}
	}
}

func (c *completion) take(data []byte) error {
	var next chunk
	if err := json.Unmarshal(data, &next); err != nil {
		return fmt.Errorf("%w: %w", &worker.Failure{Reason: ReasonFailed, Detail: "the model's endpoint sends what is no chunk"}, err)
	}
	if next.Error != nil {
		return next.Error.inStream()
	}
	if next.Model != "" && c.model == "" {
		c.model = next.Model
		if err := c.info("model", c.model); err != nil {
			return err
		}
	}
	text := ""
	if len(next.Choices) > 0 {
		choice := next.Choices[0]
		text = choice.Delta.Content + choice.Delta.Refusal
		c.finish = cmp.Or(choice.FinishReason, c.finish)
	}
	if len(next.Usage) > 0 && string(next.Usage) != "null" {
		if err := c.info("usage", next.Usage); err != nil {
			return err
		}
	}
	if text == "" {
		return c.waiting()
	}
	c.said = time.Now()
	return c.answer.Add(text)
}

func (c *completion) info(name string, value any) error {
	c.said = time.Now()
	return c.answer.Info(map[string]any{name: value})
}

// waiting says that the model is at work, if nothing else was said for a while.
func (c *completion) waiting() error {
	if time.Since(c.said) < c.progress {
		return nil
	}
	return c.info("progress", "waiting")
}
