package ask

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"unicode/utf8"

	"ringcast/broker"
)

// Whole is an answer that has ended.
type Whole struct {
	// Text is the data of the events of type add, one after the other.
	Text []byte
	// Events are all but the first, which is the question's.
	Events []*broker.Delivery
	// Finish or Error is the data of the last event, as JSON: its own, or a text of it.
	Finish, Error json.RawMessage
	// Status is what the end is in HTTP's terms.
	Status int

	size int64 // of all events
}

// maxBeside bounds what the events of an answer are beside their data: that of a model's
// tokens is a few bytes of the fifty that each event has. It is enough for 300,000 of them.
const maxBeside = 16 << 20

// Collect waits until an answer has ended and returns it. interrupted, closed, makes it
// give up with ErrInterrupted. Where a part is gone the error is ErrExpired.
func (d *Desk) Collect(ctx context.Context, a Answer, interrupted <-chan struct{}) (*Whole, error) {
	f, err := broker.NewFilter([]string{a.Subject}, nil)
	if err != nil {
		return nil, fmt.Errorf("collect answer: %w", err)
	}
	d.Enter(f)
	defer d.Leave(f)
	w := &Whole{Status: http.StatusOK}
	var failed error
	begun := false
	err = d.read(ctx, broker.Request{Filter: f, From: broker.FromID(a.Start())}, interrupted, func(batch broker.Batch) bool {
		if batch.Gap != nil {
			failed = ErrExpired
			return false
		}
		for _, e := range batch.Events {
			if begun = begun || e.Type == TypeAsk && e.ID.Seq == a.claim; !begun {
				failed = ErrExpired // the stream was made again since, and has only the rest
				return false
			}
			if w.add(e) {
				return false
			}
		}
		if w.size > 2*d.opts.MaxBytes+maxBeside { // it is to be ended for that, which takes a moment
			failed = newFailure(TooLarge)
			return false
		}
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("collect answer: %w", err)
	}
	return w, nil
}

// add takes in an event and reports whether it was the last.
func (w *Whole) add(e *broker.Delivery) (last bool) {
	if e.Type == TypeAsk {
		return false
	}
	w.Events = append(w.Events, e)
	w.size += int64(e.Size())
	switch {
	case e.Type == TypeAdd:
		w.Text = append(w.Text, e.Data...)
	case e.End && e.Type == TypeError:
		w.Error, w.Status = jsonOf(e.Data), statusOf(e.Data)
	case e.End:
		w.Finish = jsonOf(e.Data)
	}
	return e.End
}

// jsonOf returns data that is JSON as it is, none as null, and anything else as a text.
func jsonOf(data []byte) json.RawMessage {
	switch {
	case len(data) == 0:
		return json.RawMessage("null")
	case json.Valid(data) && utf8.Valid(data): // a text in JSON can hold bytes that are none
		return data
	}
	text, _ := json.Marshal(string(data)) // texts cannot fail
	return text
}

// statusOf returns the status in an error's data, where it is one of an error.
func statusOf(data []byte) int {
	var b failureBody
	if json.Unmarshal(data, &b) == nil && b.Status >= 400 && b.Status <= 599 {
		return b.Status
	}
	return http.StatusBadGateway
}
