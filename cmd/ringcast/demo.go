package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"ringcast/broker"
	"ringcast/cmd/internal/config"
	"ringcast/cmd/internal/demo"
	"ringcast/transport/worker"
)

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the broker with producers of quotes and notifications, and a worker that answers",
		Long: "Run the broker as serve does, with the same flags, and producers that publish quotes of 200\n" +
			"stocks on events.quotes.<SYMBOL> and notifications on events.notify.<user> over NATS for as long\n" +
			"as it runs. A worker answers questions on the subject chat with built-in texts.",
		Args: args(0, 0),
	}
	quotes := cmd.Flags().Int(quotesFlag, demo.DefaultQuotesPerSecond,
		fmt.Sprintf("how many quotes to publish a second, 1 to %d", demo.MaxQuotesPerSecond))
	config.AddFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, *quotes) }
	return cmd
}

// quotesFlag is the one flag that demo has and serve has not.
const quotesFlag = "quotes-per-second"

func runDemo(cmd *cobra.Command, quotesPerSecond int) error {
	if quotesPerSecond < 1 || quotesPerSecond > demo.MaxQuotesPerSecond {
		return usagef("--%s %d is out of range: allowed is 1 to %d", quotesFlag, quotesPerSecond, demo.MaxQuotesPerSecond)
	}
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
	stopDemo, err := s.startDemo(quotesPerSecond)
	if err != nil {
		return errors.Join(err, s.stop())
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The ticker is at %sticker; notifications, a chat and a console are beside it (end it with Ctrl-C)\n", s.pageURL())
	err = s.wait(cmd.Context())
	stopDemo()
	return errors.Join(err, s.stop())
}

const (
	// demoGrace is how long an answer may go on when the demo is to end.
	demoGrace = time.Second
	// demoReady is how long a NATS server that is away delays the start.
	demoReady = 3 * time.Second
)

// startDemo connects to NATS as any producer and any worker does, publishes, and answers
// until stop is called.
func (s *server) startDemo(quotesPerSecond int) (stop func(), err error) {
	nc, err := nats.Connect(s.natsURL(), s.producerOptions()...)
	if err != nil {
		return nil, fmt.Errorf("connect the demo: %w", err)
	}
	producers, answers := demo.NewProducers(nc, s.log, rand.Uint64(), quotesPerSecond), demo.NewAnswers(0)
	ready := make(chan struct{})
	w, err := worker.New(nc, worker.Options{
		Subject: demo.AnswerSubject, Queue: "demo", Check: answers.Check, Ready: func() { close(ready) }, Grace: demoGrace, Logger: s.log,
	})
	if err != nil {
		nc.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { producers.Run(ctx) })
	running.Go(func() {
		if err := w.Run(ctx, answers.Answer); err != nil {
			s.log.Warn("the demo answers no questions", "err", err)
		}
	})
	select {
	case <-ready:
	case <-time.After(demoReady):
	}
	return func() {
		cancel()
		running.Wait()
		nc.Close()
	}, nil
}

// producerOptions are those of a producer that outlives its server, and buffers
// nothing meanwhile: old quotes are of no use, and a worker publishes again by itself.
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
