//go:build linux

// Command floor is what the benchmark measures servers against: it does nothing
// but what none of them can do without.
//
//	floor                serve HTTP: one write(2) for each client and event
//	floor jetstream DIR  an embedded NATS server with a stream that nobody reads
//
// It prints its URL, on a free port of 127.0.0.1, and runs until it is killed. It
// keeps nothing, checks next to nothing, and waits for a client that does not read.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"ringcast/transport/jetstream"
)

func main() {
	err := errors.New("usage: floor [jetstream DIR]")
	switch {
	case len(os.Args) == 1:
		err = serve()
	case len(os.Args) == 3 && os.Args[1] == "jetstream":
		err = serveJetStream(os.Args[2])
	}
	fmt.Fprintln(os.Stderr, "floor:", err)
	os.Exit(1)
}

func serve() error {
	f, err := listen()
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Println(f.url)
	return f.run()
}

// serveJetStream starts what `ringcast serve` embeds, without the rest of it.
func serveJetStream(dir string) error {
	log := slog.New(slog.DiscardHandler)
	server, err := jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: dir, Host: "127.0.0.1", Port: -1, Logger: log})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	client, err := jetstream.Connect(context.Background(), jetstream.Options{URL: server.ClientURL(), Logger: log})
	if err != nil {
		return err
	}
	defer client.Close()
	err = client.EnsureStream(context.Background(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}})
	if err != nil {
		return err
	}
	fmt.Println(server.ClientURL())
	select {}
}
