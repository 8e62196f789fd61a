package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// EmbeddedMaxPayload is the embedded server's max_payload: a payload of 1 MiB
	// with its headers fits with room to spare, and it is the largest value for
	// which nats-server does not warn.
	EmbeddedMaxPayload = 8 << 20
	// After Start has returned, only the accept loop has to come up.
	embeddedReadyTimeout = 10 * time.Second
)

// EmbeddedOptions configures a NATS server inside this process.
type EmbeddedOptions struct {
	// StoreDir holds JetStream's data. It is made when missing and belongs to one
	// process at a time. Required.
	StoreDir string
	// Host and Port are where clients connect. Default: 127.0.0.1. Port 0 is
	// 4222, -1 is a free one. There is no authentication: anyone who reaches the
	// port can publish.
	Host string
	Port int
	// SyncInterval is how often JetStream forces its files to disk; what arrived
	// since may be lost when the machine (not the process) stops. Default: 2 min,
	// as in nats-server.
	SyncInterval time.Duration
	// SyncAlways forces every message to disk before it is acknowledged. Much
	// slower.
	SyncAlways bool
	// MaxStore bounds in bytes what JetStream may hold on disk. Default: 3/4 of
	// what is free at the start.
	MaxStore int64
	// Logger receives the server's log: its notices at debug level. Default:
	// none.
	Logger *slog.Logger
}

// Embedded is a NATS server inside this process.
type Embedded struct {
	server *server.Server
	unlock func() error
}

// StartEmbedded starts a NATS server with JetStream on disk and returns once
// clients can connect. It takes as long as JetStream needs to recover its store.
func StartEmbedded(opt EmbeddedOptions) (*Embedded, error) {
	e, err := startEmbedded(opt)
	if err != nil {
		return nil, fmt.Errorf("start embedded NATS server: %w", err)
	}
	return e, nil
}

func startEmbedded(opt EmbeddedOptions) (*Embedded, error) {
	if opt.StoreDir == "" {
		return nil, errors.New("no store directory")
	}
	if err := os.MkdirAll(opt.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("make store directory: %w", err)
	}
	// nats-server does not lock its store; two of them on one directory
	// corrupt it without a word.
	unlock, err := lockDir(opt.StoreDir)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(serverOptions(opt))
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	e := &Embedded{server: s, unlock: unlock}
	logger := newServerLog(opt.Logger)
	s.SetLoggerV2(logger, false, false, false)
	s.Start()
	if err := e.ready(logger); err != nil {
		e.Shutdown()
		return nil, err
	}
	return e, nil
}

func serverOptions(opt EmbeddedOptions) *server.Options {
	host := opt.Host
	if host == "" {
		host = "127.0.0.1"
	}
	return &server.Options{
		ServerName:             "ringcast-embedded",
		Host:                   host,
		Port:                   opt.Port,
		JetStream:              true,
		StoreDir:               opt.StoreDir,
		SyncInterval:           opt.SyncInterval,
		SyncAlways:             opt.SyncAlways,
		JetStreamMaxStore:      opt.MaxStore,
		MaxPayload:             EmbeddedMaxPayload,
		DisableJetStreamBanner: true,
		// NewServer itself installs signal handlers otherwise, and they would
		// take the process down past its own shutdown.
		NoSigs: true,
	}
}

// ready waits for the accept loop. nats-server tells a fatal error to its logger
// and returns as if nothing had happened, so that is where it is taken from.
func (e *Embedded) ready(logger *serverLog) error {
	if err := logger.fatal(); err != nil {
		return err
	}
	if !e.server.ReadyForConnections(embeddedReadyTimeout) {
		return errors.New("it does not accept connections")
	}
	if !e.server.JetStreamEnabled() {
		return errors.New("JetStream is not enabled")
	}
	return nil
}

// ClientURL returns the URL at which clients connect.
func (e *Embedded) ClientURL() string { return e.server.ClientURL() }

// Shutdown stops the server and returns when its store is closed. Clients should
// be closed first. It may be called again.
func (e *Embedded) Shutdown() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
	_ = e.unlock() // the lock ends with the process anyway
}
