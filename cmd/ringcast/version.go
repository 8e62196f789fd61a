package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker (see the Makefile); otherwise what the Go tool noted in the
// binary is taken.
var linkedVersion, linkedCommit string

// build says which program this is.
type build struct{ version, commit string }

func (b build) String() string {
	return fmt.Sprintf("ringcast %s (commit %s, %s, %s/%s)", b.version, b.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func version() build {
	b := build{version: "devel", commit: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.read(info)
	}
	if linkedVersion != "" {
		b.version = linkedVersion
	}
	if linkedCommit != "" {
		b.commit = linkedCommit
	}
	return b
}

func (b *build) read(info *debug.BuildInfo) {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.commit = s.Value
		}
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and the Go version",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
			return err
		},
	}
}
