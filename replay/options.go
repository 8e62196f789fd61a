package replay

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Defaults of Options.
const (
	DefaultMaxEvents     = 1_000_000
	DefaultMaxBytes      = 256 << 20
	DefaultMaxAge        = 24 * time.Hour
	DefaultWriteInterval = 50 * time.Millisecond
	DefaultSyncInterval  = time.Second
)

// EventOverhead is what an event counts for against Options.MaxBytes on top of
// its broker.Event.Size. An event takes 41 bytes on disk beyond its text (an
// 8-byte key, 16 bytes of page element, 17 bytes of record), its share of page
// headers and branch pages, and 8 bytes or more of the index in memory.
// Without it a ring of empty events would have no size.
const EventOverhead = 64

// Options bounds a ring. The zero value is usable: every zero field means its
// default, and there is no way to say "without bound".
type Options struct {
	// MaxEvents is how many events are kept (default 1,000,000). The index takes
	// memory in proportion (see the package documentation). Too small, and
	// subscriptions that fall behind are served from the history sooner, which
	// costs a network round trip each.
	MaxEvents int
	// MaxBytes is how many bytes of events are kept, each counted as its
	// broker.Event.Size plus EventOverhead (default 256 MiB). The file takes up
	// to about twice that (see the package documentation). The newest event is
	// kept even where it alone is larger.
	MaxBytes int64
	// MaxAge is how long an event is kept after JetStream stored it (default
	// 24 h). It compares the stamps of the stream's clock with this host's
	// clock: an hour of disagreement is an hour more or less of history.
	MaxAge time.Duration
	// WriteInterval is how long an event may be in memory only (default 50 ms). A
	// killed process loses up to this much of the ring and fills it again from the
	// stream. Shorter costs throughput.
	WriteInterval time.Duration
	// SyncInterval is how often what was written is forced to disk (default 1 s). A
	// power cut or a kernel crash loses up to this much, or leaves a file that is
	// found damaged at the next Open; either way the ring is filled again from the
	// stream. Shorter costs throughput.
	SyncInterval time.Duration
	// Logger is told of what needs an operator's eye: a damaged file moved
	// aside, a full disk. Nil discards it.
	Logger *slog.Logger
	// Committed is told of every commit of pending events, by the goroutine that makes
	// it and with the file locked against others: it must not block. Nil is told
	// nothing.
	Committed func(Commit)

	maxFile int              // bbolt's Options.MaxSize; for tests of a full disk
	now     func() time.Time // for tests of what age means
}

// withDefaults returns o with every zero field replaced by its default.
func (o Options) withDefaults() (Options, error) {
	if o.MaxEvents < 0 || o.MaxBytes < 0 || o.MaxAge < 0 || o.WriteInterval < 0 || o.SyncInterval < 0 {
		return o, fmt.Errorf("negative limit: %d events, %d bytes, age %s, write interval %s, sync interval %s",
			o.MaxEvents, o.MaxBytes, o.MaxAge, o.WriteInterval, o.SyncInterval)
	}
	setDefault(&o.MaxEvents, DefaultMaxEvents)
	setDefault(&o.MaxBytes, DefaultMaxBytes)
	setDefault(&o.MaxAge, DefaultMaxAge)
	setDefault(&o.WriteInterval, DefaultWriteInterval)
	setDefault(&o.SyncInterval, DefaultSyncInterval)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Committed == nil {
		o.Committed = func(Commit) {}
	}
	if o.now == nil {
		o.now = time.Now
	}
	return o, nil
}

// Commit is how writing what was pending to the file went.
type Commit struct {
	Events int // that were pending
	Took   time.Duration
	Err    error // nil where they were written, or the ring goes on without them
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Errors of this package. Those of broker.Log are declared in package broker.
var (
	// ErrClosed is returned by the methods of a Ring after Close.
	ErrClosed = errors.New("ring is closed")
	// ErrLocked is returned when another process has the file open: a serving
	// ringcast writes to it, and a ring has one writer.
	ErrLocked = errors.New("ring file is in use by another process")
	// ErrBadBatch is returned by Append for events that a ring cannot hold: not
	// in order, without a stamp or a subject, or with an oversized name. It is a
	// mistake of the caller; the ring is unchanged.
	ErrBadBatch = errors.New("events cannot be appended")
)
