package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ringcast/broker"
	"ringcast/replay"
)

func runRing(t *testing.T, args ...string) (status int, out string) {
	t.Helper()
	p := launch(t, append([]string{"ring"}, args...)...)
	status = p.end(t)
	return status, p.stdout.String() + p.stderr.String()
}

// ringFile returns a ring file with three events.
func ringFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ring.db")
	ring, err := replay.Open(path, replay.Options{MaxAge: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	const stamp = 1_700_000_000_000_000_000
	if err := ring.Append([]broker.Event{
		{ID: broker.ID{Seq: 1, Stamp: stamp}, Subject: "events.a", Data: []byte("one")},
		{ID: broker.ID{Seq: 2, Stamp: stamp + 1e9}, Subject: "events.b", Type: "greeting", Data: []byte{0xff}},
		{ID: broker.ID{Seq: 4, Stamp: stamp + 2e9}, Subject: "events.a"},
	}); err != nil {
		t.Fatal(err)
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRing_Stats(t *testing.T) {
	_, out := runRing(t, "stats", ringFile(t))
	got := regexp.MustCompile(`(?m)^file .*\n`).ReplaceAllString(out, "") // bbolt's business
	want := `format    1
events    3
bytes     36B
subjects  2
floor     0-0
head      4-cwyvpfijgq9s
oldest    2023-11-14T22:13:20Z
newest    2023-11-14T22:13:22Z
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stats differ (-want +got):\n%s", diff)
	}
}

func TestRing_Dump(t *testing.T) {
	_, got := runRing(t, "dump", ringFile(t))
	want := `{"id":"1-cwyvpelgpse8","subject":"events.a","type":"message","time":"2023-11-14T22:13:20Z","data":"one"}
{"id":"2-cwyvpf2039c0","subject":"events.b","type":"greeting","time":"2023-11-14T22:13:21Z","data_base64":"/w=="}
{"id":"4-cwyvpfijgq9s","subject":"events.a","type":"message","time":"2023-11-14T22:13:22Z","data":""}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dump differs (-want +got):\n%s", diff)
	}
}

func TestRing_Check(t *testing.T) {
	path := ringFile(t)
	t.Run("sound", func(t *testing.T) {
		status, out := runRing(t, "check", path)
		if status != exitOK || !strings.Contains(out, "is sound: 3 events from 0-0 to 4-") {
			t.Errorf("ended with %d: %s", status, out)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(string(content), "events.b")
		if at < 0 {
			t.Fatal("the subject is not in the file")
		}
		content[at] ^= 1
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		status, out := runRing(t, "check", path)
		if status != exitError || !strings.Contains(out, "ringcast: check ring file: "+path+" has 2 problem(s)") {
			t.Errorf("ended with %d: %s", status, out)
		}
	})
}
