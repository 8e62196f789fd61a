package replay_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ringcast/broker"
	"ringcast/replay"
)

// soundFile returns a ring file's bytes: a ring that has turned over, with events
// of several pages among small ones.
func soundFile(t testing.TB) []byte {
	t.Helper()
	path := ringPath(t)
	r := open(t, path, replay.Options{MaxEvents: 300})
	for seq := uint64(1); seq < 900; seq += 30 {
		batch := events(seq, seq+29)
		batch[7].Data = bytes.Repeat([]byte("large "), 2000)
		mustWrite(t, r, batch)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// opened is what Open made of a file.
type opened struct {
	dir, path string
	ring      *replay.Ring
	log       *bytes.Buffer
}

func openBytes(t testing.TB, content []byte) opened {
	t.Helper()
	o := opened{dir: t.TempDir(), log: &bytes.Buffer{}}
	o.path = filepath.Join(o.dir, "ring.db")
	if err := os.WriteFile(o.path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	o.ring = open(t, o.path, replay.Options{Logger: slog.New(slog.NewTextHandler(o.log, nil))})
	return o
}

func (o opened) movedAside(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob(o.path + ".corrupt-*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// mustBeFresh verifies that damage was noticed: the file is kept aside, a warning
// tells, and an empty ring works in its place (invariant 7).
func (o opened) mustBeFresh(t testing.TB, damaged []byte) {
	t.Helper()
	aside := o.movedAside(t)
	if len(aside) != 1 {
		t.Fatalf("moved aside: %q", aside)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, damaged) {
		t.Fatalf("file moved aside has %d bytes, the damaged one had %d: %v", len(kept), len(damaged), err)
	}
	if log := o.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, aside[0]) {
		t.Fatalf("log does not tell of it: %q", log)
	}
	if b := o.ring.Bounds(); b != (broker.Bounds{}) {
		t.Fatalf("bounds of a fresh ring: %v", b)
	}
	batch := events(5, 9)
	mustAppend(t, o.ring, batch)
	if diff := diffEvents(batch, all(t, o.ring)); diff != "" {
		t.Fatalf("fresh ring (want, got):\n%s", diff)
	}
}

// TestOpen_Corrupt: whatever is in the file, Open does not fail, and does not
// serve it (invariant 7).
func TestOpen_Corrupt(t *testing.T) {
	t.Parallel() // it waits for the disk most of the time
	sound := soundFile(t)
	garbage := bytes.Repeat([]byte("not a database. "), 4096)
	for _, test := range []struct {
		name    string
		content []byte
	}{
		{"one_byte", []byte{0}},
		{"garbage", garbage},
		{"zeros", make([]byte, 1<<16)},
		{"garbage_behind_meta_pages", append(slices.Clone(sound[:8192]), garbage...)},
		{"foreign_database", foreignDatabase(t)},
		{"newer_format", editFile(t, sound, setFormat(replay.FormatVersion+1))},
		{"older_format", editFile(t, sound, setFormat(0))},
		{"no_state", editFile(t, sound, func(tx *bbolt.Tx) error { return tx.Bucket(replay.BucketMeta).Delete(replay.KeyState) })},
		{"event_missing", editFile(t, sound, func(tx *bbolt.Tx) error {
			return tx.Bucket(replay.BucketEvents).Delete(binary.BigEndian.AppendUint64(nil, 750))
		})},
		{"event_under_another_key", editFile(t, sound, func(tx *bbolt.Tx) error {
			b := tx.Bucket(replay.BucketEvents)
			return b.Put(binary.BigEndian.AppendUint64(nil, 750), b.Get(binary.BigEndian.AppendUint64(nil, 751)))
		})},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := openBytes(t, test.content)
			o.mustBeFresh(t, test.content)
			if told := strings.Contains(o.log.String(), "newer ringcast"); told != (test.name == "newer_format") {
				t.Errorf("log tells of a newer version: %v: %s", told, o.log)
			}
		})
	}
	t.Run("empty_file", func(t *testing.T) { // nothing to keep aside
		o := openBytes(t, nil)
		if aside := o.movedAside(t); len(aside) != 0 || !strings.Contains(o.log.String(), "ring file is empty") {
			t.Errorf("moved aside %q, log %q", aside, o.log)
		}
		mustAppend(t, o.ring, events(1, 3))
	})
	t.Run("sound", func(t *testing.T) { // the tests above damage what was sound
		o := openBytes(t, sound)
		if b := o.ring.Bounds(); b.Floor.Seq != 600 || b.Head.Seq != 900 || o.log.Len() > 0 {
			t.Errorf("bounds %v, log %q", b, o.log)
		}
	})
}

// TestOpen_Truncated cuts the file at every page and at odd places.
func TestOpen_Truncated(t *testing.T) {
	t.Parallel() // it waits for the disk most of the time
	sound := soundFile(t)
	used := usedBytes(t, sound)
	for size := 1; size < used; size += 4096 - 512 {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			openBytes(t, sound[:size]).mustBeFresh(t, sound[:size])
		})
	}
}

// TestOpen_FlippedBytes flips one byte at a time, at many offsets in the part of
// the file in use: every other byte of page headers and first elements, and some
// of the rest. Either that is noticed, or every event is there as it was, or as it
// was one commit before where the flip hit the newer meta page (invariant 7).
// Nothing ends the process, as bbolt does on such files.
func TestOpen_FlippedBytes(t *testing.T) {
	t.Parallel() // it waits for the disk most of the time
	sound := soundFile(t)
	path := ringPath(t)
	if err := os.WriteFile(path, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flip := func(offset int, by byte) {
		if _, err := f.WriteAt([]byte{sound[offset] ^ by}, int64(offset)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := dump(path)
	if err != nil {
		t.Fatal(err)
	}
	noticed, harmless := 0, 0
	for offset := range usedBytes(t, sound) {
		if !(offset%4096 < 48 && offset%2 == 0) && offset%199 != 0 {
			continue
		}
		flip(offset, 0xA5)
		got, err := dump(path)
		flip(offset, 0)
		switch {
		case errors.Is(err, broker.ErrCorrupt):
			noticed++
		case err != nil:
			t.Fatal(err)
		case !mayBe(got, want):
			t.Errorf("byte %d flipped, unnoticed (want, got):\n%s", offset, diffEvents(want, got))
		default:
			harmless++
		}
		if err != nil && noticed%200 == 1 || err == nil && harmless%50 == 1 {
			openFlipped(t, sound, offset, err != nil, want)
		}
	}
	if noticed < 1000 || harmless < 100 {
		t.Errorf("%d flips noticed, %d harmless: the test does not reach what it is for", noticed, harmless)
	}
}

// openFlipped verifies that Open comes to the same result as the scan.
func openFlipped(t *testing.T, sound []byte, offset int, noticed bool, want []broker.Event) {
	t.Helper()
	damaged := slices.Clone(sound)
	damaged[offset] ^= 0xA5
	o := openBytes(t, damaged)
	if noticed {
		o.mustBeFresh(t, damaged)
		return
	}
	if !mayBe(all(t, o.ring), want) {
		t.Errorf("byte %d flipped, unnoticed by Open", offset)
	}
	mustAppend(t, o.ring, events(1001, 1100))
}

// mayBe reports whether got are the events of soundFile's last commit, which is
// of 30 events, or of the one before.
func mayBe(got, want []broker.Event) bool {
	if len(got) == len(want) && got[0].ID.Seq == want[0].ID.Seq-30 {
		got, want = got[30:], want[:len(want)-30]
	}
	return diffEvents(want, got) == ""
}

func dump(path string) (got []broker.Event, err error) {
	err = replay.Dump(path, func(e broker.Event) error {
		got = append(got, e)
		return nil
	})
	return got, err
}

// TestOpen_KeepsFewDamagedFiles: a host that damages files does not fill its disk
// with them.
func TestOpen_KeepsFewDamagedFiles(t *testing.T) {
	path := ringPath(t)
	var newest string
	for i := range 6 {
		newest = fmt.Sprintf("damaged %d", i)
		if err := os.WriteFile(path, []byte(newest), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(t, path, replay.Options{}).Close(); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := filepath.Glob(path + ".corrupt-*")
	if err != nil || len(kept) != 3 {
		t.Fatalf("kept %q, %v", kept, err)
	}
	if content, err := os.ReadFile(kept[2]); err != nil || string(content) != newest {
		t.Errorf("newest kept is %q, want %q: %v", content, newest, err)
	}
}

// TestRing_CorruptWhileOpen: what a read finds damaged is ErrCorrupt, and so is
// every Append after it, until a Reset begins a fresh file (invariant 7).
func TestRing_CorruptWhileOpen(t *testing.T) {
	for _, damage := range []struct {
		name string
		do   func(t *testing.T, path string)
	}{
		{"flipped_bytes", func(t *testing.T, path string) { overwrite(t, path, "event number 500") }},
		{"page_headers_zeroed", zeroPages},
		{"cut_short", func(t *testing.T, path string) {
			if err := os.Truncate(path, 16<<10); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(damage.name, func(t *testing.T) {
			path := ringPath(t)
			var log bytes.Buffer
			r := open(t, path, replay.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			mustWrite(t, r, events(1, 1000))
			damage.do(t, path)
			if _, err := r.Read(0, filter(t, ">"), everything); !errors.Is(err, broker.ErrCorrupt) {
				t.Fatalf("read: %v", err)
			}
			for range 2 {
				if err := r.Append(events(1001, 1010)); !errors.Is(err, broker.ErrCorrupt) {
					t.Fatalf("append: %v", err)
				}
			}
			at := broker.ID{Seq: 900, Stamp: broker.NoStamp}
			if err := r.Reset(at); err != nil {
				t.Fatal(err)
			}
			if b := r.Bounds(); b.Floor != at || b.Head != at {
				t.Fatalf("bounds after reset: %v", b)
			}
			if !strings.Contains(log.String(), "moved aside") {
				t.Errorf("log does not tell of it: %q", log.String())
			}
			again := events(901, 1010)
			mustAppend(t, r, again)
			if diff := diffEvents(again, all(t, r)); diff != "" {
				t.Fatalf("after the reset (want, got):\n%s", diff)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			mustBeSound(t, path)
		})
	}
}

// TestRing_CorruptUnwritten: where it is the commit that finds the damage, Append
// tells of it, and what was pending can be read until the Reset (invariants 7, 8).
func TestRing_CorruptUnwritten(t *testing.T) {
	path := ringPath(t)
	r := open(t, path, replay.Options{MaxEvents: 1000, WriteInterval: time.Hour})
	mustWrite(t, r, events(1, 1000))
	pending := events(1001, 1010)
	mustAppend(t, r, pending)
	overwrite(t, path, "event number 5") // to be evicted by the commit
	if err := r.Flush(); !errors.Is(err, broker.ErrCorrupt) {
		t.Fatalf("flush: %v", err)
	}
	if err := r.Append(events(1011, 1020)); !errors.Is(err, broker.ErrCorrupt) {
		t.Fatalf("append: %v", err)
	}
	p, err := r.Read(1000, filter(t, ">"), everything)
	if diff := diffEvents(pending, p.Events); err != nil || diff != "" {
		t.Fatalf("what was pending: error %v (want, got):\n%s", err, diff)
	}
	if err := r.Reset(broker.ID{Seq: 900, Stamp: broker.NoStamp}); err != nil {
		t.Fatal(err)
	}
	again := events(901, 1010)
	mustWrite(t, r, again)
	if diff := diffEvents(again, all(t, r)); diff != "" {
		t.Fatalf("after the reset (want, got):\n%s", diff)
	}
}

// overwrite changes a text wherever it is in the file.
func overwrite(t *testing.T, path, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := false
	for at := 0; ; at++ {
		i := bytes.Index(content[at:], []byte(text))
		if i < 0 {
			break
		}
		at, found = at+i, true
		if _, err := f.WriteAt([]byte{'E'}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Fatalf("%q is not in the file", text)
	}
}

// zeroPages overwrites the header of every page but the meta pages.
func zeroPages(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(2 * os.Getpagesize()); at < info.Size(); at += int64(os.Getpagesize()) {
		if _, err := f.WriteAt(make([]byte, 16), at); err != nil {
			t.Fatal(err)
		}
	}
}

// editFile returns content changed by a transaction.
func editFile(t testing.TB, content []byte, edit func(*bbolt.Tx) error) []byte {
	t.Helper()
	path := ringPath(t)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(edit), db.Close()); err != nil {
		t.Fatal(err)
	}
	edited, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return edited
}

func setFormat(version uint16) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		return tx.Bucket(replay.BucketMeta).Put(replay.KeyFormat, binary.BigEndian.AppendUint16(nil, version))
	}
}

// foreignDatabase is a sound bbolt file of someone else's.
func foreignDatabase(t testing.TB) []byte {
	return editFile(t, nil, func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("recipes"))
		if err != nil {
			return err
		}
		return b.Put([]byte("bread"), []byte("flour, water, salt"))
	})
}

// usedBytes is the length of the part of a file that holds pages.
func usedBytes(t testing.TB, content []byte) int {
	t.Helper()
	used := 0
	editFile(t, content, func(tx *bbolt.Tx) error {
		used = int(tx.Size())
		return nil
	})
	return used
}
