package ask

import (
	"encoding/json"
	"errors"
	"maps"
	"sync"

	"ringcast/broker"
)

// tally counts what has become of questions here, and of answers anywhere.
type tally struct {
	mu                 sync.Mutex // guards what follows
	questions, answers map[string]uint64
}

// Tally is what has become of questions and answers since the start.
type Tally struct {
	// Questions are those asked of this gateway, by each of Outcomes.
	Questions map[string]uint64
	// Answers are those whose end was heard, whichever gateway they were asked of, by each
	// of Ends.
	Answers map[string]uint64
	// Open are the answers under way.
	Open int
}

// The outcomes of questions that are no reasons.
const (
	outcomeAccepted = "accepted"
	outcomeRepeated = "repeated"
	outcomeFailed   = "failed"
)

// Outcomes returns what can become of a question: accepted, repeated, the reasons of those
// that no worker took, and failed, where the stream or NATS did.
func Outcomes() []string {
	return append([]string{outcomeAccepted, outcomeRepeated, outcomeFailed}, names(notTaken)...)
}

// Ends returns how an answer can end: with finish, with an error of the worker's own, or
// for one of the reasons that a gateway gives.
func Ends() []string { return append([]string{TypeFinish, TypeError}, names(reasons())...) }

func names(reasons []Reason) (all []string) {
	for _, r := range reasons {
		all = append(all, string(r))
	}
	return all
}

// question counts what came of asking.
func (t *tally) question(a Answer, err error) {
	var f *Failure
	how := outcomeAccepted
	switch {
	case errors.As(err, &f):
		how = string(f.Reason)
	case err != nil:
		how = outcomeFailed
	case a.Repeated:
		how = outcomeRepeated
	}
	t.note(&t.questions, how)
}

// end counts an answer's last event.
func (t *tally) end(e *broker.Event) {
	how := TypeFinish
	if e.Type == TypeError {
		how = TypeError
		var b failureBody
		if json.Unmarshal(e.Data, &b) == nil && failures[b.Reason].status != 0 {
			how = string(b.Reason)
		}
	}
	t.note(&t.answers, how)
}

func (t *tally) note(counts *map[string]uint64, how string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *counts == nil {
		*counts = map[string]uint64{}
	}
	(*counts)[how]++
}

// Tally returns the counts.
func (d *Desk) Tally() Tally {
	if d == nil {
		return Tally{}
	}
	d.tally.mu.Lock()
	all := Tally{Questions: maps.Clone(d.tally.questions), Answers: maps.Clone(d.tally.answers)}
	d.tally.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.answers {
		if w.state == open {
			all.Open++
		}
	}
	return all
}
