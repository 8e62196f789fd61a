package access

import "context"

// Reread reads the keys, as Run does in its time.
func Reread(ctx context.Context, p *Policy) { _ = p.keys.read(ctx) }

// Kept returns the number of the callout's answers that are kept.
func Kept(p *Policy) int { return len(p.callouts.kept) }
