package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"time"
)

// ringEvents is how many events the ring holds by default.
const ringEvents = 1_000_000

// fullRing is a data folder whose ring is full: filled once for all runs, as that
// takes longer than what is measured.
type fullRing struct{ dir, bookmark string }

// fullRing returns the full ring.
func (s *suite) fullRing(ctx context.Context) (*fullRing, error) {
	if s.ring != nil {
		return s.ring, nil
	}
	dir, err := os.MkdirTemp("", "ringcast-bench-")
	if err != nil {
		return nil, err
	}
	bookmark, err := s.fill(ctx, dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("fill the ring: %w", err)
	}
	s.ring = &fullRing{dir, bookmark}
	return s.ring, nil
}

// removeRing removes the full ring's folder.
func (s *suite) removeRing() {
	if s.ring != nil {
		os.RemoveAll(s.ring.dir)
	}
}

// fill publishes one event, 10 to be resumed after it, and between the last two of
// those what fills the ring up. It returns the bookmark of the first.
func (s *suite) fill(ctx context.Context, dir string) (string, error) {
	server, err := s.startRingcast(ctx, dir)
	if err != nil {
		return "", err
	}
	defer server.stop()
	filling := row{args: fmt.Sprintf("--scenario resume --clients 1 --events 10 --backlog %d --patience 1m", ringEvents-11)}
	result, err := s.bench(ctx, filling.flags(server, s.Seconds))
	if err != nil {
		return "", err
	}
	return result.Bookmark, result.Faultless()
}

// measureRestart starts Ringcast with the full ring, which a good stop has left.
func (s *suite) measureRestart(ctx context.Context, r row, _ string) (*sample, error) {
	ring, err := s.fullRing(ctx)
	if err != nil {
		return nil, err
	}
	return s.measureStart(ctx, r, ring)
}

// measureKill does so after a kill -9.
func (s *suite) measureKill(ctx context.Context, r row, _ string) (*sample, error) {
	ring, err := s.fullRing(ctx)
	if err != nil {
		return nil, err
	}
	server, err := s.startRingcast(ctx, ring.dir)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	if err := server.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("kill: %w", err)
	}
	server.stop()
	return s.measureStart(ctx, r, ring)
}

func (s *suite) measureStart(ctx context.Context, r row, ring *fullRing) (*sample, error) {
	server, took, err := s.startTimed(ctx, ring.dir)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer server.stop()
	if server.ringEvents != ringEvents {
		return nil, fmt.Errorf("the ring has %d events after the start, want %d", server.ringEvents, ringEvents)
	}
	result, err := s.bench(ctx, append(r.flags(server, s.Seconds), "--bookmark", ring.bookmark))
	if err != nil {
		return nil, err
	}
	return &sample{Result: result, Ready: took.Seconds()}, nil
}

// askAgain is how long to wait before readiness is asked for again.
const askAgain = time.Millisecond

// startTimed starts Ringcast and returns how long it took from exec until it said
// that it is ready.
func (s *suite) startTimed(ctx context.Context, dir string) (*server, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	address, err := freeAddress()
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	server, log, err := s.execRingcast(dir, "--listen", address)
	if err != nil {
		return nil, 0, err
	}
	took, err := awaitReadiness(ctx, "http://"+address+"/readyz", began)
	if err != nil {
		server.stop()
		return nil, 0, err
	}
	return server, took, server.readReadyLine(ctx, log)
}

// awaitReadiness returns how long after began the URL answered with 200.
func awaitReadiness(ctx context.Context, url string, began time.Time) (time.Duration, error) {
	ticker := time.NewTicker(askAgain)
	defer ticker.Stop()
	for {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(began), nil
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("await readiness: %w", ctx.Err())
		}
	}
}
