package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The variables that are looked at here. The SDK reads the others: of the exporter,
// OTEL_TRACES_SAMPLER, OTEL_BSP_…, OTEL_SPAN_….
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

const (
	exporterOTLP = "otlp"
	exporterNone = "none"
	protocolHTTP = "http/protobuf"
)

// Traces is an export of traces that goes on until Stop.
type Traces struct {
	provider *sdktrace.TracerProvider
}

// Start begins to export traces, if the environment asks for it; if not, it returns
// nil. What it asks for that there is not is a warning, as the standard has it: the
// variables may be the same for all programs of a cluster.
func Start(ctx context.Context, version string, log *slog.Logger) (*Traces, error) {
	if !wanted(log) {
		return nil, nil
	}
	if err := checkEndpoint(); err != nil {
		return nil, err
	}
	otel.SetLogger(logr.Discard()) // it would repeat OTEL_EXPORTER_OTLP_HEADERS where it cannot read them
	otel.SetErrorHandler(&reporter{log: log})
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("make OTLP exporter: %w", err)
	}
	about, err := describe(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("describe the program to OpenTelemetry: %w", err)
	}
	log.Info("traces are exported")
	return &Traces{sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))}, nil
}

// wanted reports whether the environment asks for traces.
func wanted(log *slog.Logger) bool {
	if strings.EqualFold(os.Getenv(envDisabled), "true") {
		return false
	}
	switch exporter := os.Getenv(envExporter); {
	case exporter == exporterNone:
		return false
	case exporter == "" && os.Getenv(envEndpoint) == "" && os.Getenv(envTracesEndpoint) == "":
		return false
	case exporter != "" && exporter != exporterOTLP:
		log.Warn("no traces: "+envExporter+" can be otlp or none", "value", exporter)
		return false
	}
	if protocol := cmp.Or(os.Getenv(envTracesProtocol), os.Getenv(envProtocol)); protocol != "" && protocol != protocolHTTP {
		log.Warn("traces go by http/protobuf: "+envTracesProtocol+" and "+envProtocol+" can be nothing else", "value", protocol)
	}
	return true
}

// checkEndpoint finds an endpoint that the exporter would take for localhost.
func checkEndpoint() error {
	for _, name := range []string{envTracesEndpoint, envEndpoint} {
		value := strings.TrimSpace(os.Getenv(name))
		if u, err := url.Parse(value); value != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return errors.New(name + " is no URL such as http://collector:4318") // it may have a password in it
		}
	}
	return nil
}

// describe returns what the traces say about who made them; the environment
// (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) has the last word.
func describe(ctx context.Context, version string) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(), // tells instances apart
		resource.WithAttributes(semconv.ServiceName("ringcast"), semconv.ServiceVersion(version)),
		resource.WithFromEnv(),
	)
}

// Provider returns what makes the traces' spans.
func (t *Traces) Provider() trace.TracerProvider { return t.provider }

// stopTimeout bounds the wait for a collector when the program ends.
const stopTimeout = 3 * time.Second

// Stop exports what is left. A collector that does not take it is no error of the
// program's.
func (t *Traces) Stop() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}

// reportInterval is how often it is said that traces cannot be exported: the exporter
// tries every five seconds.
const reportInterval = time.Minute

// reporter logs what OpenTelemetry cannot do.
type reporter struct {
	log *slog.Logger

	mu   sync.Mutex // guards last; nothing blocks while it is held
	last time.Time
}

// Handle implements otel.ErrorHandler.
func (r *reporter) Handle(err error) {
	r.mu.Lock()
	quiet := time.Since(r.last) < reportInterval
	if !quiet {
		r.last = time.Now()
	}
	r.mu.Unlock()
	if !quiet {
		r.log.Warn("traces cannot be exported", "err", err)
	}
}
