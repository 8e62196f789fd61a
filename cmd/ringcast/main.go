package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ringcast/cmd/internal/config"
)

func main() {
	os.Exit(run(untilSignal(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends. A second
// one ends the process, with the status that shells give to one that was killed
// by it.
func untilSignal() context.Context {
	signals := make(chan os.Signal, 2) // room for both: what finds none is dropped
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-signals
		cancel()
		if second, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(128 + int(second))
		}
	}()
	return ctx
}

// The exit statuses.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// run runs the command line args until it is done or ctx is, and returns the exit
// status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "ringcast: "+oneLine(err))
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitError
}

// oneLine returns an error's text with its line ends, which those of YAML and
// joined errors have, and other control characters replaced.
func oneLine(err error) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error())
	return strings.Join(strings.Fields(clean), " ")
}

// usageError is a mistake in the command line, the environment or the file.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ringcast",
		Short:         "A resumable event broker: NATS in, Server-Sent Events out",
		Version:       version().String(),
		Args:          noSuchCommand,
		RunE:          noCommand,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newServe(), newDemo(), newPub(), newSub(), newBench(), newToken(), newRing(), newConfig(), newVersion())
	return root
}

// noSuchCommand is the Args of a command that has only sub-commands.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	names := subcommands(cmd)
	if near, ok := config.Nearest(args[0], names); ok {
		return usagef("unknown command %q: did you mean %q?", args[0], cmd.CommandPath()+" "+near)
	}
	return usagef("unknown command %q: there are %s", args[0], strings.Join(names, ", "))
}

// noCommand is the RunE of a command that has only sub-commands.
func noCommand(cmd *cobra.Command, _ []string) error {
	return usagef("no command: there are %s (see %s --help)", strings.Join(subcommands(cmd), ", "), cmd.CommandPath())
}

func subcommands(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// flagError makes one line of a mistake in a flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usagef("%w (see %s --help)", err, cmd.CommandPath())
	}
	name := unknown.GetSpecifiedName()
	dashes := "--"
	if unknown.GetSpecifiedShortnames() != "" {
		dashes = "-"
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near, ok := config.Nearest(name, known); ok {
		return usagef("unknown flag %s%s: did you mean --%s?", dashes, name, near)
	}
	return usagef("unknown flag %s%s (see %s --help)", dashes, name, cmd.CommandPath())
}

// args returns a check that there are from min to max arguments (no maximum where
// negative), which the message calls what the command's Use does.
func args(min, max int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < min:
			return usagef("argument missing: %s", useLine(cmd))
		case max >= 0 && len(args) > max:
			return usagef("unexpected argument %q: %s", args[max], useLine(cmd))
		}
		return nil
	}
}

func useLine(cmd *cobra.Command) string {
	return strings.TrimSuffix(cmd.UseLine(), " [flags]")
}
