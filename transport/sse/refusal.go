package sse

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// maxProblem is how much of a refusal's body is read.
const maxProblem = 64 << 10

// StatusError is an answer that is no stream. Title and Detail are those of the
// answer's application/problem+json (RFC 9457), empty where it had none.
type StatusError struct {
	StatusCode int
	Title      string
	Detail     string
	// RetryAfter is how long the server asked to be left alone, zero where it did
	// not.
	RetryAfter time.Duration
}

func (e *StatusError) Error() string {
	text := http.StatusText(e.StatusCode)
	s := fmt.Sprintf("server answered %d %s", e.StatusCode, text)
	if e.Title != "" && e.Title != text {
		s += ": " + e.Title
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// temporary reports whether the same request may be answered otherwise later.
func (e *StatusError) temporary() bool {
	switch e.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return e.StatusCode >= 500
}

// refusal reads an answer that is neither 200 nor 204.
func refusal(resp *http.Response) error {
	e := &StatusError{
		StatusCode: resp.StatusCode,
		RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	e.readProblem(resp)
	if e.temporary() {
		return e
	}
	return &finalError{e}
}

// readProblem fills in what the body tells. A body that cannot be read tells
// nothing; the status stands.
func (e *StatusError) readProblem(resp *http.Response) {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType != "application/problem+json" {
		return
	}
	var problem struct{ Title, Detail string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&problem); err == nil {
		e.Title, e.Detail = problem.Title, problem.Detail
	}
}

// parseRetryAfter reads both forms of Retry-After
// (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after), and as zero what is
// neither.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxFloor/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
