//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sample is one look at a gateway.
type Sample struct {
	At         time.Duration `json:"at"` // from the beginning of the load
	Gateway    int           `json:"gateway"`
	Memory     int64         `json:"memory"` // bytes that are the process's own
	Goroutines int           `json:"goroutines"`
	Files      int           `json:"files"`
	RingFile   int64         `json:"ring_file"` // bytes
	Streams    int           `json:"streams"`
}

func (g *gateway) sample(client *http.Client, at time.Duration) (Sample, error) {
	s := Sample{At: at, Gateway: g.index}
	var err error
	if s.Memory, err = anonymousMemory(g.process.pid()); err != nil {
		return s, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.process.pid()))
	if err != nil {
		return s, fmt.Errorf("count open files: %w", err)
	}
	s.Files = len(files)
	info, err := os.Stat(g.ringFile())
	if err != nil {
		return s, err
	}
	s.RingFile = info.Size()
	metrics, err := scrape(client, "http://"+g.admin+"/metrics", "go_goroutines", "ringcast_streams_open")
	if err != nil {
		return s, err
	}
	s.Goroutines, s.Streams = int(metrics["go_goroutines"]), int(metrics["ringcast_streams_open"])
	return s, nil
}

// anonymousMemory returns what a process has in memory besides files.
func anonymousMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	for line := range bytes.Lines(status) {
		if fields := bytes.Fields(line); len(fields) >= 2 && string(fields[0]) == "RssAnon:" {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("measure memory: process %d tells none", pid)
}

// scrape returns the named metrics, each of which has to be there; of one with labels,
// the sum.
func scrape(client *http.Client, url string, names ...string) (map[string]float64, error) {
	resp, err := client.Get(url)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer resp.Body.Close()
	found := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		name := line[:max(0, strings.IndexAny(line, "{ "))]
		if !slices.Contains(names, name) {
			continue
		}
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
		found[name] += value
	}
	if len(found) != len(names) {
		return nil, fmt.Errorf("read metrics: %s has %v of %v", url, found, names)
	}
	return found, nil
}
