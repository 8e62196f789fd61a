package replay_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"ringcast/broker"
	"ringcast/replay"
)

// crashEnv makes the test binary the process that is killed.
const crashEnv = "RINGCAST_TEST_CRASH_FILE"

// crashOptions turn the ring over many times before the kill.
var crashOptions = replay.Options{MaxEvents: 2000, WriteInterval: time.Millisecond}

// crashEvent is what the process appends under a sequence: the other side knows
// it from the sequence alone.
func crashEvent(seq uint64) broker.Event {
	return broker.Event{
		ID:      broker.ID{Seq: seq, Stamp: 4e18 + int64(seq)},
		Subject: fmt.Sprintf("events.%d", seq%7),
		Data:    []byte(strings.Repeat(strconv.FormatUint(seq, 36), int(seq%50))),
	}
}

// appendUntilKilled appends batches of growing and shrinking size. It prints the
// head when everything up to there is in the file; there are commits in between.
func appendUntilKilled(path string) {
	r, err := replay.Open(path, crashOptions)
	for seq := uint64(0); err == nil; {
		if seq == 0 {
			seq = r.Bounds().Head.Seq
			fmt.Println("from", seq)
		}
		batch := make([]broker.Event, seq%400+1)
		for i := range batch {
			seq++
			batch[i] = crashEvent(seq)
		}
		if err = r.Append(batch); err == nil && seq%3 == 0 {
			if err = r.Flush(); err == nil {
				fmt.Println("head", seq)
			}
		}
	}
	fmt.Println("error", err)
	os.Exit(1)
}

// TestRing_Crash kills -9 a process that appends, at another moment each round:
// what it had reported as written is there, without a hole up to the last commit,
// and the file is sound (invariants 1, 2, 4, 8).
func TestRing_Crash(t *testing.T) {
	t.Parallel() // it waits for the disk most of the time
	path := ringPath(t)
	for round := range 8 {
		reported := killAfter(t, path, 20+round*13)
		mustBeSound(t, path)
		r := open(t, path, crashOptions)
		b := r.Bounds()
		if b.Head.Seq < reported {
			t.Fatalf("round %d: head is %s, %d was reported", round, b.Head, reported)
		}
		var want []broker.Event
		for seq := b.Floor.Seq + 1; seq <= b.Head.Seq; seq++ {
			want = append(want, crashEvent(seq))
		}
		if len(want) != crashOptions.MaxEvents {
			t.Fatalf("round %d: %d events are held, want %d", round, len(want), crashOptions.MaxEvents)
		}
		if diff := diffEvents(want, all(t, r)); diff != "" {
			t.Fatalf("round %d (want, got):\n%s", round, diff)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs the process until it has reported commits batches, kills it and
// returns the head it reported last.
func killAfter(t *testing.T, path string, commits int) (head uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); {
		kind, value, _ := strings.Cut(lines.Text(), " ")
		if kind == "error" {
			t.Errorf("appending process: %s", value)
		}
		if head, err = strconv.ParseUint(value, 10, 64); err != nil {
			t.Errorf("appending process: %q", lines.Text())
		}
		if n++; n == commits {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL; it goes on appending until it arrives
				t.Error(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("appending process was to be killed: %v", err)
	}
	return head
}
