package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const unitFile = "../systemd/ringcast.service"

// systemd takes the unit, and finds little that it leaves open: 1.5 of 10 at most.
func TestUnit_Verify(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		fmt.Fprintln(os.Stderr, "NOT TESTED: the systemd unit was not verified: there is no systemd-analyze")
		t.SkipNow()
	}
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	// A unit is only valid where its program is.
	unit := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	here := strings.Replace(string(text), "=/usr/local/bin/ringcast", "="+ringcast, 1)
	if err := os.WriteFile(unit, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v: %s", err, out)
	}
	if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", unit).CombinedOutput(); err != nil {
		t.Errorf("security: %v: %s", err, out)
	}
}

// The time to stop is enough for the default settings.
func TestUnit_Stop(t *testing.T) {
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nTimeoutStopSec=")
	stop, _, _ := strings.Cut(rest, "\n")
	out, err := exec.Command(ringcast, "config").Output()
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := yaml.Unmarshal(out, &settings); err != nil {
		t.Fatal(err)
	}
	needed := duration(t, settings["drain-time"].(string)) + duration(t, settings["shutdown-timeout"].(string)) + 10*time.Second
	if have := duration(t, stop); have < needed {
		t.Errorf("TimeoutStopSec is %s, and stopping may take %s", have, needed)
	}
}
