package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ringcast/broker"
)

const (
	// lockTimeout is how long Open waits for another process to let go of the
	// file: a little longer than a process needs to end.
	lockTimeout = time.Second
	// keptCorrupt is how many damaged files are kept beside the ring for someone
	// to look at. A host that damages files must not fill its disk with them.
	keptCorrupt   = 3
	corruptSuffix = ".corrupt-"
	// fillPercent is how full bbolt packs a page before it begins the next: full,
	// since keys only ever come at the end.
	fillPercent = 1.0
)

// store is an open ring file.
type store struct {
	db   *bbolt.DB
	file *os.File // db's own, to sync and to measure
	opts Options

	aside     string // where open moved the damaged file
	abandoned bool
}

// openStore opens the file at path and gives every event in it to load. A file
// that is damaged is moved aside, reset is called, and a fresh one takes its
// place. In a fresh one the ring is empty and stands at at.
func openStore(path string, opts Options, at state, load func(*record) error, reset func()) (*store, state, error) {
	for {
		s := &store{opts: opts}
		sc := &scan{visit: load, problem: asCorrupt}
		err := s.open(path, sc)
		switch {
		case err == nil && sc.fresh:
			err = s.create(at)
			if err != nil {
				return nil, state{}, errors.Join(err, s.close())
			}
			return s, at, nil
		case err == nil:
			return s, sc.state, nil
		case !errors.Is(err, broker.ErrCorrupt):
			return nil, state{}, err
		}
		if s.aside == "" {
			return nil, state{}, fmt.Errorf("damaged file could not be moved aside: %w", err)
		}
		reset()
		opts.Logger.Warn("ring file is damaged: it was moved aside, and the ring is filled again from the stream",
			"file", path, "moved_to", s.aside, "error", err)
	}
}

// open opens the file. Locking it, verifying it and handing it to bbolt, or
// moving it aside, happen under one lock of the file: no other process can get
// in between.
func (s *store) open(path string, sc *scan) error {
	err := guard(func() (err error) {
		s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
				f, err := openLocked(path, flag, mode, s.opts.Logger)
				if err != nil {
					return nil, err
				}
				s.file = f
				if err := sc.runUnlessEmpty(f); err != nil {
					return nil, s.setAside(path, err)
				}
				return f, nil
			},
			Timeout:         lockTimeout,
			NoSync:          true, // see Options.SyncInterval
			FreelistType:    bbolt.FreelistMapType,
			InitialMmapSize: mapSize(s.opts.MaxBytes),
			MaxSize:         s.opts.maxFile,
			NoStatistics:    true, // they cost every read transaction a lock
		})
		return err
	})
	if err == nil {
		s.db.AllocSize = allocSize(s.opts.MaxBytes)
		return nil
	}
	if s.file == nil {
		return err
	}
	defer s.file.Close() // bbolt has closed it only where it opened it and did not panic
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: %s", ErrLocked, path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return s.setAside(path, asCorrupt(err))
	case errors.Is(err, errPanic):
		return s.setAside(path, err)
	}
	return err
}

// setAside moves the file aside where it is damaged, and returns the cause.
func (s *store) setAside(path string, cause error) error {
	if !errors.Is(cause, broker.ErrCorrupt) {
		return cause
	}
	var err error
	if s.aside, err = moveAside(path); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// runUnlessEmpty verifies f. An empty file is a new one.
func (s *scan) runUnlessEmpty(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if s.fresh = info.Size() == 0; s.fresh {
		return nil
	}
	return guard(func() error { return s.run(f) })
}

// openLocked opens the file and locks it against other processes, as bbolt will
// do once more on the same descriptor.
func openLocked(path string, flag int, mode os.FileMode, log *slog.Logger) (*os.File, error) {
	_, err := os.Stat(path)
	existed := err == nil
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f, flag&os.O_RDWR != 0, lockTimeout); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", err, path), f.Close())
	}
	// While this process waited, the other may have moved the file aside.
	opened, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if named, err := os.Stat(path); err != nil || !os.SameFile(opened, named) {
		return nil, errors.Join(fmt.Errorf("%w: %s was replaced", ErrLocked, path), f.Close())
	}
	if existed && opened.Size() == 0 {
		log.Warn("ring file is empty: the ring is filled again from the stream", "file", path)
	}
	return f, nil
}

// create makes the buckets of a fresh file.
func (s *store) create(at state) error {
	return s.update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(bucketMeta)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists(bucketEvents); err != nil {
			return err
		}
		if err := meta.Put(keyFormat, binary.BigEndian.AppendUint16(nil, formatVersion)); err != nil {
			return err
		}
		return putState(tx, at)
	})
}

func putState(tx *bbolt.Tx, st state) error {
	return tx.Bucket(bucketMeta).Put(keyState, appendState(nil, st))
}

func getState(tx *bbolt.Tx) (state, error) {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return state{}, asCorrupt(errors.New("bucket meta is missing"))
	}
	st, err := parseState(meta.Get(keyState))
	if err != nil {
		return state{}, asCorrupt(err)
	}
	return st, nil
}

// view runs fn in a read transaction, and update in a write transaction. What
// bbolt panics about, or faults on, is ErrCorrupt.
func (s *store) view(fn func(*bbolt.Tx) error) error {
	return guard(func() error { return s.db.View(faultsArePanics(fn)) })
}

func (s *store) update(fn func(*bbolt.Tx) error) error {
	return guard(func() error { return s.db.Update(faultsArePanics(fn)) })
}

// faultsArePanics makes a page that cannot be read (a failing disk, a file cut
// off while it was open) a panic, which can be recovered, for as long as fn runs.
// Outside of fn bbolt holds locks of its own that a panic would leave locked for
// good: there the process ends, restarts, and finds the damage on Open.
func faultsArePanics(fn func(*bbolt.Tx) error) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		return fn(tx)
	}
}

// errPanic marks the ErrCorrupt of a panic, after which bbolt may have locks that
// nobody releases.
var errPanic = errors.New("panic")

// guard turns a panic in fn into ErrCorrupt.
func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %w: %v", broker.ErrCorrupt, errPanic, p)
		}
	}()
	return fn()
}

// asCorrupt marks err as ErrCorrupt.
func asCorrupt(err error) error {
	if err == nil || errors.Is(err, broker.ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w: %w", broker.ErrCorrupt, err)
}

// close syncs and closes the file. It waits for read transactions to end.
func (s *store) close() error {
	return errors.Join(s.file.Sync(), guard(s.db.Close))
}

// abandon lets go of a damaged file. After a panic bbolt's Close might wait for
// ever: then the lock of the file is given up and the mapping is left behind.
func (s *store) abandon(cause error) {
	if s.abandoned {
		return
	}
	s.abandoned = true
	if errors.Is(cause, errPanic) {
		s.file.Close()
		return
	}
	guard(s.db.Close)
}

// moveAside renames the file at path and removes the oldest of those that were
// moved aside before.
func moveAside(path string) (string, error) {
	aside := path + corruptSuffix + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	var kept []string
	for _, e := range entries { // sorted by name, which is by time
		if strings.HasPrefix(e.Name(), filepath.Base(path)+corruptSuffix) {
			kept = append(kept, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	for len(kept) > keptCorrupt {
		if err := os.Remove(kept[0]); err != nil {
			return "", err
		}
		kept = slices.Delete(kept, 0, 1)
	}
	return aside, nil
}

// mapSize is how much address space a ring's file is given from the start. A
// file that outgrows its mapping is mapped anew, for which bbolt waits until no
// reader is left and lets no new one begin.
func mapSize(maxBytes int64) int {
	return int(min(3*maxBytes+64<<20, math.MaxInt/4))
}

// allocSize is the step in which the file grows; bbolt's own 16 MiB would be the
// better part of a small ring.
func allocSize(maxBytes int64) int {
	return int(min(max(maxBytes/16, 64<<10), 16<<20))
}
