package replay_test

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ringcast/broker"
	"ringcast/replay"
)

// TestCheck/… : a line for each kind of damage, and none for a sound file.
func TestCheck(t *testing.T) {
	t.Parallel() // it waits for the disk most of the time
	sound := soundFile(t)
	inEvents := func(edit func(*bbolt.Bucket) error) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return edit(tx.Bucket(replay.BucketEvents)) }
	}
	for _, test := range []struct {
		name    string
		content []byte
		want    []string // in the problems, in order
	}{
		{"sound", sound, nil},
		{"empty", nil, []string{"neither meta page is valid"}},
		{"truncated", sound[:usedBytes(t, sound)-1], []string{"is cut short"}},
		{"newer_format", editFile(t, sound, setFormat(7)), []string{"format version is 7, this program knows 1"}},
		{"foreign", foreignDatabase(t), []string{`not a ring file: it has an entry "recipes"`}},
		{"bad_record", editFile(t, sound, inEvents(func(b *bbolt.Bucket) error {
			return b.Put(binary.BigEndian.AppendUint64(nil, 700), make([]byte, 40))
		})), []string{"event 700: checksum is", "events of"}},
		{"bad_key", editFile(t, sound, inEvents(func(b *bbolt.Bucket) error {
			return b.Put([]byte("key"), nil)
		})), []string{"key 6b6579 has 3 bytes"}},
		{"event_missing", editFile(t, sound, inEvents(func(b *bbolt.Bucket) error {
			return b.Delete(binary.BigEndian.AppendUint64(nil, 900))
		})), []string{"events of", "newest event is 899-"}},
		{"below_floor", editFile(t, sound, inEvents(func(b *bbolt.Bucket) error {
			key, value := replay.EncodeRecord(&broker.Event{ID: broker.ID{Seq: 5, Stamp: 5}, Subject: "a"})
			return b.Put(key, value)
		})), []string{"301 events of", "oldest event 5-5 lies at or below the floor 600-"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := ringPath(t)
			if err := os.WriteFile(path, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			report, err := replay.Check(path)
			if err != nil {
				t.Fatal(err)
			}
			problems := report.Problems
			for _, want := range test.want {
				i := slices.IndexFunc(problems, func(p string) bool { return strings.Contains(p, want) })
				if i < 0 {
					t.Fatalf("no line says %q: %q", want, report.Problems)
				}
				problems = problems[i+1:]
			}
			if test.want == nil && len(problems) > 0 {
				t.Errorf("problems of a sound file: %q", problems)
			}
			if after, err := os.ReadFile(path); err != nil || !slices.Equal(after, test.content) {
				t.Errorf("check has changed the file: %v", err)
			}
		})
	}
}

// TestCheck_Lists at most a hundred problems.
func TestCheck_Lists(t *testing.T) {
	path := ringPath(t)
	content := editFile(t, soundFile(t), func(tx *bbolt.Tx) error {
		for seq := uint64(601); seq < 850; seq++ {
			if err := tx.Bucket(replay.BucketEvents).Put(binary.BigEndian.AppendUint64(nil, seq), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if report, err := replay.Check(path); err != nil || len(report.Problems) != 100 {
		t.Errorf("%d problems, %v", len(report.Problems), err)
	}
}

func TestDump(t *testing.T) {
	path := ringPath(t)
	r := open(t, path, replay.Options{MaxEvents: 50})
	batch := events(1, 80)
	mustAppend(t, r, batch)

	t.Run("locked_while_open", func(t *testing.T) {
		err := replay.Dump(path, func(broker.Event) error { return nil })
		if !errors.Is(err, replay.ErrLocked) || !strings.Contains(err.Error(), path) {
			t.Errorf("dump of an open ring: %v", err)
		}
		if _, err := replay.Open(path, replay.Options{}); !errors.Is(err, replay.ErrLocked) {
			t.Errorf("second open: %v", err)
		}
	})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	t.Run("all_events", func(t *testing.T) {
		var got []broker.Event
		err := replay.Dump(path, func(e broker.Event) error {
			got = append(got, e)
			return nil
		})
		if diff := diffEvents(batch[30:], got); err != nil || diff != "" {
			t.Errorf("error %v (want, got):\n%s", err, diff)
		}
	})
	t.Run("stops", func(t *testing.T) {
		stop := errors.New("enough")
		if err := replay.Dump(path, func(broker.Event) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("dump: %v", err)
		}
	})
	t.Run("missing_file", func(t *testing.T) {
		if err := replay.Dump(path+".none", nil); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("dump: %v", err)
		}
	})
	t.Run("stats", func(t *testing.T) {
		s, err := replay.FileStats(path)
		if err != nil {
			t.Fatal(err)
		}
		if s.Events != 50 || s.Subjects != 3 || s.Format != replay.FormatVersion || s.FileSize == 0 ||
			s.Bounds.Floor != batch[29].ID || s.Bounds.Head != batch[79].ID ||
			!s.Oldest.Equal(time.Unix(0, batch[30].ID.Stamp)) || !s.Newest.Equal(time.Unix(0, batch[79].ID.Stamp)) {
			t.Errorf("%+v", s)
		}
	})
}
