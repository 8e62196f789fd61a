package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// resume publishes while one client, the probe, follows, and has all clients come
// back after the first event's id, which the probe has learned.
func (m *measurement) resume(ctx context.Context) error {
	id, err := m.publishBacklog(ctx)
	if err != nil {
		return err
	}
	m.bookmark = bookmark(m.pool.run, id)
	clients := make([]*client, m.Clients)
	for i := range clients {
		if clients[i], err = m.pool.connect(0, 1, 2); err != nil {
			return fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	if m.begin, err = m.snapshot(0); err != nil {
		return err
	}
	request := m.request(m.subjectName(0), id)
	for i, c := range clients {
		if err := m.pool.ask(c, request); err != nil {
			return fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	all := m.begin.received + uint64(m.Clients)*uint64(m.Events)
	err = m.pool.pollUntil(ctx, m.Patience, func() bool { return m.pool.received >= all })
	if err != nil && !errors.Is(err, errStalled) {
		return err
	}
	m.end, err = m.snapshot(uint64(m.Events))
	m.end.at = max(m.pool.now, m.begin.at)
	return err
}

// publishBacklog publishes one event, whose id it returns, and those to resume.
func (m *measurement) publishBacklog(ctx context.Context) (id string, err error) {
	probe, err := m.pool.connect(0, 1, 1)
	if err != nil {
		return "", err
	}
	probe.stream.keepID = true
	if err := m.pool.ask(probe, m.request(m.subjectName(0), "")); err != nil {
		return "", err
	}
	if err := m.pool.pollUntil(ctx, m.Patience, func() bool { return m.pool.streaming == 1 }); err != nil {
		return "", fmt.Errorf("open stream: %w", err)
	}
	if err := m.publishTo(ctx, 1, 1); err != nil {
		return "", err
	}
	id = string(probe.stream.lastID)
	if id == "" {
		return "", errors.New("the server sends no ids: there is nothing to resume from")
	}
	last := uint64(m.Events) + 1
	if err := m.publishTo(ctx, 2, last-1); err != nil {
		return "", err
	}
	if err := m.publishBetween(ctx); err != nil {
		return "", err
	}
	// The server has taken in all that came before once the probe has the last one.
	if err := m.publishTo(ctx, last, last); err != nil {
		return "", err
	}
	m.published = []uint64{last}
	return id, nil
}

// publishBetween publishes what nobody follows.
func (m *measurement) publishBetween(ctx context.Context) error {
	o := m.Options
	o.Prefix += ".between"
	publisher, err := newPublisher(o)
	if err != nil {
		return err
	}
	defer publisher.close()
	for place := 1; place <= m.Backlog; place++ {
		if err := publisher.publish(0, m.payload(stamp{run: m.pool.run, place: uint64(place), due: now()})); err != nil {
			return fmt.Errorf("publish the backlog: %w", err)
		}
	}
	if err := publisher.flush(ctx); err != nil {
		return fmt.Errorf("publish the backlog: %w", err)
	}
	return nil
}

// publishTo publishes the events first to last of the only subject and waits until
// the probe has them.
func (m *measurement) publishTo(ctx context.Context, first, last uint64) error {
	publisher, err := newPublisher(m.Options)
	if err != nil {
		return err
	}
	defer publisher.close()
	for place := first; place <= last; place++ {
		if err := publisher.publish(0, m.payload(stamp{run: m.pool.run, place: place, due: now()})); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	if err := publisher.flush(ctx); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := m.pool.pollUntil(ctx, m.Patience, func() bool { return m.pool.received >= last }); err != nil {
		return fmt.Errorf("follow what is to be resumed: %w", err)
	}
	return nil
}

// comeBack has one client after the other come back to the bookmark and get what
// followed it.
func (m *measurement) comeBack(ctx context.Context) (err error) {
	run, id, err := parseBookmark(m.Bookmark)
	if err != nil {
		return err
	}
	m.pool.run = run
	m.pool.latencyFrom = math.MaxInt64 // what is due came from another process's clock
	if m.begin, err = m.snapshot(0); err != nil {
		return err
	}
	for i := range m.Clients {
		if err := m.comeBackOnce(ctx, m.request(m.subjectName(0), id)); err != nil {
			return fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	m.published = []uint64{uint64(m.Events) + 1}
	m.end, err = m.snapshot(uint64(m.Events))
	return err
}

func (m *measurement) comeBackOnce(ctx context.Context, request []byte) error {
	had, began := m.pool.received, now()
	c, err := m.pool.connect(0, 1, 2)
	if err != nil {
		return err
	}
	if err := m.pool.ask(c, request); err != nil {
		return err
	}
	for _, want := range []uint64{1, uint64(m.Events)} {
		err := m.pool.pollUntil(ctx, m.Patience, func() bool { return m.pool.received >= had+want })
		if errors.Is(err, errStalled) { // what has not come is lost
			break
		}
		if err != nil {
			return err
		}
		if want == 1 {
			m.pool.latency.record(m.pool.now - began)
		}
	}
	return m.pool.drop(c)
}
