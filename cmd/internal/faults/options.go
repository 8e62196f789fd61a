//go:build linux

package faults

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Options is one run.
type Options struct {
	// Seed decides which faults are made, when and to what.
	Seed uint64
	// Faults is how many are made, spread over Duration; the run takes longer where
	// recovering does.
	Faults   int
	Duration time.Duration
	// Only, where set, leaves out all kinds of faults without this text in their names.
	Only string
	// Clients stay subscribed throughout; SlowReaders more stop reading now and then;
	// Storm is how many come at once in a connection storm.
	Clients, SlowReaders, Storm int
	// Visitors come and go: they stay for up to Stay, and are away for up to Away.
	Visitors   int
	Stay, Away time.Duration
	// Rate is how many events a second are published.
	Rate float64
	// Direct has no links between the parts: where there is much to forward they cost more
	// than what is measured.
	Direct bool
	// SmallDisk has the last gateway's ring on a file system that can be made full.
	SmallDisk bool

	// Ringcast and NATSServer are the programs; GatewayFlags go to every gateway. Stepped
	// is what BuildStepped has built: one gateway's program; empty makes no clock step.
	Ringcast, NATSServer string
	Stepped              string
	GatewayFlags         []string
	// HAProxyConfig is deploy/proxies/haproxy.cfg, Web is transport/web with its
	// packages installed.
	HAProxyConfig, Web string
	// Dir is for stores, rings and logs. It is left as it is at the end.
	Dir string
	// Log is told what happens, in lines.
	Log func(format string, args ...any)
}

func (o Options) check() error {
	switch {
	case o.Clients < len(libraries):
		return errors.New("there are ten clients at least, for every library to be among them")
	case o.Faults < 0 || o.Duration <= 0 || o.Rate <= 0 || o.Storm < 1 || o.SlowReaders < 0:
		return errors.New("numbers of faults, clients and events must be positive")
	case o.Visitors < 0 || o.Visitors > 0 && (o.Stay <= 0 || o.Away <= 0):
		return errors.New("visitors stay, and are away, for some time")
	case len(o.kinds()) == 0:
		return fmt.Errorf("no kind of fault has %q in its name", o.Only)
	case o.Ringcast == "" || o.NATSServer == "" || o.Dir == "":
		return errors.New("programs and folder must be named")
	}
	return nil
}

// connections is how many come to HAProxy at most, with some to spare.
func (o Options) connections() int {
	return o.Clients + o.SlowReaders + o.Visitors + o.Storm + 1000
}

// kinds returns the names of the kinds that are made, each as often as its weight.
func (o Options) kinds() (names []string) {
	for _, k := range kinds {
		switch {
		case k.name == diskFull && !o.SmallDisk, k.name == clockStepped && o.Stepped == "":
			continue
		case !strings.Contains(k.name, o.Only):
			continue
		}
		for range k.weight {
			names = append(names, k.name)
		}
	}
	return names
}
