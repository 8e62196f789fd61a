package ask

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"ringcast/broker"
)

// The types of an answer's events that have a meaning here; a worker may use others.
const (
	TypeAsk    = "ask"    // what was asked; the first, and the gateway's own
	TypeAdd    = "add"    // a piece of the text
	TypeFinish = "finish" // the last of a whole answer
	TypeError  = "error"  // the last of one that went wrong
)

// ErrUnknown: there is no such answer, or it has left the stream.
var ErrUnknown = errors.New("there is no such answer, or no longer")

// Answer is what the first event of an answer tells of it.
type Answer struct {
	ID string
	// Subject is that of its events, and Question that of the question.
	Subject, Question string
	// Repeated reports that the question had been asked before, with the same key.
	Repeated bool

	claim  uint64 // the first event
	start  broker.ID
	owner  string // ownerOf who has asked
	digest string // of the body
	// attempt tells the claims of one question from each other.
	attempt string
}

// opening is the data of an answer's first event. A reader sees it: it says who has
// asked only to those who know it.
type opening struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Owner   string `json:"owner"`
	Digest  string `json:"digest"`
	Attempt string `json:"attempt"`
}

// ids are written in 26 lower-case letters and digits.
var ids = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ValidID reports whether the text can be the id of an answer.
func ValidID(id string) bool {
	return len(id) == 26 && !strings.ContainsFunc(id, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '2' && r <= '7') })
}

// newAnswer returns the answer to a question before it is claimed. Its id is random, or
// made of the question's key and whom that is of: it is then as hard to guess as they are.
func (d *Desk) newAnswer(q Question) Answer {
	id := strings.ToLower(rand.Text())
	if q.Key != "" {
		sum := hash("ringcast.ask", q.Identity, q.Subject, q.Key)
		id = ids.EncodeToString(sum[:16])
	}
	return Answer{ID: id, Subject: d.subject(id), Question: q.Subject, owner: ownerOf(id, q.Identity), digest: digestOf(q.Body), attempt: rand.Text()}
}

// Start is the position before the answer's first event.
func (a *Answer) Start() broker.ID { return a.start }

// Of reports whether the answer is to who has this sub, empty without a token.
func (a *Answer) Of(identity string) bool { return a.owner == ownerOf(a.ID, identity) }

// IsTo reports whether the question was this one, asked by the same.
func (a *Answer) IsTo(q Question) bool {
	return a.Of(q.Identity) && a.Question == q.Subject && a.digest == digestOf(q.Body)
}

func (a *Answer) publication() broker.Publication {
	data, _ := json.Marshal(opening{a.ID, a.Question, a.owner, a.digest, a.attempt}) // texts cannot fail
	return broker.Publication{Subject: a.Subject, Type: TypeAsk, Data: data}
}

// ownerOf is what an answer's first event says of who has asked. The id in it keeps one
// from seeing which answers are to the same client.
func ownerOf(id, identity string) string { return digest(hash("ringcast.ask.owner", id, identity)) }

func digestOf(body []byte) string { return digest(sha256.Sum256(body)) }

// digest is the first 128 bits of a hash.
func digest(sum [sha256.Size]byte) string { return base64.RawURLEncoding.EncodeToString(sum[:16]) }

// hash hashes the texts, each with its length so that none can run into the next.
func hash(texts ...string) [sha256.Size]byte {
	var b []byte
	for _, t := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	return sha256.Sum256(b)
}

// Find returns the answer with the id, or ErrUnknown. It is asked for again where a
// question that no worker took was: then it is that of the last time.
func (d *Desk) Find(ctx context.Context, id string) (Answer, error) {
	if !ValidID(id) {
		return Answer{}, ErrUnknown
	}
	subject := d.subject(id)
	if _, _, held := d.opts.Log.LastOf(subject); !held {
		newest, ok, err := d.lastOf(ctx, subject)
		switch {
		case err != nil:
			return Answer{}, fmt.Errorf("find answer: %w", err)
		case !ok:
			return Answer{}, ErrUnknown
		}
		if err := d.await(ctx, newest.Seq); err != nil { // it was asked a moment ago, on another gateway
			return Answer{}, fmt.Errorf("find answer: %w", err)
		}
	}
	a, err := d.findClaim(ctx, subject)
	if err != nil {
		return Answer{}, err
	}
	a.start = d.startOf(ctx, a)
	return a, nil
}

// startTimeout bounds the wait for an answer's first event to come back through the log.
const startTimeout = 500 * time.Millisecond

// startOf returns the position before an answer's first event: where the log has it, with
// the stamp of the event there, which a stream that is made again does not have. Without
// it, what such a stream has of the answer would be taken for the whole of it.
func (d *Desk) startOf(ctx context.Context, a Answer) broker.ID {
	if a.claim <= 1 {
		return broker.ID{}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	_ = d.opts.Hub.Await(ctx, a.claim) // where it is late, or who asks has left, it does without
	bare := broker.ID{Seq: a.claim - 1, Stamp: broker.NoStamp}
	events, _, err := d.opts.Log.Get([]uint64{a.claim}, broker.Limits{Events: 1, Bytes: 1})
	if err != nil || len(events) == 0 {
		return bare
	}
	if held, ok := d.parse(&events[0]); !ok || held.attempt != a.attempt { // the log is another stream's
		return bare
	}
	if id, ok, err := d.opts.Log.At(bare.Seq); err == nil && ok {
		return id
	}
	return bare
}

// lastOf returns the newest event of a subject. A mirror that has none may be about to get it.
func (d *Desk) lastOf(ctx context.Context, subject string) (id broker.ID, ok bool, err error) {
	id, _, ok, err = d.opts.History.LastOf(ctx, subject)
	if err != nil || ok {
		return id, ok, err
	}
	if err = d.catchUp(ctx); err != nil {
		return broker.ID{}, false, err
	}
	id, _, ok, err = d.opts.History.LastOf(ctx, subject)
	return id, ok, err
}

// claimPage bounds one read for claims, of which a subject has hardly ever two.
var claimPage = broker.Limits{Events: 100, Bytes: 1 << 20}

// findClaim returns the answer of the newest claim on the subject: from the log where that
// has one, so that an answer is found while NATS is away.
func (d *Desk) findClaim(ctx context.Context, subject string) (Answer, error) {
	f, err := broker.NewFilter([]string{subject}, []string{TypeAsk})
	if err != nil {
		return Answer{}, fmt.Errorf("find answer: %w", err)
	}
	floor := d.opts.Log.Bounds().Floor.Seq
	found, err := d.newestClaim(floor, func(after uint64) (broker.Page, error) { return d.opts.Log.Read(after, f, claimPage) })
	if err == nil && found.ID == "" {
		found, err = d.newestClaim(0, func(after uint64) (broker.Page, error) {
			page, _, err := d.opts.History.Read(ctx, after, floor, f, claimPage)
			return page, err
		})
	}
	switch {
	case errors.Is(err, broker.ErrEvicted): // just now: the history has it
		return d.findClaim(ctx, subject)
	case err != nil:
		return Answer{}, fmt.Errorf("find answer: %w", err)
	case found.ID == "":
		return Answer{}, ErrUnknown
	}
	return found, nil
}

// newestClaim reads claims page by page and returns the newest.
func (d *Desk) newestClaim(after uint64, read func(after uint64) (broker.Page, error)) (found Answer, err error) {
	for {
		page, err := read(after)
		if err != nil {
			return Answer{}, err
		}
		for i := range page.Events {
			if a, ok := d.parse(&page.Events[i]); ok {
				found = a
			}
		}
		if !page.More {
			return found, nil
		}
		after = page.Position.Seq
	}
}

// FindByEvent returns the answer that the event with the id is one of, or ErrUnknown.
func (d *Desk) FindByEvent(ctx context.Context, lastEventID string) (Answer, error) {
	id, err := broker.ParseID(lastEventID)
	if err != nil || id.Seq == 0 {
		return Answer{}, ErrUnknown
	}
	events, _, err := d.opts.Log.Get([]uint64{id.Seq}, broker.Limits{Events: 1, Bytes: 1})
	if err == nil && id.Seq > d.opts.Log.Bounds().Head.Seq {
		err = d.catchUp(ctx)
	}
	if err == nil && len(events) == 0 {
		events, _, err = d.opts.History.Get(ctx, []uint64{id.Seq}, broker.Limits{Events: 1, Bytes: 1})
	}
	if err != nil {
		return Answer{}, fmt.Errorf("find answer by event %s: %w", id, err)
	}
	if len(events) == 0 || !events[0].ID.Same(id) {
		return Answer{}, ErrUnknown
	}
	answer, ok := d.idOf(events[0].Subject)
	if !ok {
		return Answer{}, ErrUnknown
	}
	return d.Find(ctx, answer)
}

// parse reads an answer's first event.
func (d *Desk) parse(e *broker.Event) (Answer, bool) {
	var o opening
	id, ok := d.idOf(e.Subject)
	if !ok || e.Type != TypeAsk || json.Unmarshal(e.Data, &o) != nil || o.ID != id {
		return Answer{}, false
	}
	return Answer{ID: id, Subject: e.Subject, Question: o.Subject, claim: e.ID.Seq, owner: o.Owner, digest: o.Digest, attempt: o.Attempt}, true
}

// read hands on what a subscription has until more returns false, or interrupted is
// closed, which is ErrInterrupted.
func (d *Desk) read(ctx context.Context, req broker.Request, interrupted <-chan struct{}, more func(broker.Batch) bool) error {
	sub, err := d.opts.Hub.Subscribe(req)
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		batch, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		if !batch.Pending && !more(batch) {
			return nil
		}
		if batch.More {
			continue
		}
		select {
		case <-sub.Ready():
		case <-interrupted:
			return ErrInterrupted
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
