package main

import (
	"context"

	"ringcast/cmd/internal/telemetry"
	"ringcast/transport/tracing"
)

// startTracing exports traces, where the environment asks for them.
func (s *server) startTracing(ctx context.Context) (err error) {
	if s.traces, err = telemetry.Start(ctx, version().version, s.log); err == nil && s.traces != nil {
		s.tracing = tracing.New(s.traces.Provider())
	}
	return err
}

func (s *server) stopTracing() error {
	s.traces.Stop()
	return nil
}
