package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"ringcast/broker"
	"ringcast/cmd/internal/config"
	"ringcast/cmd/internal/demo"
)

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the broker with producers that publish quotes and notifications",
		Long: "Run the broker as serve does, with the same flags, and producers that publish stock quotes on\n" +
			"events.quotes.<SYMBOL> and notifications on events.notify.<user> over NATS for as long as it runs.",
		Args: args(0, 0),
		RunE: runDemo,
	}
	config.AddFlags(cmd.Flags())
	return cmd
}

func runDemo(cmd *cobra.Command, _ []string) error {
	cfg, log, err := prepare(cmd)
	if err != nil {
		return err
	}
	for _, subject := range demo.Subjects {
		if err := broker.SubjectWithin(subject, cfg.Subjects); err != nil {
			return usagef("subjects: the demo publishes what is not among them: %w", err)
		}
	}
	s, err := start(cmd.Context(), cfg, log)
	if err != nil {
		return err
	}
	stopProducers, err := s.startProducers()
	if err != nil {
		return errors.Join(err, s.stop())
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The demo is at %s (end it with Ctrl-C)\n", s.pageURL())
	err = s.wait(cmd.Context())
	stopProducers()
	return errors.Join(err, s.stop())
}

// startProducers connects to NATS as any producer does and publishes until stop
// is called.
func (s *server) startProducers() (stop func(), err error) {
	nc, err := nats.Connect(s.natsURL(), s.producerOptions()...)
	if err != nil {
		return nil, fmt.Errorf("connect the demo's producers: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { demo.NewProducers(nc, s.log, rand.Uint64()).Run(ctx) })
	return func() {
		cancel()
		running.Wait()
		nc.Close()
	}, nil
}

// producerOptions are those of a producer that outlives its server, and buffers
// nothing meanwhile: old quotes are of no use.
func (s *server) producerOptions() []nats.Option {
	options := []nats.Option{
		nats.Name("ringcast demo"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
	}
	if s.cfg.NATSCreds != "" {
		options = append(options, nats.UserCredentials(string(s.cfg.NATSCreds)))
	}
	if s.cfg.NATSTLSCA != "" {
		options = append(options, nats.RootCAs(string(s.cfg.NATSTLSCA)))
	}
	if s.cfg.NATSTLSCert != "" {
		options = append(options, nats.ClientCert(string(s.cfg.NATSTLSCert), string(s.cfg.NATSTLSKey)))
	}
	return options
}
