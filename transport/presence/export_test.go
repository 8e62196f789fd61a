package presence

import (
	"context"
	"time"
)

// Renew looks for what has to be told again, as is done every renewPeriod.
func Renew(ctx context.Context, t *Tracker) {
	d := decider{Tracker: t}
	d.renew(ctx, time.Now())
}

// Renewed reports whether all of this gateway's that had to be has been told again.
func Renewed(t *Tracker) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.here {
		if m, ok := t.has(p); !ok || m.seq <= t.renewUpTo {
			return false
		}
	}
	return true
}
