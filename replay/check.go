package replay

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"ringcast/broker"
)

// maxProblems ends a check: a file with that many needs no longer list.
const maxProblems = 100

// Report is what Check found.
type Report struct {
	Summary
	// Problems describes what is wrong, a line each, none where the file is sound.
	// They end after 100.
	Problems []string
}

// Summary describes a ring file.
type Summary struct {
	Format   int   // format version
	FileSize int64 // bytes on disk
	Bounds   broker.Bounds
	Events   int64
	Bytes    int64 // sum of broker.Event.Size
	Subjects int
	// Oldest and Newest are when the first and the last event were stored, in
	// UTC; the zero time where there is none.
	Oldest, Newest time.Time
}

// Check verifies the ring file at path and changes nothing: the page structure
// and the free list, the format version, every record's checksum, that keys
// ascend and lie above the floor, that the state record agrees with the events,
// and then what bbolt's own check finds. The error is that the file cannot be
// read, for example ErrLocked; damage is in the Report.
func Check(path string) (Report, error) {
	var report Report
	errEnough := errors.New("enough problems")
	index := newIndex()
	sc := &scan{
		visit: func(rec *record) error {
			index.add(rec.subject(), rec.id, rec.end)
			return nil
		},
		problem: func(err error) error {
			if report.Problems = append(report.Problems, err.Error()); len(report.Problems) == maxProblems {
				return errEnough
			}
			return nil
		},
	}
	err := readFile(path, sc, func() error {
		report.Problems = append(report.Problems, checkBolt(path, maxProblems-len(report.Problems))...)
		return nil
	}, &report.Summary)
	if err != nil && !errors.Is(err, errEnough) {
		return Report{}, fmt.Errorf("check ring file: %w", err)
	}
	report.Subjects = index.subjects()
	return report, nil
}

// checkBolt runs bbolt's own check. The scan has found the pages sound before:
// on a damaged file this might end the process (see pages.go).
func checkBolt(path string, most int) []string {
	var problems []string
	err := guard(func() error {
		db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.View(func(tx *bbolt.Tx) error {
			for err := range tx.Check() {
				if len(problems) < most {
					problems = append(problems, "bbolt: "+err.Error())
				}
			}
			return nil
		})
	})
	if err != nil {
		problems = append(problems, "bbolt: "+err.Error())
	}
	return problems
}

// Dump calls visit with every event in the ring file at path, in order, until it
// returns an error, which Dump returns. A damaged file is ErrCorrupt, after the
// events before the damage; ErrLocked that a process has the file open.
func Dump(path string, visit func(broker.Event) error) error {
	sc := &scan{problem: asCorrupt, visit: func(rec *record) error { return visit(rec.event()) }}
	if err := readFile(path, sc, nil, nil); err != nil {
		return fmt.Errorf("dump ring file: %w", err)
	}
	return nil
}

// FileStats describes the ring file at path. Errors are those of Dump.
func FileStats(path string) (Summary, error) {
	var stats Summary
	index := newIndex()
	sc := &scan{problem: asCorrupt, visit: func(rec *record) error {
		index.add(rec.subject(), rec.id, rec.end)
		return nil
	}}
	if err := readFile(path, sc, nil, &stats); err != nil {
		return Summary{}, fmt.Errorf("read stats of ring file: %w", err)
	}
	stats.Subjects = index.subjects()
	return stats, nil
}

// readFile runs sc on the file at path under a lock shared with other readers,
// then, where the file is sound, the further check sound, and fills in stats.
func readFile(path string, sc *scan, sound func() error, stats *Summary) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lockFile(f, false, lockTimeout); err != nil {
		return fmt.Errorf("%w: %s", err, path)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	intact, problem := true, sc.problem
	sc.problem = func(err error) error {
		intact = false
		return problem(err)
	}
	err = sc.run(f)
	if err == nil && intact && sound != nil {
		err = sound()
	}
	if stats != nil {
		*stats = sc.summary(info.Size())
	}
	return err
}

func (s *scan) summary(fileSize int64) Summary {
	return Summary{
		Format:   int(s.format),
		FileSize: fileSize,
		Bounds:   s.state.bounds(),
		Events:   s.found.events,
		Bytes:    s.found.bytes,
		Oldest:   s.first.Time(),
		Newest:   s.found.head.Time(),
	}
}
