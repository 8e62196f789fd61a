package ask

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Reason is why there is no answer, or not a whole one, in a word.
type Reason string

// The reasons. Those of a question that no worker took come first.
const (
	NoWorker    Reason = "no_worker"    // nobody listens for such questions
	Refused     Reason = "refused"      // the worker does not take the question
	NotAccepted Reason = "not_accepted" // the worker has said nothing in time

	FirstEventLate Reason = "first_event_late" // accepted, and nothing has come in time
	Silent         Reason = "silent"           // nothing more has come in time
	WorkerGone     Reason = "worker_gone"      // the worker's process or connection has ended
	TooLarge       Reason = "too_large"        // the answer is larger than allowed
	Stopped        Reason = "stopped"          // it was to stop, and has not said a last word
)

// notTaken are the reasons after which the question may be asked anew.
var notTaken = []Reason{NoWorker, Refused, NotAccepted}

// failures are what is told of each reason, in HTTP's terms too.
var failures = map[Reason]struct {
	status int
	detail string
}{
	NoWorker:       {http.StatusServiceUnavailable, "no worker listens for questions on this subject"},
	Refused:        {http.StatusBadGateway, "the worker does not take the question"},
	NotAccepted:    {http.StatusGatewayTimeout, "a worker got the question and has not accepted it in time"},
	FirstEventLate: {http.StatusGatewayTimeout, "the worker accepted the question, and nothing has come in time"},
	Silent:         {http.StatusGatewayTimeout, "the worker has sent nothing for too long"},
	WorkerGone:     {http.StatusBadGateway, "the worker is gone"},
	TooLarge:       {http.StatusBadGateway, "the answer is larger than allowed"},
	Stopped:        {http.StatusBadGateway, "the worker was told to stop and has not said a last word"},
}

// reasons returns all of them, sorted.
func reasons() (all []Reason) {
	for r := range failures {
		all = append(all, r)
	}
	slices.Sort(all)
	return all
}

// Failure is why a question has no answer, or one that is not whole.
type Failure struct {
	Reason Reason
	Detail string
	// Status is the same in HTTP's terms.
	Status int
	// Reply is what a worker that refuses has said: a JSON object. Otherwise empty.
	Reply json.RawMessage
}

func newFailure(r Reason) *Failure {
	return &Failure{Reason: r, Detail: failures[r].detail, Status: failures[r].status}
}

func (f *Failure) Error() string { return string(f.Reason) + ": " + f.Detail }

// failureBody is the data of an event of type error, as the gateway writes it.
type failureBody struct {
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
	Status int    `json:"status"`
	// NotTaken reports that no worker took the question: it may be asked anew. A worker's
	// own error can have any reason.
	NotTaken bool `json:"not_taken,omitempty"`
}

func (f *Failure) data() []byte {
	b, _ := json.Marshal(failureBody{f.Reason, f.Detail, f.Status, slices.Contains(notTaken, f.Reason)}) // texts and a number cannot fail
	return b
}

// wasNotTaken reports whether the data of an error says that no worker took the question.
func wasNotTaken(data []byte) bool {
	var b failureBody
	return json.Unmarshal(data, &b) == nil && b.NotTaken
}

// readReply reads a worker's reply to a question: nil where it takes it.
func readReply(reply []byte) error {
	if len(reply) == 0 {
		return nil
	}
	var r struct {
		Status int `json:"status"`
	}
	f := newFailure(Refused)
	if err := json.Unmarshal(reply, &r); err != nil || r.Status < 400 || r.Status > 599 {
		f.Detail = "the worker's reply is neither empty nor a JSON object with a status from 400 to 599"
		return f
	}
	f.Status, f.Reply = r.Status, reply
	return f
}

// Other errors of a Desk.
var (
	// ErrOtherQuestion: the key was used for another question.
	ErrOtherQuestion = errors.New("the key was used before, with another body")
	// ErrInterrupted: the gateway shuts down. The answer goes on.
	ErrInterrupted = errors.New("the gateway shuts down; the answer goes on")
	// ErrExpired: a part of the answer has left the stream.
	ErrExpired = fmt.Errorf("%w: a part of it has left the stream", ErrUnknown)
)
