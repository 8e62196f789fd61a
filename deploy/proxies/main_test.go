package proxies_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait of a test. It is never waited for unless something is
// wrong.
const patience = time.Minute

// program is the file of the gateway's program.
var program string

// TestMain builds the program, with the race detector as it is in all tests, and looks
// for goroutines left behind.
func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	for _, entry := range os.Environ() { // the developer's own settings are not the test's
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "RINGCAST_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // gateways would take a second to end
	if err := flag.Set("test.parallel", "8"); err != nil {        // they wait, most of the time
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "ringcast-proxies-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "ringcast")
	if out, err := exec.Command("go", "build", "-race", "-o", program, "ringcast/cmd/ringcast").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the gateway: %v\n%s", err, out)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
