package ask

import (
	"context"

	"ringcast/broker"
)

// Gone reports whether a stream has nothing to wait for: it is of one answer, of which there
// is nothing in JetStream's any more, and nothing to come. first is its first batch; the
// answer is looked for only where that tells of a gap, or the client comes back.
func (d *Desk) Gone(ctx context.Context, req broker.Request, first broker.Batch) bool {
	subjects := req.Filter.Subjects()
	if len(subjects) != 1 || !d.IsAnswer(subjects[0]) || first.Pending || len(first.Events) > 0 || first.Gap == nil && req.LastEventID == "" {
		return false
	}
	subject := subjects[0]
	if _, _, held := d.opts.Log.LastOf(subject); held || d.isUnderWay(subject) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	_, held, err := d.lastOf(ctx, subject)
	return err == nil && !held
}

// isUnderWay reports whether an answer is, for all that is known here.
func (d *Desk) isUnderWay(subject string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.answers[subject]
	return w != nil && (w.state == open || w.state == unknown && w.wasHeard())
}
