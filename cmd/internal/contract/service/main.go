// Command service serves the service protocol of the SSE contract tests for
// Ringcast's own client, on the loopback interface, until it is interrupted or told
// to end.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"

	"ringcast/cmd/internal/contract"
)

func main() {
	port := flag.Int("port", 8000, "the port to listen on")
	flag.Parse()
	if err := run(*port); err != nil {
		fmt.Fprintln(os.Stderr, "contract service:", err)
		os.Exit(1)
	}
}

func run(port int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	log.Info("serving", "url", "http://"+l.Addr().String())
	return contract.Serve(ctx, l, log)
}
