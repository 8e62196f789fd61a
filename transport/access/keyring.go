package access

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"
)

const (
	// loadTimeout bounds one reading of the keys.
	loadTimeout = 5 * time.Second
	// unknownKeyEvery bounds how often tokens with unknown key ids, which anybody can
	// make, have the keys read again.
	unknownKeyEvery = 30 * time.Second
)

// keyring holds the keys as last read.
type keyring struct {
	source KeySource
	log    *slog.Logger

	// reading is held while the source is read, which may take loadTimeout; tried, which
	// it guards, is when a token was last the reason.
	reading sync.Mutex
	tried   time.Time

	mu   sync.RWMutex // guards what follows; nothing blocks while it is held
	keys []*verifyKey
	err  error // why the last reading failed
}

// read reads the source. When that fails the keys stay as they were: a provider that
// is away for a moment must not lock everybody out.
func (r *keyring) read(ctx context.Context) error {
	r.reading.Lock()
	defer r.reading.Unlock()
	return r.readLocked(ctx)
}

func (r *keyring) readLocked(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	keys, err := r.source.load(short)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && ctx.Err() == nil && r.err == nil {
		r.log.Warn("cannot read the keys that tokens are verified with", "from", r.source.String(), "err", err)
	}
	if r.err = err; err == nil {
		r.keys = keys
	}
	return err
}

// find returns the keys that may have signed a token. One with an unknown key id has
// the source read again: the provider may have a new key.
func (r *keyring) find(ctx context.Context, id, alg string) []*verifyKey {
	if found := r.matching(id, alg); len(found) > 0 {
		return found
	}
	r.reading.Lock()
	defer r.reading.Unlock()
	if time.Since(r.tried) >= unknownKeyEvery {
		r.tried = time.Now()
		_ = r.readLocked(ctx) // and then with what there is
	}
	return r.matching(id, alg)
}

func (r *keyring) matching(id, alg string) []*verifyKey {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found []*verifyKey
	for _, k := range r.keys {
		if (id == "" || k.id == "" || k.id == id) && k.fits(alg) {
			found = append(found, k)
		}
	}
	return found
}

// holds reports whether the key is still among them, by whatever id.
func (r *keyring) holds(print [sha256.Size]byte) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.keys {
		if k.print == print {
			return true
		}
	}
	return false
}

// unread returns why there are no keys at all, nil when there are some.
func (r *keyring) unread() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.keys) > 0 {
		return nil
	}
	return r.err
}
