package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ringcast/broker"
	"ringcast/cmd/internal/config"
	"ringcast/cmd/internal/metrics"
	"ringcast/cmd/internal/telemetry"
	"ringcast/replay"
	"ringcast/transport/access"
	"ringcast/transport/ask"
	"ringcast/transport/gateway"
	"ringcast/transport/jetstream"
	"ringcast/transport/peers"
	"ringcast/transport/presence"
	"ringcast/transport/tracing"
	"ringcast/transport/web"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the broker",
		Long: "Run the broker: record what is published on NATS, and serve it over HTTP to clients that resume.\n\n" +
			"Every flag is also a key of the YAML file that --config names, and an environment variable: --nats-url\n" +
			"is RINGCAST_NATS_URL. A flag wins over the environment, that over the file.",
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := prepare(cmd)
			if err != nil {
				return err
			}
			s, err := start(cmd.Context(), cfg, log)
			if err != nil {
				return err
			}
			return errors.Join(s.wait(cmd.Context()), s.stop())
		},
	}
	config.AddFlags(cmd.Flags())
	return cmd
}

// prepare returns the configuration and the logger that it asks for.
func prepare(cmd *cobra.Command) (*config.Loaded, *slog.Logger, error) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return nil, nil, err
	}
	log := newLogger(cmd.ErrOrStderr(), &cfg.Config)
	for _, warning := range cfg.Warnings {
		log.Warn("configuration: " + warning)
	}
	return cfg, log, nil
}

func newLogger(w io.Writer, cfg *config.Config) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel.Level}
	if cfg.LogFormat == config.FormatJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// server is a running broker: its parts, in the order in which they start.
type server struct {
	cfg *config.Loaded
	log *slog.Logger

	traces   *telemetry.Traces // nil, as is what makes them, unless they are asked for
	tracing  *tracing.Tracing
	embedded *jetstream.Embedded // nil with an external NATS server
	client   *jetstream.Client
	ring     *replay.Ring
	history  *jetstream.History
	hub      *broker.Hub
	reader   *jetstream.Reader
	stopRead context.CancelFunc
	access   *access.Policy
	stopKeys context.CancelFunc
	metrics  *metrics.Metrics
	peers    *peers.Network
	presence *presence.Tracker // nil without presence
	desk     *ask.Desk         // nil where no questions are answered
	gateway  *gateway.Server
	listener net.Listener
	admin    *http.Server // nil without admin-listen

	stopCertificate context.CancelFunc // nil without TLS
	stopMeeting     context.CancelFunc // of peers, presence and questions

	// running counts the goroutines of the reader, the gateway, the admin listener and
	// the peers; one that ends by itself says why in failed, which has room for all.
	running sync.WaitGroup
	failed  chan error

	streamMu  sync.Mutex // guards streamErr; nothing blocks while it is held
	streamErr error      // why the stream is not there yet
}

// start starts every part. When one fails, those before it are stopped again.
func start(ctx context.Context, cfg *config.Loaded, log *slog.Logger) (*server, error) {
	s := &server{cfg: cfg, log: log, failed: make(chan error, 4), metrics: newMetrics()}
	for _, part := range []func(context.Context) error{
		s.makeDataDir,
		s.startTracing,
		s.startEmbedded,
		s.connect,
		s.openAccess,
		s.ensureStream,
		s.openRing,
		s.startReader,
		s.hearOfStream,
		s.meetPeers,
		s.openDesk,
		s.makeGateway,
		s.startAdmin,
		s.startGateway,
		s.startPeers,
	} {
		if err := part(ctx); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	s.logReady()
	return s, nil
}

// wait returns when ctx is done, with nil, or when a part fails.
func (s *server) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		s.log.Info("shutting down")
		return nil
	case err := <-s.failed:
		return err
	}
}

// stop stops every part that was started, in reverse.
func (s *server) stop() error {
	return errors.Join(
		s.stopGateway(),
		s.stopPeers(),
		s.stopAdmin(),
		s.closeAccess(),
		s.stopReader(),
		s.closeRing(),
		s.disconnect(),
		s.stopEmbedded(),
		s.stopTracing(),
	)
}

func (s *server) makeDataDir(context.Context) error {
	if err := os.MkdirAll(s.cfg.DataDir, 0o750); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

func (s *server) startEmbedded(context.Context) (err error) {
	if !s.cfg.Embedded() {
		return nil
	}
	port := s.cfg.NATSListen.Port
	if port == 0 {
		port = -1 // nats-server's word for a free one; its 0 is 4222
	}
	s.embedded, err = jetstream.StartEmbedded(jetstream.EmbeddedOptions{
		StoreDir: filepath.Join(s.cfg.DataDir, "nats"),
		Host:     s.cfg.NATSListen.Host,
		Port:     port,
		Logger:   s.log,
	})
	return err
}

func (s *server) stopEmbedded() error {
	if s.embedded != nil {
		s.embedded.Shutdown()
	}
	return nil
}

func (s *server) connect(ctx context.Context) (err error) {
	s.client, err = jetstream.Connect(ctx, jetstream.Options{
		URL:       s.natsURL(),
		CredsFile: string(s.cfg.NATSCreds),
		TLSCA:     string(s.cfg.NATSTLSCA),
		TLSCert:   string(s.cfg.NATSTLSCert),
		TLSKey:    string(s.cfg.NATSTLSKey),
		Tracing:   s.tracing,
		Logger:    s.log,
	})
	return err
}

func (s *server) disconnect() error {
	if s.client != nil {
		s.client.Close()
	}
	return nil
}

// natsURL returns the URL to connect to, with its secrets.
func (s *server) natsURL() string {
	if s.embedded != nil {
		return s.embedded.ClientURL()
	}
	return s.cfg.NATSURL.Reveal()
}

// ensureStream makes or checks the stream. It fails for what only an operator can
// mend. A server that is away is no such thing: the reader's goroutine tries on,
// while the gateway serves what the ring holds.
func (s *server) ensureStream(ctx context.Context) error {
	replicas := int64(0) // as found
	if s.cfg.IsSet("stream-replicas") {
		replicas = s.cfg.StreamReplicas
	}
	err := s.client.EnsureStream(ctx, jetstream.StreamConfig{
		Name:         string(s.cfg.Stream),
		Subjects:     s.cfg.Subjects,
		MaxAge:       s.cfg.StreamMaxAge,
		MaxBytes:     int64(s.cfg.StreamMaxBytes),
		MaxEvents:    s.cfg.StreamMaxEvents,
		Replicas:     int(replicas),
		MirrorDomain: string(s.cfg.MirrorDomain),
		Manage:       s.cfg.ManageStream,
	})
	s.noteStream(err)
	if errors.Is(err, jetstream.ErrConfig) {
		return err
	}
	return nil
}

func (s *server) noteStream(err error) {
	s.streamMu.Lock()
	defer s.streamMu.Unlock()
	s.streamErr = err
}

// streamProblem returns why the stream is not there yet, nil when it is.
func (s *server) streamProblem() error {
	s.streamMu.Lock()
	defer s.streamMu.Unlock()
	return s.streamErr
}

func (s *server) openRing(context.Context) (err error) {
	if err := s.forgetOtherFilter(); err != nil {
		return err
	}
	s.ring, err = replay.Open(s.ringPath(), replay.Options{
		MaxEvents: int(s.cfg.RingMaxEvents),
		MaxBytes:  int64(s.cfg.RingMaxBytes),
		MaxAge:    s.cfg.RingMaxAge,
		Logger:    s.log,
		Committed: s.metrics.Committed,
	})
	return err
}

func (s *server) ringPath() string { return filepath.Join(s.cfg.DataDir, "ring.db") }

func (s *server) closeRing() error {
	if s.ring == nil {
		return nil
	}
	return s.ring.Close()
}

func (s *server) startReader(context.Context) error {
	stream := string(s.cfg.Stream)
	s.history = jetstream.NewHistory(s.client, jetstream.HistoryOptions{Stream: stream, Concurrency: int(s.cfg.HistoryReads)})
	s.hub = broker.NewHub(s.ring, s.history, broker.HubOptions{})
	s.reader = jetstream.NewReader(s.client, jetstream.ReaderOptions{
		Stream:     stream,
		Filter:     s.cfg.Filter,
		RingEvents: uint64(s.cfg.RingMaxEvents),
		Missing:    s.ensureStream,
		Tracing:    s.tracing,
		Logger:     s.log,
	})
	var ctx context.Context
	ctx, s.stopRead = context.WithCancel(context.Background()) // it ends in its turn, not with the first signal
	s.running.Go(func() {
		if err := s.read(ctx); err != nil {
			s.failed <- err
		}
	})
	return nil
}

// hearTimeout bounds how long a server that does not answer delays the start.
const hearTimeout = 3 * time.Second

// hearOfStream waits until it is known where the stream stands: until then, what
// was published while this gateway was down would come as new to whoever connects
// at once. Without NATS the gateway serves what it has.
func (s *server) hearOfStream(ctx context.Context) error {
	if !s.client.Status().Connected {
		return nil
	}
	timeout := time.NewTimer(hearTimeout)
	defer timeout.Stop()
	select {
	case <-s.hub.Heard():
	case <-timeout.C:
	case <-ctx.Done():
	}
	return nil
}

// streamRetry is how long to wait before asking for the stream again.
const streamRetry = time.Second

// read fills the hub from the stream, once there is one, until ctx is done.
func (s *server) read(ctx context.Context) error {
	ticker := time.NewTicker(streamRetry)
	defer ticker.Stop()
	for s.streamProblem() != nil {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		if err := s.ensureStream(ctx); err != nil {
			return err
		}
	}
	return s.reader.Run(ctx, s.metrics.Sink(s.hub))
}

func (s *server) stopReader() error {
	if s.stopRead != nil {
		s.stopRead()
	}
	s.running.Wait()
	return nil
}

// makeGateway makes the gateway, and has it measured: while it starts and stops too.
func (s *server) makeGateway(context.Context) error {
	ticketKey, err := s.cfg.TicketKey.Key()
	if err != nil {
		return fmt.Errorf("make gateway: ticket-key-file %w", err)
	}
	s.gateway = gateway.New(gateway.Options{
		Hub:             s.hub,
		Publisher:       s.metrics.Publisher(s.client),
		Status:          s.status,
		Subjects:        s.cfg.Served(),
		Stream:          string(s.cfg.Stream),
		Pages:           web.Handler(),
		Heartbeat:       s.cfg.Heartbeat,
		Retry:           s.cfg.Retry,
		WriteTimeout:    s.cfg.WriteTimeout,
		Compression:     s.cfg.Compression,
		PublishMaxBytes: int64(s.cfg.PublishMaxBytes),
		Access:          s.access,
		Peers:           s.peers,
		Presence:        s.presence,
		Ask:             s.desk,
		Limits:          s.limits(),
		TrustedProxies:  s.cfg.TrustedProxies,
		DrainTime:       s.cfg.DrainTime,
		StreamLifetime:  s.cfg.StreamLifetime,
		TicketKey:       ticketKey,
		TicketTTL:       s.cfg.TicketTTL,
		CORSOrigins:     s.cfg.CORSOrigins,
		Metrics:         s.metrics.Handler(s.log),
		Resumed:         s.metrics.Resumed,
		Tracing:         s.tracing,
		Logger:          s.log,
	})
	s.metrics.Watch(metrics.Parts{
		Gateway: s.gateway, Hub: s.hub, Ring: s.ring, Oldest: s.oldest, Client: s.client, Reader: s.reader, Access: s.access, Desk: s.desk,
	})
	return nil
}

func (s *server) startGateway(context.Context) (err error) {
	if s.listener, err = s.listen(); err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	s.running.Go(func() {
		if err := s.gateway.Serve(s.listener); err != nil {
			s.failed <- err
		}
	})
	return nil
}

func (s *server) limits() gateway.Limits {
	l := gateway.Limits{
		Streams:            int(s.cfg.MaxStreams),
		StreamsPerIdentity: int(s.cfg.MaxPerIdentity),
		StreamsPerAddress:  int(s.cfg.MaxPerAddress),
		ConnectRate:        float64(s.cfg.ConnectRate),
		PublishRate:        float64(s.cfg.PublishRate),
		Subjects:           int(s.cfg.MaxSubjects),
	}
	if files := openFiles(); l.Streams == 0 && files > 0 {
		l.Streams = files - files/10 // the rest is for requests, files and NATS
	}
	return l
}

// listen listens for HTTP, or for HTTPS where there is a certificate.
func (s *server) listen() (net.Listener, error) {
	if s.cfg.TLSCert == "" {
		return net.Listen("tcp", s.cfg.Listen.String())
	}
	certificate := &certificate{certFile: string(s.cfg.TLSCert), keyFile: string(s.cfg.TLSKey)}
	if err := certificate.load(); err != nil {
		return nil, fmt.Errorf("load tls-cert and tls-key: %w", err)
	}
	l, err := net.Listen("tcp", s.cfg.Listen.String())
	if err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, s.stopCertificate = context.WithCancel(context.Background())
	s.running.Go(func() { certificate.follow(ctx, certificatePeriod, s.log) })
	return tls.NewListener(l, &tls.Config{
		GetCertificate: certificate.get,
		NextProtos:     []string{"h2", "http/1.1"},
		MinVersion:     tls.VersionTLS12,
	}), nil
}

// stopGateway cuts the streams over the drain time, and lets requests end for the
// shutdown time-out. What takes longer is cut, which is what was configured and no
// error.
func (s *server) stopGateway() error {
	if s.stopCertificate != nil {
		s.stopCertificate()
	}
	if s.gateway == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTime+s.cfg.ShutdownTimeout)
	defer cancel()
	if err := s.gateway.Shutdown(ctx); err != nil {
		s.log.Warn("cut the requests that had not ended", "err", err)
	}
	return nil
}

// logReady writes the one line that says where everything is.
func (s *server) logReady() {
	stats := s.ring.Stats()
	s.log.Info("ringcast is ready",
		"url", s.pageURL(),
		"nats", config.RedactURLs(s.natsURL()),
		"stream", s.cfg.Stream,
		"subjects", s.cfg.Served(),
		"ring_events", stats.Events,
		"ring_head", stats.Bounds.Head,
		"ring_max_events", s.cfg.RingMaxEvents,
		"ring_max_bytes", s.cfg.RingMaxBytes.String(),
		"ring_max_age", s.cfg.RingMaxAge.String(),
	)
}

// pageURL returns the URL of the page as one can open it on this machine.
func (s *server) pageURL() string {
	addr := s.listener.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if s.cfg.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(addr.Port)) + "/"
}
