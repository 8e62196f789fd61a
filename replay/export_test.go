package replay

import (
	"os"
	"time"

	"ringcast/broker"
)

// WithClock returns o with another clock, by which MaxAge is measured.
func (o Options) WithClock(now func() time.Time) Options {
	o.now = now
	return o
}

// WithMaxFile returns o with a file that cannot grow beyond size: a full disk.
func (o Options) WithMaxFile(size int) Options {
	o.maxFile = size
	return o
}

// EncodeRecord and DecodeRecord are the codec.
func EncodeRecord(e *broker.Event) (key, value []byte) {
	key = eventKey(e.ID.Seq)
	return key, appendRecord(nil, key, e)
}

func DecodeRecord(key, value []byte) (broker.Event, error) {
	rec, err := parseRecord(key, value)
	if err != nil {
		return broker.Event{}, err
	}
	return rec.event(), nil
}

// Layout of the file, for tests that damage it.
var (
	BucketMeta   = bucketMeta
	BucketEvents = bucketEvents
	KeyFormat    = keyFormat
	KeyState     = keyState
)

// FormatVersion is the one that is written.
const FormatVersion = formatVersion

// Flush commits what is pending.
func (r *Ring) Flush() error { return r.flush() }

// File is the file as the ring has it open.
func (r *Ring) File() *os.File { return r.store.Load().file }

// MaxPending is how many events, and of what cost, may be pending.
func (o Options) MaxPending() (events, cost int64) {
	most := o.maxPending()
	return most.events, most.cost
}

// Limits of one read transaction.
const StepEvents = stepEvents
