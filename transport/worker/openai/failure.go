package openai

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"ringcast/transport/worker"
)

// The reasons of an answer that is not whole, besides those of package worker.
const (
	// ReasonUnreachable: there is no connection to the endpoint.
	ReasonUnreachable = "model_unreachable"
	// ReasonUnauthorized: the endpoint does not take the worker's key.
	ReasonUnauthorized = "model_unauthorized"
	// ReasonRateLimited: the endpoint has had enough for now; retry_after says for how
	// long, if the endpoint does.
	ReasonRateLimited = "rate_limited"
	// ReasonRejected: the endpoint does not take the question; detail is what it says.
	ReasonRejected = "model_rejected"
	// ReasonFailed: the endpoint failed, before or while it answered.
	ReasonFailed = "model_failed"
	// ReasonCut: the endpoint's stream ended before the model had finished.
	ReasonCut = "model_cut_off"
)

// maxError is how much of an endpoint's error is read.
const maxError = 64 << 10

// apiError is how an endpoint tells an error, in a body or in the middle of a stream.
type apiError struct {
	Message string `json:"message"`
	// Code is a word, or a status; endpoints differ.
	Code any `json:"code"`
}

// refused reads an answer that is not 200.
func refused(resp *http.Response, now time.Time) error {
	var body struct {
		Error apiError `json:"error"`
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxError)) // the status counts, the rest is what came
	_ = json.Unmarshal(data, &body)
	f := failureOf(resp.StatusCode, body.Error.Message)
	f.RetryAfter = retryAfter(resp.Header, now)
	return f
}

// failureOf maps an endpoint's status.
func failureOf(status int, message string) *worker.Failure {
	said := func(otherwise string) string {
		return cmp.Or(message, fmt.Sprintf("%s (status %d)", otherwise, status))
	}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		// The message of OpenAI's shows a part of the key.
		return &worker.Failure{Reason: ReasonUnauthorized, Detail: "the model's endpoint does not accept the worker's key", Status: http.StatusBadGateway}
	case status == http.StatusTooManyRequests:
		return &worker.Failure{Reason: ReasonRateLimited, Detail: said("the model's endpoint has too many requests"), Status: status}
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return &worker.Failure{Reason: ReasonRejected, Detail: said("the model's endpoint rejects the question"), Status: http.StatusBadRequest}
	}
	return &worker.Failure{Reason: ReasonFailed, Detail: said("the model's endpoint failed"), Status: http.StatusBadGateway}
}

// inStream maps an error that comes instead of a chunk, when the status was 200 already.
func (e *apiError) inStream() error {
	status := 0
	switch code := e.Code.(type) {
	case float64:
		status = int(code)
	case string:
		status, _ = strconv.Atoi(code) // 0 for a word
		if code == "rate_limit_exceeded" {
			status = http.StatusTooManyRequests
		}
	}
	return failureOf(status, cmp.Or(e.Message, "the model's endpoint failed in mid-answer"))
}

// retryAfter returns whole seconds, 0 where nothing is said
// (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after).
func retryAfter(h http.Header, now time.Time) int {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(seconds, 0)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(int(math.Ceil(at.Sub(now).Seconds())), 0)
	}
	return 0
}
