package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// usage is what processes have used.
type usage struct {
	cpu    time.Duration // user and system
	memory int64         // bytes resident; what several processes share is divided among them
}

// clockTick is the unit of the times in /proc/<pid>/stat: USER_HZ, which is 100 on
// every architecture that Go runs on.
const clockTick = time.Second / 100

// usageOf sums up the usage of processes and all their descendants. The time of a
// descendant that has ended is not in it.
func usageOf(pids []int) (sum usage, err error) {
	if pids, err = withDescendants(pids); err != nil {
		return usage{}, err
	}
	for _, pid := range pids {
		u, err := usageOfOne(pid)
		if err != nil {
			return usage{}, fmt.Errorf("measure process %d: %w", pid, err)
		}
		sum.cpu += u.cpu
		sum.memory += u.memory
	}
	return sum, nil
}

func usageOfOne(pid int) (u usage, err error) {
	fields, err := statFields(pid)
	if err != nil {
		return usage{}, err
	}
	for _, ticks := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(string(ticks), 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("read processor time: %w", err)
		}
		u.cpu += time.Duration(n) * clockTick
	}
	u.memory, err = memoryOf(pid)
	return u, err
}

// statFields returns the fields of /proc/<pid>/stat from the third (state) on: the
// second is a name, which may hold anything, also brackets.
func statFields(pid int) ([][]byte, error) {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return nil, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return nil, fmt.Errorf("%s has %d fields", procFile(pid, "stat"), len(fields)+2)
	}
	return fields, nil
}

// memoryOf returns the proportional set size, or where the kernel does not tell it
// the resident set size.
func memoryOf(pid int) (int64, error) {
	if n, err := memoryField(procFile(pid, "smaps_rollup"), "Pss:"); err == nil {
		return n, nil
	}
	return memoryField(procFile(pid, "status"), "VmRSS:")
}

func memoryField(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) >= 2 && string(fields[0]) == name {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in %s", name, file)
}

func withDescendants(pids []int) ([]int, error) {
	children, err := processTree()
	if err != nil {
		return nil, err
	}
	var all []int
	for queue := slices.Clone(pids); len(queue) > 0; queue = queue[1:] {
		if !slices.Contains(all, queue[0]) {
			all = append(all, queue[0])
			queue = append(queue, children[queue[0]]...)
		}
	}
	return all, nil
}

// processTree returns the children of every process. One that ends meanwhile is
// left out.
func processTree() (map[int][]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(files) == 0 {
		return nil, errors.New("list processes: nothing in /proc")
	}
	children := make(map[int][]int)
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(file))
		if err != nil {
			continue
		}
		fields, err := statFields(pid)
		if err != nil {
			continue
		}
		if parent, err := strconv.Atoi(string(fields[1])); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	return children, nil
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
