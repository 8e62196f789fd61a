// Command openai-worker answers the questions of a Ringcast gateway with a language model
// behind any endpoint that speaks OpenAI's chat completions:
//
//	openai-worker --endpoint http://localhost:11434/v1 --model llama3.2
//	OPENAI_API_KEY=… openai-worker --endpoint https://api.openai.com/v1 --model gpt-4o-mini
//
// and then
//
//	curl -N http://localhost:8080/v1/ask/chat -H 'Content-Type: application/json' -d '{"prompt":"Hello"}'
//
// As many as run with the same --queue share the questions. It ends with SIGINT or SIGTERM,
// and lets answers go on for the grace. Package transport/worker/openai says what a question
// may have, and what an answer consists of.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"ringcast/transport/worker"
	"ringcast/transport/worker/openai"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "openai-worker:", err)
		os.Exit(1)
	}
}

// errUsage: the flags cannot be read, which package flag has told.
var errUsage = errors.New("usage")

// keyVariable is where the key may be; it is in no flag, since those are seen by all users
// of a machine.
const keyVariable = "OPENAI_API_KEY"

// settings are the flags.
type settings struct {
	natsURL, natsCreds string
	keyFile            string
	worker             worker.Options
	model              openai.Options
}

func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	s, err := parse(args, getenv, stderr)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if s.model.Key, err = readKey(s.keyFile, getenv); err != nil {
		return err
	}
	model, err := openai.New(s.model)
	if err != nil {
		return err
	}
	nc, err := nats.Connect(s.natsURL, s.natsOptions(log)...)
	var unparsable *url.Error
	if errors.As(err, &unparsable) {
		err = errors.New("--nats-url is no URL") // whose error would show a password
	}
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	if !nc.IsConnected() {
		log.Warn("NATS cannot be reached at --nats-url: trying on")
	}
	s.worker.Check, s.worker.Logger = model.Check, log
	s.worker.Ready = func() {
		log.Info("answering questions", "subject", s.worker.Subject, "queue", s.worker.Queue, "model", s.model.Model)
	}
	w, err := worker.New(nc, s.worker)
	if err != nil {
		return err
	}
	return w.Run(ctx, model.Answer)
}

func parse(args []string, getenv func(string) string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("openai-worker", flag.ContinueOnError)
	f.SetOutput(stderr)
	or := func(name, otherwise string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	f.StringVar(&s.natsURL, "nats-url", or("NATS_URL", nats.DefaultURL), "where NATS is; NATS_URL")
	f.StringVar(&s.natsCreds, "nats-creds", or("NATS_CREDS", ""), "file with the credentials for NATS; NATS_CREDS")
	f.StringVar(&s.worker.Subject, "subject", "chat", "which questions are answered: those of /v1/ask/{subject}; may have wildcards")
	f.StringVar(&s.worker.Queue, "queue", "openai", "the group of workers that share them")
	f.IntVar(&s.worker.Concurrency, "concurrency", 64, "how many answers at a time; questions beyond it are refused with 503")
	f.DurationVar(&s.worker.Grace, "grace", 20*time.Second, "how long answers may go on at the end")
	f.StringVar(&s.model.Endpoint, "endpoint", or("OPENAI_BASE_URL", "https://api.openai.com/v1"), "the URL before /chat/completions; OPENAI_BASE_URL")
	f.StringVar(&s.model.Model, "model", or("OPENAI_MODEL", ""), "which model is asked; OPENAI_MODEL")
	f.StringVar(&s.keyFile, "api-key-file", "", "file with the key, if it is not in "+keyVariable)
	f.BoolVar(&s.model.NoUsage, "no-usage", false, "do not ask for the number of tokens: some endpoints reject that")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, errUsage
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	if s.model.Model == "" {
		return nil, errors.New("--model is missing: it names the model that is asked, as OPENAI_MODEL does")
	}
	return s, nil
}

func readKey(file string, getenv func(string) string) (string, error) {
	if file == "" {
		return getenv(keyVariable), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// natsOptions are those of a worker that outlives its server, and says when it is without one.
func (s *settings) natsOptions(log *slog.Logger) []nats.Option {
	options := []nats.Option{
		nats.Name("openai-worker"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // it is nil where the worker itself has closed it
				log.Warn("lost the connection to NATS: reconnecting", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("connected to NATS", "server", nc.ConnectedUrlRedacted()) }),
	}
	if s.natsCreds != "" {
		options = append(options, nats.UserCredentials(s.natsCreds))
	}
	return options
}
