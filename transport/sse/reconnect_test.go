package sse_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ringcast/transport/sse"
)

// transport is an http.RoundTripper with neither sockets nor goroutines, so that a
// synctest bubble owns its time.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// piece is text that comes after a pause.
type piece struct {
	after time.Duration
	text  string
}

// silence is a pause that outlasts every timeout.
const silence = 1000 * time.Hour

// timedBody is a response body whose pieces come in their own time.
type timedBody struct {
	ctx    context.Context
	pieces []piece
	closed bool
}

func (b *timedBody) Read(p []byte) (int, error) {
	if len(b.pieces) == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(b.pieces[0].after):
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	n := copy(p, b.pieces[0].text)
	b.pieces = b.pieces[1:]
	return n, nil
}

func (b *timedBody) Close() error {
	b.closed = true
	return nil
}

// answer makes a response.
func answer(r *http.Request, status int, header http.Header, pieces ...piece) *http.Response {
	if header == nil {
		header = http.Header{"Content-Type": {"text/event-stream"}}
	}
	return &http.Response{StatusCode: status, Header: header, Body: &timedBody{ctx: r.Context(), pieces: pieces}, Request: r}
}

// waits runs a client, whose answers are made by reply for the attempts 0, 1, …,
// until it has waited n times, and returns the waits and their causes. It checks
// that the client waited as long as it said and closed what it had opened.
func waits(t *testing.T, c sse.Client, n int, reply func(attempt int, r *http.Request) (*http.Response, error)) (lengths []time.Duration, causes []error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	attempt := 0
	var until time.Time
	var body *timedBody
	c.URL = "http://gateway.test/v1/stream"
	c.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if attempt > 0 && !time.Now().Equal(until) {
			t.Errorf("attempt %d at %v, want it at %v", attempt, time.Now(), until)
		}
		attempt++
		resp, err := reply(attempt-1, r)
		if err == nil {
			body = resp.Body.(*timedBody)
		}
		return resp, err
	})}
	c.OnRetry = func(cause error, wait time.Duration) {
		if body != nil && !body.closed {
			t.Errorf("attempt %d: the body was left open", attempt-1)
		}
		lengths, causes, until = append(lengths, wait), append(causes, cause), time.Now().Add(wait)
		if len(lengths) == n {
			cancel()
		}
	}
	if err := c.Run(ctx, func(sse.Message) error { return nil }); err != context.Canceled {
		t.Errorf("error %v", err)
	}
	return lengths, causes
}

var errRefused = errors.New("connection refused")

func noConnection(int, *http.Request) (*http.Response, error) { return nil, errRefused }

// Between attempts: the reconnection time in full, then a random part of a backoff
// that doubles up to its limit.
func TestClient_backoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const retry, backoff, most = 3 * time.Second, time.Second, 20 * time.Second
		c := sse.Client{Retry: retry, Backoff: backoff, MaxBackoff: most}
		got, causes := waits(t, c, 60, noConnection)
		ceiling, longest := backoff, time.Duration(0)
		for i, wait := range got {
			if wait < retry || wait > retry+ceiling {
				t.Errorf("wait %d is %v: want %v to %v", i, wait, retry, retry+ceiling)
			}
			if !errors.Is(causes[i], errRefused) {
				t.Errorf("cause %v", causes[i])
			}
			longest = max(longest, wait)
			ceiling = min(2*ceiling, most)
		}
		// Uniform in 20 s, 55 times: all within the first half once in 2^55 runs.
		if longest < retry+most/2 {
			t.Errorf("the longest of 60 waits is %v: the backoff does not grow", longest)
		}
	})
}

// A backoff that is back at its start after each 200 hammers a server that accepts
// and drops.
func TestClient_backoff_after_short_streams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backoff, stable = time.Second, 10 * time.Second
		c := sse.Client{Retry: -1, Backoff: backoff, MaxBackoff: time.Minute, StableAfter: stable}
		const last = 60 // the only stream that lasts
		got, causes := waits(t, c, last+1, func(attempt int, r *http.Request) (*http.Response, error) {
			lasts := stable - time.Nanosecond
			if attempt == last {
				lasts = stable
			}
			return answer(r, 200, nil, piece{0, "data: a\n\n"}, piece{lasts, ":\n"}), nil
		})
		longest := time.Duration(0)
		for _, wait := range got[:last] {
			longest = max(longest, wait)
		}
		if longest < 30*time.Second {
			t.Errorf("the longest wait after a short stream is %v: the backoff does not grow", longest)
		}
		if got[last] > backoff {
			t.Errorf("wait %v after a stable stream, want at most %v", got[last], backoff)
		}
		if causes[0] != io.EOF {
			t.Errorf("cause %v, want io.EOF", causes[0])
		}
	})
}

// The server's retry: replaces the reconnection time, for good.
func TestClient_retry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, _ := waits(t, sse.Client{Retry: time.Second, Backoff: -1}, 5, func(attempt int, r *http.Request) (*http.Response, error) {
			switch attempt {
			case 0:
				return nil, errRefused
			case 1:
				return answer(r, 200, nil, piece{0, "retry: 7000\n"}), nil // counts without a blank line
			case 3:
				return answer(r, 200, nil, piece{0, "retry: 0\n"}), nil
			case 4:
				return answer(r, 200, nil, piece{0, "retry: 99999999999999999999\n"}), nil
			}
			return answer(r, 200, nil), nil
		})
		for i, want := range []time.Duration{time.Second, 7 * time.Second, 7 * time.Second, 0, time.Hour} {
			if got[i] != want {
				t.Errorf("wait %d is %v, want %v", i, got[i], want)
			}
		}
	})
}

// Retry-After is a floor for the one wait that it was sent for.
func TestClient_RetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		cases := []struct {
			header string
			want   time.Duration
		}{
			{"", 2 * time.Second},
			{"30", 30 * time.Second},
			{"", 2 * time.Second},
			{"1", 2 * time.Second},
			{"date", 40 * time.Second},
			{"date in the past", 2 * time.Second},
			{"soon", 2 * time.Second},
			{"-5", 2 * time.Second},
			{"18446744073709551615", time.Hour},
		}
		got, causes := waits(t, sse.Client{Retry: 2 * time.Second, Backoff: -1}, len(cases), func(attempt int, r *http.Request) (*http.Response, error) {
			value := cases[attempt].header
			switch value {
			case "date":
				value = in(40 * time.Second)
			case "date in the past":
				value = in(-time.Hour)
			}
			return answer(r, 503, http.Header{"Retry-After": {value}}), nil
		})
		for i, c := range cases {
			if got[i] != c.want {
				t.Errorf("Retry-After %q: wait %v, want %v", c.header, got[i], c.want)
			}
			if refused := new(sse.StatusError); !errors.As(causes[i], &refused) || refused.StatusCode != 503 || refused.RetryAfter < 0 {
				t.Errorf("cause %#v", causes[i])
			}
		}
	})
}

// Any byte keeps a connection, and only waiting for one counts.
func TestClient_IdleTimeout(t *testing.T) {
	idle := func(t *testing.T, reply func(r *http.Request) (*http.Response, error)) time.Duration {
		t.Helper()
		begin := time.Now()
		c := sse.Client{IdleTimeout: 45 * time.Second, Retry: -1, Backoff: -1}
		_, causes := waits(t, c, 1, func(_ int, r *http.Request) (*http.Response, error) { return reply(r) })
		if causes[0] != sse.ErrIdle {
			t.Errorf("cause %v, want ErrIdle", causes[0])
		}
		return time.Since(begin)
	}
	t.Run("heartbeats", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			pieces := []piece{{44 * time.Second, ":"}, {44 * time.Second, "\n"}, {44 * time.Second, ":\n"}, {silence, ""}}
			took := idle(t, func(r *http.Request) (*http.Response, error) { return answer(r, 200, nil, pieces...), nil })
			if want := (3*44 + 45) * time.Second; took != want {
				t.Errorf("gave up after %v, want %v", took, want)
			}
		})
	})
	t.Run("no answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			took := idle(t, func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, context.Cause(r.Context()) // as net/http does, or else Err
			})
			if want := 45 * time.Second; took != want {
				t.Errorf("gave up after %v, want %v", took, want)
			}
		})
	})
	t.Run("a listener that takes its time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := sse.Client{URL: "http://gateway.test/", IdleTimeout: 45 * time.Second, Retry: -1, Backoff: -1}
			attempts := 0
			c.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				if attempts++; attempts > 1 {
					return answer(r, 204, nil), nil
				}
				return answer(r, 200, nil, piece{0, "data: a\n\n"}, piece{0, "data: b\n\n"}), nil
			})}
			c.OnRetry = func(cause error, _ time.Duration) {
				if cause != io.EOF {
					t.Errorf("cause %v, want the end of the stream", cause)
				}
			}
			handled := 0
			err := c.Run(t.Context(), func(sse.Message) error { time.Sleep(time.Hour); handled++; return nil })
			if err != nil || handled != 2 {
				t.Errorf("error %v after %d messages", err, handled)
			}
		})
	})
	t.Run("none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			waits(t, sse.Client{IdleTimeout: -1}, 1, func(_ int, r *http.Request) (*http.Response, error) {
				return answer(r, 200, nil, piece{silence, ":\n"}), nil
			})
			if took := time.Since(begin); took != silence {
				t.Errorf("gave up after %v", took)
			}
		})
	})
}

// A restart drops the connection, or ends the wait, and the next attempt is made at
// once, after the last id.
func TestClient_Restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		restart := make(chan struct{})
		c := sse.Client{URL: "http://gateway.test/", Retry: time.Hour, Backoff: -1, IdleTimeout: -1, Restart: restart}
		begin := time.Now()
		at := func(r *http.Request) string { return time.Since(begin).String() + " " + r.Header.Get("Last-Event-ID") }
		var attempts, retries []string
		c.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			attempts = append(attempts, at(r))
			switch len(attempts) {
			case 1: // a stream under way
				return answer(r, 200, nil, piece{0, "data: a\nid: 1\n\ndata: cut"}, piece{silence, ""}), nil
			case 2: // an answer that is long in coming
				<-r.Context().Done()
				return nil, context.Cause(r.Context())
			case 3: // and a wait, which a refusal has made longer
				return answer(r, 503, http.Header{"Retry-After": {"3600"}}), nil
			}
			return answer(r, 204, nil), nil
		})}
		c.OnRetry = func(cause error, _ time.Duration) { retries = append(retries, cause.Error()) }
		go func() {
			for range 3 {
				time.Sleep(time.Minute)
				restart <- struct{}{}
			}
		}()
		if err := c.Run(t.Context(), func(sse.Message) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"0s ", "1m0s 1", "2m0s 1", "3m0s 1"}, attempts); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"server answered 503 Service Unavailable"}, retries); diff != "" {
			t.Errorf("retries (-want +got):\n%s", diff)
		}
	})
}

// A restart is not lost where the attempt comes to its own end in the same moment.
func TestClient_Restart_as_the_attempt_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		restart := make(chan struct{}, 1)
		c := sse.Client{URL: "http://gateway.test/", Retry: time.Hour, Restart: restart}
		attempts := 0
		c.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if attempts++; attempts > 200 {
				return answer(r, 204, nil), nil
			}
			restart <- struct{}{}
			return nil, errRefused
		})}
		begin := time.Now()
		if err := c.Run(t.Context(), nil); err != nil || time.Since(begin) > 0 {
			t.Errorf("error %v after %d attempts in %v", err, attempts, time.Since(begin))
		}
	})
}

// The end of the context ends a wait.
func TestClient_Run_cancelled_while_waiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := sse.Client{URL: "http://gateway.test/", Retry: time.Hour, HTTP: &http.Client{
			Transport: transport(func(r *http.Request) (*http.Response, error) { return noConnection(0, r) }),
		}}
		begin := time.Now()
		if err := c.Run(ctx, nil); err != context.DeadlineExceeded || time.Since(begin) != time.Minute {
			t.Errorf("error %v after %v", err, time.Since(begin))
		}
	})
}

// The defaults are those that the package documents.
func TestClient_defaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		got, causes := waits(t, sse.Client{}, 1, func(_ int, r *http.Request) (*http.Response, error) {
			return answer(r, 200, nil, piece{silence, ""}), nil
		})
		if causes[0] != sse.ErrIdle || time.Since(begin) != sse.DefaultIdleTimeout {
			t.Errorf("gave up for %v after %v", causes[0], time.Since(begin))
		}
		if got[0] < sse.DefaultRetry || got[0] > sse.DefaultRetry+sse.DefaultBackoff {
			t.Errorf("wait %v", got[0])
		}
	})
}
