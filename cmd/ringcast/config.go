package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ringcast/cmd/internal/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration that serve would use",
		Long: "Print the configuration that serve would use with the same flags, environment and file, as a file,\n" +
			"with where each value comes from. Passwords and tokens are left out.",
		Args: args(0, 0),
	}
	config.AddFlags(cmd.Flags())
	reference := cmd.Flags().Bool("reference", false, "print the reference of all settings in Markdown instead")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *reference {
			return config.WriteReference(cmd.OutOrStdout())
		}
		loaded, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		for _, warning := range loaded.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "ringcast: "+warning)
		}
		return loaded.Write(cmd.OutOrStdout())
	}
	return cmd
}

func loadConfig(cmd *cobra.Command) (*config.Loaded, error) {
	loaded, err := config.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return nil, usageError{err}
	}
	return loaded, nil
}
