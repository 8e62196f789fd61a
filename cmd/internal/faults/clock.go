//go:build linux

package faults

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// steppedGateway is the gateway whose clock is stepped.
const steppedGateway = 1

// clockVariable names the file with the seconds that a program's clock is off by.
const clockVariable = "FAULTS_CLOCK"

// BuildStepped builds the gateway with a clock that can be stepped while it runs: a
// machine's own is everybody's, and a Go program does not ask the C library, so that
// there is no other way. Of the standard library one line is another one: time.Now adds
// what is in a file.
func BuildStepped(ctx context.Context, dir string) (program string, err error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find the standard library: %w", err)
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	overlay, err := writeOverlay(dir, folder)
	if err != nil {
		return "", err
	}
	program = filepath.Join(dir, "ringcast-stepped")
	if err := quietly("go", "build", "-overlay", overlay, "-o", program, "ringcast/cmd/ringcast"); err != nil {
		return "", err
	}
	return program, nil
}

// What time.Now asks, and what it is made to.
const (
	asked  = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	askedX = "\tsec, nsec, mono := runtimeNow()\n\tsec += *clockStep\n\tif mono == 0 {"
)

const clockSource = `package time

import (
	"syscall"
	"unsafe"
)

// clockStep is how many seconds the clock is off: what is in a file, as it is now.
var clockStep = mapClockStep()

func mapClockStep() *int64 {
	name, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic("open " + name + ": " + err.Error())
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map " + name + ": " + err.Error())
	}
	syscall.Close(fd)
	return (*int64)(unsafe.Pointer(&page[0]))
}
`

// writeOverlay writes what go build is to read instead of the files of package time.
func writeOverlay(dir, folder string) (string, error) {
	source, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		return "", err
	}
	if strings.Count(string(source), asked) != 1 {
		return "", fmt.Errorf("%s/time.go has no %q", folder, asked)
	}
	replaced := map[string]string{}
	for name, content := range map[string]string{
		"time.go":      strings.Replace(string(source), asked, askedX, 1),
		"clockstep.go": clockSource,
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return "", err
		}
		replaced[filepath.Join(folder, name)] = file
	}
	text, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o644)
}

// setClock has the gateway's clock be off by so much.
func (g *gateway) setClock(off time.Duration) error {
	file, err := os.OpenFile(g.clockFile, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("step clock: %w", err)
	}
	defer file.Close()
	// In place: the file is mapped.
	if _, err := file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(off/time.Second)), 0); err != nil {
		return fmt.Errorf("step clock: %w", err)
	}
	return nil
}

// clockSteps are what a clock is stepped by: an hour, and beyond what a ring keeps.
var clockSteps = []time.Duration{-25 * time.Hour, -time.Hour, -time.Second, time.Second, time.Hour, 25 * time.Hour}

// clockStep is one of them, by the amount.
func (f Fault) clockStep() time.Duration { return clockSteps[int(f.Amount*float64(len(clockSteps)))] }

func stepClock(r *run, _ context.Context, f Fault) error {
	return r.rig.gateways[steppedGateway].setClock(f.clockStep())
}

func setClockRight(r *run, _ context.Context, _ Fault) error {
	return r.rig.gateways[steppedGateway].setClock(0)
}
