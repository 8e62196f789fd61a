package main

import (
	"context"
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
	// serve are flags of `ringcast serve` besides those of every row.
	serve []string
	// workers is how many processes nchan gets: what it is better with.
	workers int
	figures []figure
	// measure measures one server; nil is measureFresh.
	measure func(s *suite, ctx context.Context, r row, server string) (*sample, error)
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
	alone = []string{ringcastServer}
)

var rows = []row{
	{
		name: "fanout", work: "1,000 clients, one subject, 20 events/s",
		args: "--clients 1000 --rate 20", timed: true, servers: all, workers: 1,
		figures: []figure{cpuPerDelivery.within(1.2, floorServer).within(1, nchanServer), p99.within(1.3, floorServer)},
	},
	{
		name: "flood", work: "1,000 clients, one subject, as fast as it goes",
		args: "--clients 1000 --rate 0", timed: true, servers: all, workers: 2,
		figures: []figure{deliveries.within(2, nchanServer), cpuPerDelivery},
	},
	{
		name: "resume", work: "500 clients resume 900 events each at once",
		args: "--scenario resume --clients 500 --events 900", servers: peers, workers: 1,
		figures: []figure{cpuPerDelivery.to(0.5), deliveries.to(2e6)},
	},
	{
		name: "idle", work: "10,000 idle clients",
		args: "--scenario idle --clients 10000", timed: true, servers: all, workers: 1,
		figures: []figure{memory.to(6000)},
	},
	{
		name: "own", work: "5,000 clients on 5,000 subjects of their own, 1,000 events/s",
		args: "--clients 5000 --subjects 5000 --rate 1000", timed: true, servers: all, workers: 1,
		figures: []figure{cpuPerDelivery.to(60), p99},
	},
	{
		// How much of the row above is JetStream's, which has stored the event and
		// acknowledged it.
		name: "store", work: "1,000 events/s and no clients (jetstream: without anyone who reads)",
		args: "--clients 0 --rate 1000", timed: true, servers: []string{jetstreamServer, ringcastServer},
		figures: []figure{cpuPerEvent},
	},
	{
		name: "crowd", work: "15,000 clients, one subject, 2 events/s",
		args: "--clients 15000 --rate 2", timed: true, servers: all, workers: 1,
		figures: []figure{cpuPerDelivery.within(1, nchanServer), p99},
	},
	{
		// Published as fast as JetStream acknowledges, 4,000 under way; the window
		// only keeps the one client from falling behind for good.
		name: "ingest", work: "JetStream publish to one live client (jetstream: without anyone who reads)",
		args: "--rate 0 --window 50000", timed: true, servers: []string{jetstreamServer, ringcastServer},
		figures: []figure{stored.within(0.7, jetstreamServer)},
	},
	{
		name: "restart", work: "restart with 1,000,000 events in the ring, then 20 clients in turn resume 10 events from both ends of it",
		args: returning, servers: alone, measure: (*suite).measureRestart,
		figures: []figure{ready.to(1), first.to(5), slowestFirst},
	},
	{
		name: "kill", work: "the same after kill -9",
		args: returning, servers: alone, measure: (*suite).measureKill,
		figures: []figure{ready, first, slowestFirst},
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
	match("100", 100),
	match("10,000", 10_000),
	match("100,000", 100_000),
	conflate("each event to each", ""),
	conflate("conflate=100ms", " --conflate 100ms"),
	compress("128 bytes", 128, false),
	compress("128 bytes", 128, true),
	compress("1 KiB", 1024, false),
	compress("1 KiB", 1024, true),
}

// returning are the flags of clients that come back to the ring that was filled.
const returning = "--scenario return --clients 20 --events 10"

// resumeAcross is how the time of a resume grows with what lies in between.
func resumeAcross(events string, n int) row {
	return row{
		name: fmt.Sprintf("across-%dk", n/1000), work: "100 clients resume 10 events each across " + events + " of another subject",
		args:    fmt.Sprintf("--scenario resume --clients 100 --events 10 --backlog %d --patience 1m", n),
		servers: alone,
		figures: []figure{duration},
	}
}

// match is how the cost of an event grows with the subscriptions that it is not for:
// more than there are sockets for, so that it is asked of the hub alone.
func match(subscriptions string, n int) row {
	return row{
		name: fmt.Sprintf("match-%d", n), work: "match an event against " + subscriptions + " subscriptions on subjects of their own and 64 with wildcards",
		args:    fmt.Sprintf("^BenchmarkHub_Append$/^subscriptions=%d$", n),
		servers: alone, measure: (*suite).measureMatch,
		figures: []figure{perEvent},
	}
}

// conflate is a ticker of 5,000 symbols, with and without conflation. Were they all
// as busy as each other, each would have an event every 250 ms, and there would be
// nothing to conflate.
func conflate(how, flags string) row {
	name := "ticker"
	if flags != "" {
		name = "conflate"
	}
	return row{
		name: name, work: "200 clients follow 5,000 symbols by a wildcard, 20,000 events/s, most of them of few symbols, " + how,
		args:  "--clients 200 --subjects 5000 --skew --wildcard --rate 20000 --payload json --prefix events.ticker" + flags,
		timed: true, servers: alone,
		figures: []figure{cores, sent, wire, p99},
	}
}

// compress is the work of "fanout" with payloads that can be compressed.
func compress(size string, bytes int, compressed bool) row {
	r := row{
		name: fmt.Sprintf("json-%d", bytes), work: "1,000 clients, one subject, 20 events/s, JSON of " + size,
		args:  fmt.Sprintf("--clients 1000 --rate 20 --payload json --size %d", bytes),
		timed: true, servers: alone,
		figures: []figure{cpuPerDelivery, perDelivery},
	}
	if compressed {
		r.name = fmt.Sprintf("gzip-%d", bytes)
		r.work += ", gzip"
		r.args += " --gzip"
		r.serve = []string{"--compression"}
	}
	return r
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

// command returns what is run for the row, for the results page.
func (r row) command() string {
	if strings.HasPrefix(r.args, "^") {
		return "go test -bench '" + r.args + "' ./broker"
	}
	return strings.TrimSpace("ringcast bench " + r.args)
}

// summary returns a sample in a line.
func (r row) summary(sm *sample) string {
	var parts []string
	for _, f := range r.figures {
		parts = append(parts, f.name+" "+f.format(f.of(sm)))
	}
	return strings.Join(append(parts, sm.faults()...), ", ")
}
