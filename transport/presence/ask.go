package presence

import (
	"context"
	"encoding/json"
	"time"
)

// question is what the gateways ask each other: which of these pairs do you have?
const question = "presence"

const (
	// askPairs and askBytes bound one question, askTimeout the wait for its answers.
	askPairs   = 500
	askBytes   = 128 << 10
	askTimeout = time.Second
)

type askBody struct {
	Pairs [][2]string `json:"pairs"` // subject and identity
}

// heldBody is an answer: the places in the question of those that the gateway has.
type heldBody struct {
	Held []int `json:"held"`
}

// answer answers another gateway. Who has been away for less than the grace still counts:
// then it is for this gateway to tell of the leave.
func (t *Tracker) answer(q []byte) []byte {
	var ask askBody
	_ = json.Unmarshal(q, &ask) // what it cannot read it does not have
	var held heldBody
	now := time.Now()
	t.mu.Lock()
	for i, p := range ask.Pairs {
		if h := t.here[pair{p[0], p[1]}]; h != nil && (h.streams > 0 || now.Sub(h.lost) < t.opts.Grace) {
			held.Held = append(held.Held, i)
		}
	}
	t.mu.Unlock()
	b, _ := json.Marshal(held) // numbers cannot fail
	return b
}

// ask returns those of the pairs that no other gateway has, and calls held with each of
// the rest. It is not whole where not all have answered; then the pairs asked about last
// are in neither.
func (t *Tracker) ask(ctx context.Context, pairs []pair, held func(pair)) (nobodys []pair, whole bool) {
	for len(pairs) > 0 {
		n, body := askPage(pairs)
		has, ok := t.askOthers(ctx, body)
		if !ok {
			return nobodys, false
		}
		for i, p := range pairs[:n] {
			switch {
			case !has[i]:
				nobodys = append(nobodys, p)
			case held != nil:
				held(p)
			}
		}
		pairs = pairs[n:]
	}
	return nobodys, true
}

// askPage returns a question about as many of the pairs as one may have.
func askPage(pairs []pair) (n int, body []byte) {
	var ask askBody
	size := 0
	for _, p := range pairs {
		if n == askPairs || n > 0 && size > askBytes {
			break
		}
		ask.Pairs = append(ask.Pairs, [2]string{p.subject, p.identity})
		size += len(p.subject) + len(p.identity)
		n++
	}
	body, _ = json.Marshal(ask) // texts cannot fail
	return n, body
}

// askOthers returns which places of the question another gateway has. It is not ok
// where not all have answered.
func (t *Tracker) askOthers(ctx context.Context, body []byte) (has map[int]bool, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers, missing, err := t.opts.Peers.Ask(ctx, question, body)
	if err != nil || len(missing) > 0 {
		return nil, false
	}
	has = map[int]bool{}
	for _, a := range answers {
		var held heldBody
		if err := json.Unmarshal(a.Body, &held); err != nil {
			return nil, false
		}
		for _, i := range held.Held {
			has[i] = true
		}
	}
	return has, true
}
