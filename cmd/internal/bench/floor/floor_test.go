//go:build linux

package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ringcast/cmd/internal/bench"
)

// asFloor has the test's own binary be the floor.
const asFloor = "RINGCAST_TEST_FLOOR"

func TestMain(m *testing.M) {
	if os.Getenv(asFloor) != "" {
		main()
	}
	os.Exit(m.Run())
}

// start returns the URL of a floor of its own.
func start(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asFloor+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(url)
}

func TestFloor(t *testing.T) {
	url := start(t)
	for name, set := range map[string]func(*bench.Options){
		"one subject":           func(*bench.Options) {},
		"subjects of their own": func(o *bench.Options) { o.Subjects = o.Clients },
		"as fast as it goes":    func(o *bench.Options) { o.Rate = 0 },
		"events of 100 kB":      func(o *bench.Options) { o.Size = 100_000 },
	} {
		t.Run(name, func(t *testing.T) {
			o := bench.Defaults()
			o.Target, o.Publish, o.URL = "floor", bench.OverHTTP, url
			o.Prefix = "events." + strings.ReplaceAll(name, " ", "-")
			o.Clients, o.Rate = 50, 200
			o.Warmup, o.Duration = 10*time.Millisecond, 200*time.Millisecond
			set(&o)
			r, err := bench.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Faultless(); err != nil || r.Deliveries == 0 {
				t.Errorf("%d deliveries: %v", r.Deliveries, err)
			}
		})
	}
}
