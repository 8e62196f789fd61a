// Command suite runs the fault harness for `make faults`: it builds what is tested,
// makes the faults that a seed says, and writes what came of it as a page and as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ringcast/cmd/internal/faults"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	opt := faults.Options{Log: log.New(os.Stderr, "", log.Ltime|log.Lmicroseconds).Printf}
	flag.Uint64Var(&opt.Seed, "seed", 0, "what decides about the faults; 0 takes one at random")
	flag.IntVar(&opt.Faults, "faults", 200, "how many faults are made")
	flag.DurationVar(&opt.Duration, "duration", 30*time.Minute, "over how long a time, at least")
	flag.IntVar(&opt.Clients, "clients", 300, "clients that stay subscribed")
	flag.IntVar(&opt.SlowReaders, "slow", 12, "slow readers besides")
	flag.IntVar(&opt.Storm, "storm", 2000, "clients of a connection storm")
	flag.Float64Var(&opt.Rate, "rate", 40, "events a second")
	flag.StringVar(&opt.Ringcast, "ringcast", "bin/ringcast", "the program")
	flag.StringVar(&opt.NATSServer, "nats-server", "bin/faults/nats-server", "the program")
	flag.StringVar(&opt.HAProxyConfig, "haproxy", "deploy/proxies/haproxy.cfg", "HAProxy's configuration")
	flag.StringVar(&opt.Web, "web", "transport/web", "the folder with the clients in JavaScript")
	flag.StringVar(&opt.Dir, "dir", "", "the folder for stores and logs; one that is removed after a good run, where empty")
	out := flag.String("out", "deploy/faults", "the folder to write to; nowhere where empty")
	note := flag.String("note", "", "a remark for the page")
	flag.Parse()
	if opt.Seed == 0 {
		opt.Seed = uint64(rand.Uint32())
	}
	opt.Log("seed %d", opt.Seed)

	var leftOut []string
	if err := faults.CanMount(); err != nil {
		leftOut = append(leftOut, fmt.Sprintf("disk full: a small file system cannot be made here (%v)", err))
		opt.Log("LEFT OUT: %s", leftOut[0])
	} else {
		opt.SmallDisk = true
	}
	temporary := opt.Dir == ""
	if temporary {
		var err error
		if opt.Dir, err = os.MkdirTemp("", "ringcast-faults-"); err != nil {
			return err
		}
	}
	report, err := faults.Run(ctx, opt)
	if report == nil {
		return err
	}
	report.Note, report.LeftOut = *note, leftOut
	version, versionErr := exec.CommandContext(ctx, opt.Ringcast, "version").Output()
	report.Version = strings.TrimSpace(string(version))
	err = errors.Join(err, report.Faultless(), versionErr)
	fmt.Println(report.Page())
	if writeErr := write(report, *out, opt.Dir); writeErr != nil {
		return errors.Join(err, writeErr)
	}
	if err != nil {
		return fmt.Errorf("%w (stores and logs are in %s)", err, opt.Dir)
	}
	if temporary {
		return os.RemoveAll(opt.Dir)
	}
	return nil
}

// write writes the report to each of the folders.
func write(report *faults.Report, dirs ...string) error {
	raw, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for name, content := range map[string]string{"REPORT.md": report.Page(), "report.json": string(raw) + "\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
