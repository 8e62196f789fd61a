package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine is what the figures were measured on.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	// Load is the load average over a minute before the first measurement: what
	// else the machine had to do.
	Load     string `json:"load"`
	Ringcast string `json:"ringcast"`
}

func thisMachine(ctx context.Context, ringcast string) (machine, error) {
	version, err := exec.CommandContext(ctx, ringcast, "version").Output()
	if err != nil {
		return machine{}, fmt.Errorf("ask %s for its version: %w", ringcast, err)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return machine{}, err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return machine{}, err
	}
	return machine{
		CPU:      cpuModel(),
		Cores:    runtime.NumCPU(),
		Kernel:   strings.TrimSpace(string(kernel)),
		Go:       runtime.Version(),
		Load:     strings.Fields(string(load))[0],
		Ringcast: strings.TrimSpace(string(version)),
	}, nil
}

// cpuModel returns the processor's name, or its architecture where the kernel does
// not tell.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range bytes.Lines(info) {
		if name, value, _ := strings.Cut(string(line), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
