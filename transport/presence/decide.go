package presence

import (
	"context"
	"errors"
	"time"

	"ringcast/transport/peers"
)

const (
	// auditPeriod is how often all rooms are gone through in any case.
	auditPeriod = time.Minute
	// renewPeriod is how often it is looked which events are among the oldest.
	renewPeriod = 30 * time.Second
	// renewTimeout bounds that look.
	renewTimeout = 2 * time.Second
)

// decider decides now and then what has to be told. Its fields belong to the goroutine
// that does.
type decider struct {
	*Tracker
	// runs are the others, as of the last time, by run.
	runs map[string]bool
	// due reports that an audit is, and leads that this gateway is the one to do it.
	due, leads bool
	// audited and renewed are when that was done last.
	audited, renewed time.Time
	// quietUntil is until when there are no leaves.
	quietUntil time.Time
	failing    bool // so that it is logged once
}

// pass tells what has come about since the last one.
func (d *decider) pass(ctx context.Context) {
	now := time.Now()
	view := d.opts.Peers.View()
	d.watch(view, now)
	d.renew(ctx, now)
	joined, lost, ok := d.changes(now)
	if !ok {
		return
	}
	err := d.tell(ctx, TypeJoin, joined) // first: to learn of leaves may take a while
	if d.mayLeave(view, now) {
		err = errors.Join(err, d.tell(ctx, TypeLeave, append(d.free(ctx, lost), d.audit(ctx, now)...)))
	}
	if failing := err != nil && ctx.Err() == nil; failing != d.failing {
		if d.failing = failing; failing {
			d.opts.Logger.Warn("presence cannot be told: trying on", "err", err)
		}
	}
}

// watch sees which gateways are gone, and whether this one is the first.
func (d *decider) watch(view peers.View, now time.Time) {
	runs := make(map[string]bool, len(view.Peers))
	first := true
	for _, p := range view.Peers {
		runs[p.Run] = true
		first = first && (p.Leaving || d.opts.Peers.Self().Run < p.Run)
	}
	for run := range d.runs {
		if !runs[run] {
			d.due = true
			// It has been gone for that long already.
			d.quietUntil = now.Add(d.opts.Grace - d.opts.Peers.Gone())
		}
	}
	d.due = d.due || first && !d.leads
	d.runs, d.leads = runs, first
}

// mayLeave reports whether it can be told who has left (P2).
func (d *decider) mayLeave(view peers.View, now time.Time) bool {
	for _, p := range view.Peers {
		if p.Leaving {
			return false
		}
	}
	settled := view.Since.Add(max(d.opts.Grace, d.opts.Peers.Gone()))
	return !view.Since.IsZero() && !now.Before(settled) && !now.Before(d.quietUntil)
}

// changes returns the pairs that have come, and those lost for the grace. It is not ok
// while this gateway does not know what it has told.
func (t *Tracker) changes(now time.Time) (joined, lost []pair, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.complete || t.at.Seq < t.told {
		return nil, nil, false
	}
	for p := range t.todo {
		h := t.here[p]
		m, present := t.has(p)
		switch {
		case h == nil:
			delete(t.todo, p)
		case h.streams > 0 && (!present || m.seq <= t.renewUpTo):
			joined = append(joined, p)
		case h.streams > 0:
			delete(t.todo, p)
		case !present:
			t.forgetLocked(p)
		case now.Sub(h.lost) >= t.opts.Grace:
			lost = append(lost, p)
		}
	}
	return joined, lost, true
}

// forgetLocked forgets a pair that has no streams here.
func (t *Tracker) forgetLocked(p pair) {
	delete(t.here, p)
	delete(t.todo, p)
}

// audit returns the pairs of all rooms that nobody has, where it is time and this
// gateway's turn to look for such (P3).
func (d *decider) audit(ctx context.Context, now time.Time) []pair {
	if !d.leads || !d.due && now.Sub(d.audited) < auditPeriod {
		return nil
	}
	nobodys, whole := d.ask(ctx, d.strangers(), nil)
	d.due = !whole
	if whole {
		d.audited = now
	}
	return nobodys
}

// free returns those of the pairs lost here that nobody else has either, and forgets
// those that another has.
func (d *decider) free(ctx context.Context, lost []pair) []pair {
	nobodys, _ := d.ask(ctx, lost, func(p pair) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if h := d.here[p]; h != nil && h.streams == 0 {
			d.forgetLocked(p)
		}
	})
	return nobodys
}

// renew finds out below which position the oldest quarter of the stream lies, once
// something has left it, and has what was told there told again (P4).
func (d *decider) renew(ctx context.Context, now time.Time) {
	if now.Sub(d.renewed) < renewPeriod {
		return
	}
	d.renewed = now
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	b, err := d.opts.History.Bounds(ctx)
	if err != nil || b.Floor.Seq == 0 || b.Head.Seq < b.Floor.Seq {
		return // the next time
	}
	d.renewBelow(b.Floor.Seq + (b.Head.Seq-b.Floor.Seq)/4)
}

func (t *Tracker) renewBelow(seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renewUpTo = seq
	for p, h := range t.here {
		if m, ok := t.has(p); ok && h.streams > 0 && m.seq <= seq {
			t.todo[p] = struct{}{}
		}
	}
}
