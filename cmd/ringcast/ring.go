package main

import (
	"bufio"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ringcast/broker"
	"ringcast/cmd/internal/config"
	"ringcast/replay"
	"ringcast/transport/sse"
)

func newRing() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ring",
		Short: "Look into a ring file that no running server has open",
		Args:  noSuchCommand,
		RunE:  noCommand,
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "stats FILE",
			Short: "Print what a ring file holds",
			Args:  args(1, 1),
			RunE: func(cmd *cobra.Command, args []string) error {
				summary, err := replay.FileStats(args[0])
				if err != nil {
					return err
				}
				return writeRingStats(cmd.OutOrStdout(), summary)
			},
		},
		&cobra.Command{
			Use:   "check FILE",
			Short: "Verify a ring file; exit status 1 when something is wrong with it",
			Args:  args(1, 1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return checkRing(cmd.OutOrStdout(), args[0])
			},
		},
		&cobra.Command{
			Use:   "dump FILE",
			Short: "Print the events of a ring file as JSON, one a line",
			Args:  args(1, 1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return dumpRing(cmd.OutOrStdout(), args[0])
			},
		},
	)
	return cmd
}

func writeRingStats(out io.Writer, s replay.Summary) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range []struct {
		name  string
		value any
	}{
		{"format", s.Format},
		{"file", config.Size(s.FileSize)},
		{"events", s.Events},
		{"bytes", config.Size(s.Bytes)},
		{"subjects", s.Subjects},
		{"floor", s.Bounds.Floor},
		{"head", s.Bounds.Head},
		{"oldest", timeOrNone(s.Oldest)},
		{"newest", timeOrNone(s.Newest)},
	} {
		fmt.Fprintf(w, "%s\t%v\n", line.name, line.value)
	}
	return w.Flush()
}

func timeOrNone(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.Format(time.RFC3339Nano)
}

// checkRing prints every problem, and fails where there is one.
func checkRing(out io.Writer, path string) error {
	report, err := replay.Check(path)
	if err != nil {
		return err
	}
	for _, problem := range report.Problems {
		if _, err := fmt.Fprintln(out, problem); err != nil {
			return err
		}
	}
	if n := len(report.Problems); n > 0 {
		return fmt.Errorf("check ring file: %s has %d problem(s)", path, n)
	}
	_, err = fmt.Fprintf(out, "%s is sound: %d events from %s to %s\n", path, report.Events, report.Bounds.Floor, report.Bounds.Head)
	return err
}

func dumpRing(out io.Writer, path string) error {
	w := bufio.NewWriter(out)
	var line []byte
	err := replay.Dump(path, func(e broker.Event) error {
		line = append(sse.AppendJSON(line[:0], &e), '\n')
		_, err := w.Write(line)
		return err
	})
	if flushErr := w.Flush(); err == nil { // what comes before damage is printed too
		err = flushErr
	}
	return err
}
