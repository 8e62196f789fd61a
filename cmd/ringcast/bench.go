package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ringcast/cmd/internal/bench"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a running server under many clients",
		Long: "Measure a running server under many clients: open event streams, publish, check at every client that\n" +
			"each event comes once and in order, and print deliveries a second, latencies and, for the processes\n" +
			"given by --pid, processor time and memory. The exit status is 1 when an event was lost.\n\n" +
			"The load generator takes a part of the machine. Compare figures of one machine only. Linux only.",
		Example: "  ringcast bench --clients 1000 --rate 20 --pid $(pidof ringcast)\n" +
			"  ringcast bench --clients 1000 --rate 0\n" +
			"  ringcast bench --clients 5000 --subjects 5000 --rate 1000\n" +
			"  ringcast bench --clients 200 --subjects 5000 --wildcard --rate 20000\n" +
			"  ringcast bench --scenario resume --clients 500 --events 900\n" +
			"  ringcast bench --target nchan --url http://127.0.0.1:8081 --publish http",
		Args: args(0, 0),
	}
	o := bench.Defaults()
	asJSON := false
	addBenchFlags(cmd.Flags(), &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.Check(); err != nil {
			return usageError{err}
		}
		result, err := bench.Run(cmd.Context(), o)
		if err != nil {
			return err
		}
		if err := writeResult(cmd.OutOrStdout(), result, asJSON); err != nil {
			return err
		}
		return result.Faultless()
	}
	return cmd
}

func addBenchFlags(flags *pflag.FlagSet, o *bench.Options) {
	oneOf := func(names []string) string { return strings.Join(names, ", ") }
	flags.StringVar(&o.Scenario, "scenario", o.Scenario, "what to measure: "+oneOf(bench.Scenarios))
	flags.StringVar(&o.Target, "target", o.Target, "the kind of server: "+oneOf(bench.Targets()))
	flags.StringVar(&o.URL, "url", o.URL, "where it serves HTTP")
	flags.StringVar(&o.Publish, "publish", o.Publish, "how to publish: "+oneOf(bench.Ways))
	flags.StringVar(&o.NATSURL, "nats-url", o.NATSURL, "the NATS server to publish to")
	flags.StringVar(&o.Prefix, "prefix", o.Prefix, "what the subjects begin with; .0, .1 and so on follows")
	flags.IntVar(&o.Clients, "clients", o.Clients, "how many clients; 0 publishes only")
	flags.IntVar(&o.Subjects, "subjects", o.Subjects, "how many subjects the clients are spread over")
	flags.BoolVar(&o.Skew, "skew", o.Skew, "few subjects get most of the events (by Zipf's law), not each in turn")
	flags.BoolVar(&o.Wildcard, "wildcard", o.Wildcard, "every client follows all of the subjects, by a wildcard")
	flags.DurationVar(&o.Conflate, "conflate", o.Conflate, "ask for the newest event of each subject once in that time; only the last has to come")
	flags.BoolVar(&o.Gzip, "gzip", o.Gzip, "ask for compressed streams, and fail without")
	flags.StringVar(&o.Payload, "payload", o.Payload, "what a payload is made of: "+oneOf(bench.Payloads))
	flags.IntVar(&o.Size, "size", o.Size, "bytes in a payload")
	flags.Float64Var(&o.Rate, "rate", o.Rate, "events published a second, over all subjects; 0 is as fast as they are delivered")
	flags.IntVar(&o.Window, "window", o.Window, "with --rate 0, how many events may be under way")
	flags.DurationVar(&o.Warmup, "warmup", o.Warmup, "how long to publish before measuring")
	flags.DurationVar(&o.Duration, "duration", o.Duration, "how long to measure")
	flags.IntVar(&o.Events, "events", o.Events, "how many events each client resumes")
	flags.IntVar(&o.Backlog, "backlog", o.Backlog, "how many events of another subject lie between those")
	flags.StringVar(&o.Bookmark, "bookmark", o.Bookmark, "where the clients of the scenario return come back to: printed by the scenario resume")
	flags.IntSliceVar(&o.PIDs, "pid", nil, "the server's processes to measure, with their descendants")
	flags.DurationVar(&o.Patience, "patience", o.Patience, "how long nothing may come before what is missing is lost")
}

func writeResult(w io.Writer, r *bench.Result, asJSON bool) error {
	if !asJSON {
		return r.WriteText(w)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
