package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// connectAtOnce is how many connections may be waiting for the head of their
// answer: fewer than an accept queue holds.
const connectAtOnce = 256

// connectAll opens every client's stream and waits until all are subscribed.
func (m *measurement) connectAll(ctx context.Context) error {
	already := m.pool.streaming
	for i := range m.Clients {
		if err := m.follow(i); err != nil {
			return fmt.Errorf("client %d: %w", i+1, err)
		}
		streaming := func() bool { return i+1-(m.pool.streaming-already) < connectAtOnce }
		if err := m.pool.pollUntil(ctx, m.Patience, streaming); err != nil {
			return fmt.Errorf("open stream: %w", err)
		}
	}
	streaming := func() bool { return m.pool.streaming-already == m.Clients }
	if err := m.pool.pollUntil(ctx, m.Patience, streaming); err != nil {
		return fmt.Errorf("open streams: %d of %d are open: %w", m.pool.streaming, m.Clients, err)
	}
	return nil
}

// follow opens the stream of a client, of its subject or of all.
func (m *measurement) follow(client int) error {
	subject, subjects, name := client%m.Subjects, 1, ""
	if m.Wildcard {
		subject, subjects, name = 0, m.Subjects, m.Prefix+".*"
	} else {
		name = m.subjectName(subject)
	}
	c, err := m.pool.connect(subject, subjects, 1)
	if err != nil {
		return err
	}
	return m.pool.ask(c, m.request(name, ""))
}

// greetAgain is how long a greeting is waited for before there is another.
const greetAgain = 200 * time.Millisecond

// greet publishes until every client has had something, where the server does not
// tell that a client is subscribed. In one of some hundred floods nchan, with two
// workers, kept 47,368 deliveries from its clients, all of them at the beginning, in
// the warm-up, and then no more: as if the worker that has the connection answered
// before the one that has the subject knew of it. That is no loss.
func (m *measurement) greet(ctx context.Context) error {
	if m.pool.primed || m.Clients == 0 {
		return nil
	}
	publisher, err := newPublisher(m.Options)
	if err != nil {
		return err
	}
	defer publisher.close()
	all := func() bool { return m.pool.greeted == m.Clients }
	for began := now(); !all(); {
		if time.Duration(now()-began) > m.Patience {
			return fmt.Errorf("%d of %d are: %w", m.pool.greeted, m.Clients, errStalled)
		}
		for subject := range m.Subjects {
			if err := publisher.publish(subject, []byte("hello")); err != nil {
				return err
			}
		}
		if err := publisher.flush(ctx); err != nil {
			return err
		}
		if err := m.pool.pollUntil(ctx, greetAgain, all); err != nil && !errors.Is(err, errStalled) {
			return err
		}
	}
	return nil
}

// fanout publishes for the warm-up and then the time that is measured, and waits
// until all is delivered.
func (m *measurement) fanout(ctx context.Context) error {
	if err := m.connectAll(ctx); err != nil {
		return err
	}
	if err := m.greet(ctx); err != nil {
		return fmt.Errorf("await that all are subscribed: %w", err)
	}
	feed, err := startFeed(m.Options, m.pool.run)
	if err != nil {
		return err
	}
	defer feed.stop()
	if err := m.publishFor(ctx, feed, m.Warmup); err != nil {
		return err
	}
	if m.begin, err = m.snapshot(feed.published.Load()); err != nil {
		return err
	}
	m.pool.latencyFrom = m.begin.at
	if err := m.publishFor(ctx, feed, m.Duration); err != nil {
		return err
	}
	if err := m.drain(ctx, feed); err != nil {
		return err
	}
	m.end, err = m.snapshot(feed.published.Load())
	m.end.at = max(m.pool.now, feed.endedAt)
	if m.pool.received > m.begin.received {
		m.end.at = m.pool.now
	}
	m.published = feed.counts
	return err
}

// publishFor polls for a time, telling the feed how far the clients are.
func (m *measurement) publishFor(ctx context.Context, feed *feed, d time.Duration) error {
	for until := now() + int64(d); now() < until; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := feed.err(); err != nil {
			return err
		}
		if err := m.pool.poll(min(time.Duration(until-now()), 50*time.Millisecond)); err != nil {
			return err
		}
		feed.delivered(m.pool.received)
	}
	return nil
}

// drain ends the feed and waits for what is under way. What does not come is lost.
func (m *measurement) drain(ctx context.Context, feed *feed) error {
	feed.end()
	ended := func() bool {
		feed.delivered(m.pool.received)
		return feed.ended()
	}
	if err := m.pool.pollUntil(ctx, m.Patience, ended); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := feed.err(); err != nil {
		return err
	}
	all := feed.published.Load() * uint64(m.followers())
	arrived := func() bool { return m.pool.received >= all }
	if m.Conflate > 0 {
		arrived = m.upToDate(feed.counts)
	}
	err := m.pool.pollUntil(ctx, m.Patience, arrived)
	if errors.Is(err, errStalled) {
		return nil
	}
	return err
}

// upToDate returns a function that reports whether every client has the last event of
// each of its subjects. It goes on each time where it got to.
func (m *measurement) upToDate(published []uint64) func() bool {
	client, subject := 0, 0
	return func() bool {
		for ; client < len(m.pool.clients); client, subject = client+1, 0 {
			c := &m.pool.clients[client]
			for ; subject < len(c.tallies); subject++ {
				if c.tallies[subject].outdated(published[int(c.first)+subject]) {
					return false
				}
			}
		}
		return true
	}
}
