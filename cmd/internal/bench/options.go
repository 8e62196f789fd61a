package bench

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"ringcast/broker"
)

// Scenarios.
const (
	// Fanout: clients follow subjects that are published to.
	Fanout = "fanout"
	// Resume: all clients come back at once after an id and get what followed it.
	Resume = "resume"
	// Return: clients come one after the other, after a bookmark that an earlier
	// Resume has left, when the server may have been restarted since.
	Return = "return"
	// Idle: clients that follow subjects on which nothing happens.
	Idle = "idle"
)

// Ways to publish.
const (
	OverJetStream = "jetstream" // NATS, each event acknowledged by the stream
	OverNATS      = "nats"      // NATS, unacknowledged
	OverHTTP      = "http"      // the server's publish call
)

// What an event carries after its stamp.
const (
	Padding = "padding" // one letter over and over
	JSON    = "json"    // an order book: what a ticker sends, and compresses like it
)

// Scenarios, Ways and Payloads are what the options Scenario, Publish and Payload
// allow.
var (
	Scenarios = []string{Fanout, Resume, Return, Idle}
	Ways      = []string{OverJetStream, OverNATS, OverHTTP}
	Payloads  = []string{Padding, JSON}
)

// Options say what to measure.
type Options struct {
	Scenario string
	// Target is the kind of server, one of Targets, and URL where it serves HTTP.
	Target, URL string
	// Publish is one of Ways; NATSURL is needed for those over NATS.
	Publish, NATSURL string
	// Prefix is what the subjects begin with; ".0", ".1", … follows.
	Prefix string

	// Clients is how many follow; 0 publishes only. Subjects is how many subjects
	// they are spread over evenly.
	Clients, Subjects int
	// Skew gives few subjects most of the events, as symbols of a ticker have them (by
	// Zipf's law), and not each in turn.
	Skew bool
	// Wildcard has every client follow all of the subjects instead.
	Wildcard bool
	// Conflate, unless zero, asks for the newest event of each subject once in that
	// time. Every client must get the last event of each subject, and may lack
	// others.
	Conflate time.Duration
	// Gzip asks for compressed streams, and fails without.
	Gzip bool
	// Payload is one of Payloads; Size is its size in bytes.
	Payload string
	Size    int

	// Rate is how many events are published a second over all subjects; 0 is as
	// fast as they are delivered, with at most Window events under way.
	Rate   float64
	Window int
	// Warmup and Duration are how long is published before and while measuring; for
	// Idle, how long the clients are left alone.
	Warmup, Duration time.Duration

	// Events is how many each client gets in the scenario Resume, and Backlog how
	// many of another subject lie between them.
	Events, Backlog int
	// Bookmark is where the clients of the scenario Return come back to: the result
	// of a Resume names it, which had the same Events.
	Bookmark string

	// PIDs are the server's processes; their descendants count too.
	PIDs []int
	// Patience is how long nothing may arrive before what is missing is lost.
	Patience time.Duration
}

// Defaults returns what `ringcast bench` measures unless told otherwise.
func Defaults() Options {
	return Options{
		Scenario: Fanout,
		Target:   "ringcast",
		URL:      "http://127.0.0.1:8080",
		Publish:  OverJetStream,
		NATSURL:  "nats://127.0.0.1:4222",
		Prefix:   "events.bench",
		Clients:  1000,
		Subjects: 1,
		Payload:  Padding,
		Size:     128,
		Rate:     20,
		Window:   1000,
		Warmup:   time.Second,
		Duration: 10 * time.Second,
		Events:   900,
		Patience: 10 * time.Second,
	}
}

// Check returns what is wrong with the options, named as the flags of `ringcast
// bench`, or nil.
func (o Options) Check() error {
	for _, check := range []func() error{o.checkNames, o.checkStreams, o.checkURLs, o.checkNumbers, o.checkDurations} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) checkNames() error {
	for _, choice := range []struct {
		flag, value string
		allowed     []string
	}{
		{"scenario", o.Scenario, Scenarios},
		{"target", o.Target, Targets()},
		{"publish", o.Publish, Ways},
		{"payload", o.Payload, Payloads},
	} {
		if !slices.Contains(choice.allowed, choice.value) {
			return fmt.Errorf("--%s %q is unknown: allowed is %s", choice.flag, choice.value, strings.Join(choice.allowed, ", "))
		}
	}
	t := targetNamed(o.Target)
	if o.Publish != OverHTTP && o.publishes() && !t.overNATS {
		return fmt.Errorf("--publish %s: the target %s is published to over http", o.Publish, o.Target)
	}
	if o.resumes() && !t.resumes {
		return fmt.Errorf("--scenario %s: the target %s keeps nothing", o.Scenario, o.Target)
	}
	if _, _, err := parseBookmark(o.Bookmark); o.Scenario == Return && err != nil {
		return fmt.Errorf("--bookmark: %w", err)
	}
	if err := broker.ValidateSubject(o.Prefix); err != nil {
		return fmt.Errorf("--prefix: %w", err)
	}
	return nil
}

// checkStreams checks what is asked of the streams.
func (o Options) checkStreams() error {
	t := targetNamed(o.Target)
	switch {
	case o.Wildcard && !t.wildcards:
		return fmt.Errorf("--wildcard: the target %s has none", o.Target)
	case o.Conflate != 0 && !t.conflates:
		return fmt.Errorf("--conflate: the target %s does not", o.Target)
	case (o.Wildcard || o.Conflate != 0) && o.Scenario != Fanout:
		return fmt.Errorf("--wildcard and --conflate are for the scenario %s", Fanout)
	case o.Conflate != 0 && o.Rate == 0:
		return errors.New("--conflate needs a --rate: without one, what is published next waits for what is left out")
	}
	return nil
}

// publishes reports whether the scenario publishes at all, and resumes whether its
// clients come back after an id.
func (o Options) publishes() bool { return o.Scenario == Fanout || o.Scenario == Resume }
func (o Options) resumes() bool   { return o.Scenario == Resume || o.Scenario == Return }

func (o Options) checkURLs() error {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" || u.Port() == "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("--url %q: allowed is http://host:port", o.URL)
	}
	if o.Publish == OverHTTP || !o.publishes() {
		return nil
	}
	if u, err := url.Parse(o.NATSURL); err != nil || u.Host == "" {
		return errors.New("--nats-url: allowed is nats://host:port")
	}
	return nil
}

func (o Options) checkNumbers() error {
	for _, n := range []struct {
		flag       string
		value, min int
	}{
		{"clients", o.Clients, 0},
		{"subjects", o.Subjects, 1},
		{"size", o.Size, o.leastSize()},
		{"window", o.Window, 1},
		{"events", o.Events, 1},
		{"backlog", o.Backlog, 0},
	} {
		if n.value < n.min {
			return fmt.Errorf("--%s %d is too small: allowed is a whole number, at least %d", n.flag, n.value, n.min)
		}
	}
	switch {
	case o.Rate < 0 || o.Rate > 1e9:
		return fmt.Errorf("--rate %g: allowed is events a second, or 0 for as fast as they are delivered", o.Rate)
	case o.Clients == 0 && o.Scenario != Fanout:
		return fmt.Errorf("--clients 0 publishes only: the scenario %s has nothing to measure", o.Scenario)
	case !o.Wildcard && o.Clients%o.Subjects != 0:
		return fmt.Errorf("--clients %d cannot be spread evenly over --subjects %d", o.Clients, o.Subjects)
	case o.resumes() && o.Subjects != 1:
		return fmt.Errorf("--subjects: the scenario %s has one", o.Scenario)
	}
	for _, pid := range o.PIDs {
		if pid < 1 {
			return fmt.Errorf("--pid %d is no process", pid)
		}
	}
	return o.checkFiles()
}

// otherFiles is how many a process of the benchmark has open beside its clients.
const otherFiles = 64

func (o Options) checkFiles() error {
	limit, err := openFiles()
	if err == nil && o.Clients > limit-otherFiles {
		return fmt.Errorf("--clients %d is too many: this process may open %d files (ulimit -n)", o.Clients, limit)
	}
	return nil
}

func (o Options) checkDurations() error {
	for _, d := range []struct {
		flag       string
		value, min time.Duration
	}{
		{"warmup", o.Warmup, 0},
		{"conflate", o.Conflate, 0},
		{"duration", o.Duration, 10 * time.Millisecond},
		{"patience", o.Patience, 100 * time.Millisecond},
	} {
		if d.value < d.min {
			return fmt.Errorf("--%s %v is too short: allowed is a duration such as 10s, at least %v", d.flag, d.value, d.min)
		}
	}
	return nil
}

// followers returns how many clients an event goes to.
func (o Options) followers() int {
	if o.Wildcard {
		return o.Clients
	}
	return o.Clients / o.Subjects
}

func (o Options) subjectNames() []string {
	names := make([]string, o.Subjects)
	for i := range names {
		names[i] = o.subjectName(i)
	}
	return names
}

func (o Options) subjectName(n int) string { return fmt.Sprintf("%s.%d", o.Prefix, n) }

// host returns the host:port of the URL.
func (o Options) host() string {
	return strings.TrimRight(strings.TrimPrefix(o.URL, "http://"), "/")
}
