package jetstream

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Rule: a look that has begun serves nobody who comes later.
func TestLooks(t *testing.T) {
	var l looks
	first, mine, before := l.join()
	if !mine || before != nil {
		t.Fatalf("mine %v, before %v", mine, before)
	}
	if same, mine, _ := l.join(); mine || same != first {
		t.Error("no part in a look that has not begun")
	}
	l.begin()
	second, mine, before := l.join()
	if !mine || second == first || before != first {
		t.Error("part in a look that has begun")
	}
	failed := errors.New("failed")
	l.finish(first, failed)
	if <-first.done; first.err != failed {
		t.Errorf("error %v", first.err)
	}
	l.finish(second, errAbandoned) // without having begun
	<-second.done
	if third, mine, before := l.join(); !mine || third == second || before != nil {
		t.Error("stuck on a look that was called off")
	}
}

// Rule: when who looks is called off, those who waited for the look get one all the
// same, and nobody else's error.
func TestHistory_look_called_off(t *testing.T) {
	s, err := StartEmbedded(EmbeddedOptions{StoreDir: t.TempDir(), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := Connect(ctx, Options{URL: s.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.EnsureStream(ctx, StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}}); err != nil {
		t.Fatal(err)
	}
	h := NewHistory(c, HistoryOptions{Stream: "EVENTS", Concurrency: 1})
	h.slots <- struct{}{} // nobody can ask

	first, calledOff := context.WithCancel(ctx)
	owner, follower := make(chan error, 1), make(chan error, 1)
	go func() { _, err := h.look(first); owner <- err }()
	for next := (*look)(nil); next == nil; {
		h.looks.mu.Lock()
		next = h.looks.next
		h.looks.mu.Unlock()
	}
	go func() {
		k, err := h.look(ctx)
		if err == nil && k.generation == 0 {
			err = errors.New("nothing was seen")
		}
		follower <- err
	}()
	calledOff()
	if err := <-owner; !errors.Is(err, context.Canceled) {
		t.Errorf("who was called off got %v", err)
	}
	<-h.slots
	if err := <-follower; err != nil {
		t.Errorf("who waited got %v", err)
	}
}
