package access

import "context"

// Reread reads the keys, as Run does in its time.
func Reread(ctx context.Context, p *Policy) { _ = p.keys.read(ctx) }
