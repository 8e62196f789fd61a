// Command floor is what the benchmark measures servers against: it does nothing
// but what none of them can do without.
//
//	floor            serve HTTP: one write(2) for each client and event
//	floor jetstream  an embedded NATS server with a stream that nobody reads
//
// It prints its URL, on a free port of 127.0.0.1, and runs until it is killed. It
// keeps nothing, checks nothing and waits for a client that does not read.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"

	"ringcast/transport/jetstream"
)

func main() {
	err := fmt.Errorf("usage: floor [jetstream DIR]")
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	f := &floor{clients: make(map[string][]*client)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sub/{id}", f.subscribe)
	mux.HandleFunc("POST /pub/{id}", f.publish)
	return http.Serve(listener, mux)
}

type floor struct {
	mu      sync.Mutex // guards what follows; held while an event is written
	clients map[string][]*client
	events  int
}

type client struct {
	conn net.Conn
	fd   int
}

func (f *floor) subscribe(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return
	}
	c := &client{conn: conn}
	if raw.Control(func(fd uintptr) { c.fd = int(fd) }) != nil {
		return
	}
	f.mu.Lock() // an event comes after the head
	defer f.mu.Unlock()
	f.clients[r.PathValue("id")] = append(f.clients[r.PathValue("id")], c)
	io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
}

func (f *floor) publish(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events++
	event := "data: " + string(body) + "\nid: " + strconv.Itoa(f.events) + "\n\n"
	chunk := fmt.Appendf(nil, "%x\r\n%s\r\n", len(event), event)
	for _, c := range f.clients[r.PathValue("id")] {
		c.write(chunk)
	}
}

// write makes one write(2). Only where the socket's buffer is full it waits.
func (c *client) write(chunk []byte) {
	n, err := syscall.Write(c.fd, chunk)
	if err == syscall.EAGAIN || err == nil && n < len(chunk) {
		_, _ = c.conn.Write(chunk[max(n, 0):]) // a client that has gone costs the write and no more
	}
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
