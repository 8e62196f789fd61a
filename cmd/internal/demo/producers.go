package demo

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
)

// Subjects are the patterns that the producers publish to.
var Subjects = []string{quoteSubject + "*", notifySubject + "*"}

// The rate of quotes of all symbols together.
const (
	DefaultQuotesPerSecond = 100
	MaxQuotesPerSecond     = 50_000
)

// The mean time between two notifications, and how far one may be from it.
const (
	notifyEvery = 4 * time.Second
	jitter      = 0.5
)

const (
	// quotesEvery is how often quotes are published, one or several at a time.
	quotesEvery = 10 * time.Millisecond
	// mostBehind is for how long quotes that are due are made up for. What is older
	// is skipped: a producer that was held up must not publish a burst.
	mostBehind = 100 * time.Millisecond
)

// Publisher is what the producers need of a *nats.Conn.
type Publisher interface {
	PublishMsg(*nats.Msg) error
}

// Producers publishes quotes and notifications.
type Producers struct {
	to          Publisher
	log         *slog.Logger
	rng         *rand.Rand
	instruments []*instrument
	perSecond   int
	failing     bool // the last publish failed
}

// NewProducers returns producers that publish to p, of quotes as many a second as
// quotesPerSecond says, from 1 to MaxQuotesPerSecond. Equal seeds give equal events
// but for their times.
func NewProducers(p Publisher, log *slog.Logger, seed uint64, quotesPerSecond int) *Producers {
	rng := rand.New(rand.NewPCG(seed, 0))
	perSecond := min(max(quotesPerSecond, 1), MaxQuotesPerSecond)
	return &Producers{
		to:          p,
		log:         log,
		rng:         rng,
		instruments: newInstruments(rng, perSecond),
		perSecond:   perSecond,
	}
}

// Run publishes until ctx is done: first a quote of every symbol, then of any as
// the rate says, and a notification every few seconds.
func (p *Producers) Run(ctx context.Context) {
	for _, i := range p.instruments {
		p.publishQuote(i)
	}
	perQuote := time.Second / time.Duration(p.perSecond)
	quotes, notifications := time.NewTicker(max(perQuote, quotesEvery)), time.NewTimer(p.next(notifyEvery)/4)
	defer quotes.Stop()
	defer notifications.Stop()
	published := time.Now() // up to when quotes have been published
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-quotes.C:
			if now.Sub(published) > mostBehind+perQuote {
				published = now.Add(-mostBehind - perQuote)
			}
			for ; now.Sub(published) >= perQuote; published = published.Add(perQuote) {
				p.publishQuote(p.instruments[p.rng.IntN(len(p.instruments))])
			}
		case <-notifications.C:
			p.publishNotification()
			notifications.Reset(p.next(notifyEvery))
		}
	}
}

// next returns a random time around mean.
func (p *Producers) next(mean time.Duration) time.Duration {
	return time.Duration(float64(mean) * (1 + jitter*(2*p.rng.Float64()-1)))
}

func (p *Producers) publishQuote(i *instrument) {
	q := i.tick(p.rng, time.Now())
	p.publish(&nats.Msg{Subject: quoteSubject + q.Symbol, Data: mustJSON(q)})
}

func (p *Producers) publishNotification() {
	n := newNotification(p.rng, p.instruments, time.Now())
	p.publish(&nats.Msg{
		Subject: notifySubject + n.User,
		Header:  nats.Header{"Ringcast-Event": {notificationType}},
		Data:    mustJSON(n),
	})
}

// publish drops what cannot be published: a quote is stale a moment later. It
// logs when publishing begins to fail and when it works again.
func (p *Producers) publish(msg *nats.Msg) {
	err := p.to.PublishMsg(msg)
	switch {
	case err != nil && !p.failing:
		p.log.Warn("demo cannot publish: skipping until it can", "err", err)
	case err == nil && p.failing:
		p.log.Info("demo publishes again")
	}
	p.failing = err != nil
}
