//go:build linux

package faults

import (
	"regexp"
	"sync"
)

// tally counts what clients and publishers went through. It may be used from any
// number of goroutines.
type tally struct {
	mu      sync.Mutex // guards what follows; nothing blocks while it is held
	clients map[string]*experience
	publish map[string]uint64 // errors of publishers
}

// experience is what the clients of one library went through.
type experience struct {
	Clients    int    `json:"clients"`
	Delivered  uint64 `json:"delivered"`
	Reconnects uint64 `json:"reconnects"`
	// GaveUp is how often one ended for good and was opened anew by its user.
	GaveUp uint64            `json:"gave_up"`
	Gaps   map[string]uint64 `json:"gaps,omitempty"`
	Errors map[string]uint64 `json:"errors,omitempty"`
}

func newTally() *tally {
	return &tally{clients: map[string]*experience{}, publish: map[string]uint64{}}
}

func (t *tally) of(library string) *experience {
	e := t.clients[library]
	if e == nil {
		e = &experience{Gaps: map[string]uint64{}, Errors: map[string]uint64{}}
		t.clients[library] = e
	}
	return e
}

func (t *tally) added(library string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(library).Clients++
}

func (t *tally) reconnected(library, cause string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(library).Reconnects++
	count(t.of(library).Errors, cause)
}

func (t *tally) reopened(library, cause string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(library).GaveUp++
	count(t.of(library).Errors, cause)
}

func (t *tally) publishFailed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	count(t.publish, err.Error())
}

// varying is what makes texts of one error differ: addresses, and long names.
var varying = regexp.MustCompile(`(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\]):\d+|"http://[^"]*"|http://\S+`)

// manyErrors bounds how many texts are told apart.
const manyErrors = 100

func count(errs map[string]uint64, text string) {
	text = varying.ReplaceAllString(text, "…")
	if _, ok := errs[text]; !ok && len(errs) >= manyErrors {
		text = "others"
	}
	errs[text]++
}

// stormLibrary is what the clients of storms are counted as: Ringcast's own, in Go.
const stormLibrary = "connection storms (" + ringcastGo + ")"

// stormed counts a client of a storm that has ended.
func (t *tally) stormed(c *checker) {
	t.added(stormLibrary)
	t.took(stormLibrary, c)
}

// took adds what a client was given.
func (t *tally) took(library string, c *checker) {
	delivered, gaps := c.totals()
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.of(library)
	e.Delivered += delivered
	for reason, n := range gaps {
		e.Gaps[reason] += n
	}
}
