package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ringcast/broker"
	"ringcast/replay"
)

// filterFile is beside the ring and says with what filter that is filled. Without a filter
// there is none.
const filterFile = "ring.filter"

// forgetOtherFilter empties the ring where it was filled with another filter: it lacks
// what that left out, without a trace.
func (s *server) forgetOtherFilter() error {
	path := filepath.Join(s.cfg.DataDir, filterFile)
	found, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read filter of the ring: %w", err)
	}
	if string(found) == s.cfg.Filter.String() {
		return nil
	}
	if err := s.emptyRing(); err != nil {
		return err
	}
	return s.noteFilter(path)
}

// emptyRing empties the ring for good: closed, it is on the disk as it is.
func (s *server) emptyRing() error {
	if _, err := os.Stat(s.ringPath()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	ring, err := replay.Open(s.ringPath(), replay.Options{Logger: s.log})
	if err != nil {
		return err
	}
	s.log.Info("the ring was filled with another filter: it is emptied, and filled again from the stream", "filter", s.cfg.Filter)
	return errors.Join(ring.Reset(broker.ID{}), ring.Close())
}

func (s *server) noteFilter(path string) error {
	var err error
	if len(s.cfg.Filter) > 0 {
		err = os.WriteFile(path, []byte(s.cfg.Filter.String()), 0o600)
	} else {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("note filter of the ring: %w", err)
	}
	return nil
}
