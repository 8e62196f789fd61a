package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"ringcast/cmd/internal/metrics"
)

func newMetrics() *metrics.Metrics {
	b := version()
	return metrics.New(metrics.Build{Version: b.version, Commit: b.commit})
}

// Limits of the requests of an operator. There is none for an answer: a profile takes
// as long as it is asked to.
const (
	adminHeaderTimeout  = 10 * time.Second
	adminIdleTimeout    = 2 * time.Minute
	adminMaxHeaderBytes = 16 << 10
)

// startAdmin serves what is an operator's alone, on an address that is for nobody else.
// It is there before the gateway takes clients, and until those have been cut.
func (s *server) startAdmin(context.Context) error {
	if !s.cfg.AdminListen.Set {
		return nil
	}
	l, err := net.Listen("tcp", s.cfg.AdminListen.Address.String())
	if err != nil {
		return fmt.Errorf("start admin listener: %w", err)
	}
	s.admin = &http.Server{
		Handler:           s.adminRoutes(),
		ReadHeaderTimeout: adminHeaderTimeout,
		IdleTimeout:       adminIdleTimeout,
		MaxHeaderBytes:    adminMaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.log.Info("serving metrics and profiles", "url", "http://"+l.Addr().String()+"/")
	s.running.Go(func() {
		if err := s.admin.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serve metrics and profiles: %w", err)
		}
	})
	return nil
}

// adminRoutes lists everything the admin listener answers. Of pprof's there is no
// cmdline: flags may have a password among them.
func (s *server) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler(s.log))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // fails only with the connection
	})
	return mux
}

// stopAdmin cuts what is being asked: a profile may have minutes to go.
func (s *server) stopAdmin() error {
	if s.admin != nil {
		_ = s.admin.Close() // of a listener that nobody needs any more
	}
	return nil
}
