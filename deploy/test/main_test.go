package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Where things are, seen from this folder.
const (
	root     = "../.."
	chartDir = "../helm/ringcast"
)

// ringcast is the program, built as for the image.
var ringcast string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ringcast-deploy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ringcast = filepath.Join(dir, "ringcast")
	if out, err := build(ringcast).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build ringcast: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// build returns the command that makes the program, static as in the image.
func build(to string) *exec.Cmd {
	to, _ = filepath.Abs(to) // fails where the folder is gone
	cmd := exec.Command("go", "build", "-trimpath", "-o", to, "./cmd/ringcast")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	return cmd
}
