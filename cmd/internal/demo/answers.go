package demo

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ringcast/transport/worker"
)

// AnswerSubject is the subject of the questions that are answered.
const AnswerSubject = "chat"

// piecePace is how long a piece of text is waited for: fast enough not to bore, slow
// enough to be read and to be interrupted.
const piecePace = 20 * time.Millisecond

// pausePace is how long a slow answer pauses at the end of a line, in pieces.
const pausePace = 40

//go:embed answers/*.md
var texts embed.FS

// intro begins every answer: nobody is to take it for a model's.
const intro = "This is a demonstration without a model: the text is built in, and chosen by a word of your question.\n\n"

// keywords say which text answers a question that has one of these words; without any it
// is the text about.
var keywords = []struct{ word, text string }{
	{"go", "go"}, {"golang", "go"},
	{"typescript", "typescript"}, {"javascript", "typescript"}, {"ts", "typescript"}, {"js", "typescript"},
	{"python", "python"},
	{"table", "table"}, {"tables", "table"}, {"list", "table"}, {"lists", "table"},
	{"unicode", "unicode"}, {"emoji", "unicode"}, {"chinese", "unicode"}, {"japanese", "unicode"}, {"korean", "unicode"},
	{"long", "long"}, {"resume", "long"},
}

// The words that change how a text is said.
const (
	slowWord  = "slow"
	errorWord = "error"
)

// reference is what an answer refers to.
type reference struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

var references = []reference{
	{"The EventSource standard", "https://html.spec.whatwg.org/multipage/server-sent-events.html"},
	{"NATS JetStream", "https://docs.nats.io/nats-concepts/jetstream"},
	{"CommonMark", "https://spec.commonmark.org/current/"},
}

// Answers answers questions with built-in texts in Markdown.
type Answers struct {
	pace time.Duration
}

// NewAnswers returns Answers that say a piece of 1 to 6 characters each pace; zero: as
// fast as a reader likes.
func NewAnswers(pace time.Duration) *Answers {
	if pace <= 0 {
		pace = piecePace
	}
	return &Answers{pace: pace}
}

// Check refuses what is no conversation.
func (*Answers) Check(_ context.Context, q *worker.Question) error {
	question, err := lastQuestion(q)
	if err == nil && strings.TrimSpace(question) == "" {
		return worker.Refuse(http.StatusBadRequest, "invalid", "messages: the last one of the user has no content, and there is no prompt")
	}
	return err
}

// lastQuestion returns what the user has said last: in a conversation, or as a prompt alone.
func lastQuestion(q *worker.Question) (string, error) {
	var body struct {
		Messages []struct{ Role, Content string }
		Prompt   string
	}
	if err := q.Decode(&body); err != nil {
		return "", err
	}
	for i := len(body.Messages) - 1; i >= 0; i-- {
		if m := body.Messages[i]; m.Role == "user" {
			return m.Content, nil
		}
	}
	return body.Prompt, nil
}

// Answer says first of which bytes the whole text will be (an info with sha256 and
// bytes), then to what it refers, then the text. The word error has it fail in the middle.
func (s *Answers) Answer(ctx context.Context, q *worker.Question, a *worker.Answer) error {
	question, err := lastQuestion(q)
	if err != nil {
		return err
	}
	text, words := textFor(question)
	sum := sha256.Sum256([]byte(text))
	if err := a.Info(map[string]any{"sha256": hex.EncodeToString(sum[:]), "bytes": len(text)}); err != nil {
		return err
	}
	if err := a.Info(map[string]any{"references": references}); err != nil {
		return err
	}
	pieces := split(text)
	tick := time.NewTicker(s.pace)
	defer tick.Stop()
	for i, piece := range pieces {
		if words[errorWord] && i == len(pieces)/2 {
			return &worker.Failure{Reason: "demo_error", Detail: "You asked for an error: here it is, in the middle of the answer."}
		}
		waits := 1
		if words[slowWord] && i > 0 && strings.HasSuffix(pieces[i-1], "\n") && piece != "\n" {
			waits += pausePace
		}
		for range waits {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := a.Add(piece); err != nil {
			return err
		}
	}
	return a.Finish(map[string]string{"reason": "stop"})
}

// textFor returns the text that answers a question, and the question's words.
func textFor(question string) (text string, words map[string]bool) {
	words = map[string]bool{}
	for _, word := range strings.FieldsFunc(strings.ToLower(question), func(r rune) bool { return !unicode.IsLetter(r) }) {
		words[word] = true
	}
	name := "about"
	for _, k := range keywords {
		if words[k.word] {
			name = k.text
			break
		}
	}
	data, err := texts.ReadFile("answers/" + name + ".md")
	if err != nil {
		panic(err) // the tests ask for all of them
	}
	return intro + string(data), words
}

// split cuts a text into pieces of 1 to 6 characters, at the same places each time, and
// after each line.
func split(text string) (pieces []string) {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(text)) // which does not fail
	rng := rand.New(rand.NewPCG(seed.Sum64(), 0))
	for len(text) > 0 {
		end := cut(text, 1+rng.IntN(6))
		pieces = append(pieces, text[:end])
		text = text[end:]
	}
	return pieces
}

// cut returns where the first n characters of the text end, or its first line.
func cut(text string, n int) int {
	for i, r := range text {
		if n--; n == 0 || r == '\n' {
			return i + utf8.RuneLen(r)
		}
	}
	return len(text)
}
