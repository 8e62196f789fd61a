package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"ringcast/broker"
	"ringcast/cmd/internal/demo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder keeps what is published, and fails while err is set.
type recorder struct {
	msgs []*nats.Msg
	err  func() error
}

func (r *recorder) PublishMsg(m *nats.Msg) error {
	if r.err != nil {
		if err := r.err(); err != nil {
			return err
		}
	}
	r.msgs = append(r.msgs, m)
	return nil
}

// runFor runs producers for a time that passes at once.
func runFor(t *testing.T, r *recorder, log *slog.Logger, quotesPerSecond int, d time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		demo.NewProducers(r, log, 1, quotesPerSecond).Run(ctx)
	})
}

func TestProducers_Run(t *testing.T) {
	var r recorder
	runFor(t, &r, slog.New(slog.DiscardHandler), 100, time.Minute)

	symbols, notified := map[string]int{}, map[string]int{}
	lastPrice, moved := map[string]float64{}, 0
	for _, msg := range r.msgs {
		if err := broker.SubjectWithin(msg.Subject, demo.Subjects); err != nil {
			t.Error(err)
		}
		var event struct {
			Symbol, User, Title, Body string
			Price                     *float64
			Change                    *float64
			Volume                    int64
			Time                      time.Time
		}
		decoder := json.NewDecoder(bytes.NewReader(msg.Data))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&event); err != nil {
			t.Fatalf("%s: %v: %s", msg.Subject, err, msg.Data)
		}
		if event.Time.IsZero() {
			t.Errorf("%s has no time: %s", msg.Subject, msg.Data)
		}
		name, isQuote := strings.CutPrefix(msg.Subject, "events.quotes.")
		if isQuote {
			if event.Symbol != name || event.Price == nil || *event.Price <= 0 || event.Change == nil || event.Volume <= 0 {
				t.Errorf("%s: not a quote: %s", msg.Subject, msg.Data)
			}
			if before, ok := lastPrice[name]; ok && before != *event.Price {
				moved++
			}
			lastPrice[name] = *event.Price
			symbols[name]++
			continue
		}
		name = strings.TrimPrefix(msg.Subject, "events.notify.")
		if event.User != name || event.Title == "" || event.Body == "" || strings.ContainsAny(event.Body, "{}") {
			t.Errorf("%s: not a notification: %s", msg.Subject, msg.Data)
		}
		if got := msg.Header.Get("Ringcast-Event"); got != "notification" {
			t.Errorf("%s has the type %q", msg.Subject, got)
		}
		notified[name]++
	}
	if len(symbols) != 200 {
		t.Errorf("%d symbols, want 200: %v", len(symbols), symbols)
	}
	if moved < total(symbols)/2 {
		t.Errorf("of %d quotes, %d moved the price", total(symbols), moved)
	}
	if len(notified) != 3 || total(notified) < 8 || total(notified) > 30 {
		t.Errorf("notifications in a minute: %v, want one every few seconds to each of three users", notified)
	}
}

// The rate is met whether it is below or above that of the ticks.
func TestProducers_Rate(t *testing.T) {
	const seconds = 5
	for _, perSecond := range []int{1, 7, demo.DefaultQuotesPerSecond, 333, demo.MaxQuotesPerSecond} {
		t.Run(strconv.Itoa(perSecond), func(t *testing.T) {
			var r recorder
			runFor(t, &r, slog.New(slog.DiscardHandler), perSecond, seconds*time.Second)
			quotes := 0
			for _, msg := range r.msgs {
				if strings.HasPrefix(msg.Subject, "events.quotes.") {
					quotes++
				}
			}
			want := 200 + perSecond*seconds // one of each symbol comes first
			if off := math.Abs(float64(quotes - want)); off > 1+0.01*float64(want) {
				t.Errorf("%d quotes in %d s at %d/s, want %d", quotes, seconds, perSecond, want)
			}
		})
	}
}

// A producer that was held up, by NATS or with the machine asleep, does not make up
// for it all at once.
func TestProducers_HeldUp(t *testing.T) {
	heldUp := false
	r := recorder{}
	r.err = func() error {
		if !heldUp && len(r.msgs) == 1000 {
			heldUp = true
			time.Sleep(time.Minute)
		}
		return nil
	}
	runFor(t, &r, slog.New(slog.DiscardHandler), 1000, 63*time.Second)
	if n := len(r.msgs); n > 4000 {
		t.Errorf("%d events in 3 s besides a minute held up, at 1000/s", n)
	}
}

// A demo left running keeps to prices that a chart can show.
func TestProducers_StaysInRange(t *testing.T) {
	var r recorder
	runFor(t, &r, slog.New(slog.DiscardHandler), 20, 2*time.Hour)
	for _, msg := range r.msgs {
		var quote struct{ Change float64 }
		if err := json.Unmarshal(msg.Data, &quote); err != nil {
			t.Fatal(err)
		}
		if math.Abs(quote.Change) > 40 {
			t.Fatalf("after %s a price is %.1f %% from its start", msg.Data, quote.Change)
		}
	}
}

// While NATS is away it says so once, and goes on afterwards.
func TestProducers_NATSAway(t *testing.T) {
	var log bytes.Buffer
	calls := 0
	r := recorder{err: func() error {
		if calls++; calls > 20 && calls <= 60 {
			return errors.New("away")
		}
		return nil
	}}
	runFor(t, &r, slog.New(slog.NewTextHandler(&log, nil)), 100, time.Minute)
	if got := strings.Count(log.String(), "level=WARN"); got != 1 {
		t.Errorf("%d warnings, want 1:\n%s", got, log.String())
	}
	if got := strings.Count(log.String(), "publishes again"); got != 1 {
		t.Errorf("%d times told that it works again, want 1:\n%s", got, log.String())
	}
	if want := calls - 40; len(r.msgs) != want {
		t.Errorf("%d events published of %d attempts, want all but 40", len(r.msgs), calls)
	}
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
