package main

import (
	"fmt"
	"strconv"
	"strings"

	"ringcast/cmd/internal/bench"
)

// row is one kind of work.
type row struct {
	name, work string
	// args are the flags of `ringcast bench`; where timed, the suite adds how long.
	args    string
	timed   bool
	servers []string
	// workers is how many processes nchan gets: what it is better with.
	workers int
	figures []figure
}

// figure is one number of a row's results.
type figure struct {
	name   string
	of     func(*bench.Result) float64
	format func(float64) string
	more   bool // more is better
}

// The servers, in the order of the tables. "jetstream" is the embedded NATS server
// without anything that reads it.
const (
	floorServer     = "floor"
	jetstreamServer = "jetstream"
	nchanServer     = "nchan"
	ringcastServer  = "ringcast"
)

var (
	all   = []string{floorServer, nchanServer, ringcastServer}
	peers = []string{nchanServer, ringcastServer}
)

var (
	cpuPerDelivery = figure{"server CPU per delivery", func(r *bench.Result) float64 { return r.Server.CPUPerDelivery }, microseconds, false}
	p99            = figure{"p99 latency", func(r *bench.Result) float64 { return r.Latency.P99 }, milliseconds, false}
	deliveries     = figure{"deliveries a second", func(r *bench.Result) float64 { return r.DeliveriesPerSecond }, count, true}
	memory         = figure{"memory per client", func(r *bench.Result) float64 { return r.Server.MemoryPerClient }, kibibytes, false}
	duration       = figure{"time until all have all", func(r *bench.Result) float64 { return 1e3 * r.Seconds }, milliseconds, false}
	stored         = figure{"events a second", func(r *bench.Result) float64 { return r.PublishedPerSecond }, count, true}
)

var rows = []row{
	{
		name: "fanout", work: "1,000 clients, one subject, 20 events/s",
		args: "--clients 1000 --rate 20", timed: true, servers: all, workers: 1,
		figures: []figure{cpuPerDelivery, p99},
	},
	{
		name: "flood", work: "1,000 clients, one subject, as fast as it goes",
		args: "--clients 1000 --rate 0", timed: true, servers: all, workers: 2,
		figures: []figure{deliveries, cpuPerDelivery},
	},
	{
		name: "resume", work: "500 clients resume 900 events each at once",
		args: "--scenario resume --clients 500 --events 900", servers: peers, workers: 1,
		figures: []figure{cpuPerDelivery, deliveries},
	},
	{
		name: "idle", work: "10,000 idle clients",
		args: "--scenario idle --clients 10000", timed: true, servers: all, workers: 1,
		figures: []figure{memory},
	},
	{
		name: "own", work: "5,000 clients on 5,000 subjects of their own, 1,000 events/s",
		args: "--clients 5000 --subjects 5000 --rate 1000", timed: true, servers: all, workers: 1,
		figures: []figure{cpuPerDelivery, p99},
	},
	{
		name: "crowd", work: "15,000 clients, one subject, 2 events/s",
		args: "--clients 15000 --rate 2", timed: true, servers: all, workers: 1,
		figures: []figure{cpuPerDelivery, p99},
	},
	{
		name: "flood-100", work: "100 clients, one subject, as fast as it goes",
		args: "--clients 100 --rate 0", timed: true, servers: all, workers: 2,
		figures: []figure{deliveries},
	},
	{
		name: "flood-10k", work: "10,000 clients, one subject, as fast as it goes",
		args: "--clients 10000 --rate 0", timed: true, servers: all, workers: 2,
		figures: []figure{deliveries},
	},
	resumeAcross("10,000", 10_000),
	resumeAcross("100,000", 100_000),
	resumeAcross("990,000", 990_000), // the ring holds 1,000,000 by default
	{
		// Published as fast as JetStream acknowledges, 4,000 under way; the window
		// only keeps the one client from falling behind for good.
		name: "ingest", work: "JetStream publish to one live client (jetstream: without anyone who reads)",
		args: "--rate 0 --window 50000", timed: true, servers: []string{jetstreamServer, ringcastServer},
		figures: []figure{stored},
	},
}

// resumeAcross is how the time of a resume grows with what lies in between.
func resumeAcross(events string, n int) row {
	return row{
		name: fmt.Sprintf("across-%dk", n/1000), work: "100 clients resume 10 events each across " + events + " of another subject",
		args:    fmt.Sprintf("--scenario resume --clients 100 --events 10 --backlog %d --patience 1m", n),
		servers: []string{ringcastServer},
		figures: []figure{duration},
	}
}

// flags returns the flags of `ringcast bench` for a server.
func (r row) flags(server *server, seconds int) []string {
	flags := append(strings.Fields(r.args), "--json", "--pid", strconv.Itoa(server.pid()))
	if r.timed {
		flags = append(flags, "--duration", fmt.Sprintf("%ds", seconds))
	}
	if server.nats == "" {
		flags = append(flags, "--publish", bench.OverHTTP)
	} else {
		flags = append(flags, "--nats-url", server.nats)
	}
	switch server.name {
	case jetstreamServer:
		return append(flags, "--clients", "0")
	case ringcastServer:
		if r.name == "ingest" {
			flags = append(flags, "--clients", "1")
		}
	}
	return append(flags, "--target", server.name, "--url", server.url)
}

// summary returns a result in a line.
func (r row) summary(result *bench.Result) string {
	var parts []string
	for _, f := range r.figures {
		parts = append(parts, f.name+" "+f.format(f.of(result)))
	}
	if err := result.Faultless(); err != nil {
		parts = append(parts, err.Error())
	}
	return strings.Join(parts, ", ")
}

func microseconds(v float64) string { return fmt.Sprintf("%.3g µs", v) }
func milliseconds(v float64) string { return fmt.Sprintf("%.3g ms", v) }
func kibibytes(v float64) string    { return fmt.Sprintf("%.1f KiB", v/1024) }

func count(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.0f k", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}
