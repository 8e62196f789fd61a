package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// capabilities are the optional parts of the tests that the client is there for.
// event-type-listeners is the service's part: the client hands over every type, and
// the service passes on those listened for, as a caller's switch would.
var capabilities = []string{
	"bom",
	"comments",
	"event-type-listeners",
	"headers",
	"last-event-id",
	"post",
	"read-timeout",
	"report",
	"restart",
	"server-directed-shutdown-request",
}

// Serve serves the protocol on l until ctx is done or a DELETE / asks for the end,
// then ends every stream and closes l. It returns an error only where l fails.
func Serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	s := &service{
		log:     log,
		http:    &http.Client{Transport: transport},
		stop:    stop,
		streams: map[string]*stream{},
	}
	defer s.closeStreams()
	return serveHTTP(ctx, l, s.routes())
}

// serveHTTP serves until ctx is done, and answers what has been asked by then.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	err := server.Shutdown(context.Background())
	<-served
	return err
}

// service is the state behind the routes.
type service struct {
	log  *slog.Logger
	http *http.Client // for streams and callbacks
	stop func()       // ends Serve

	mu      sync.Mutex // guards what follows; nothing is awaited under it
	streams map[string]*stream
	made    int
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.status)
	mux.HandleFunc("POST /{$}", s.create)
	mux.HandleFunc("DELETE /{$}", s.end)
	mux.HandleFunc("POST /streams/{id}", s.command)
	mux.HandleFunc("DELETE /streams/{id}", s.closeStream)
	return mux
}

// GET /
func (s *service) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body, err := json.Marshal(map[string]any{"name": "ringcast", "capabilities": capabilities})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(body)
}

// DELETE /
func (s *service) end(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNoContent)
	s.stop()
}

// POST /
//
// Location is an absolute URL: the harness puts a relative one behind its own URL
// of the service as it was given, with a slash at its end or without.
func (s *service) create(w http.ResponseWriter, r *http.Request) {
	var p parameters
	err := json.NewDecoder(r.Body).Decode(&p)
	if err == nil {
		err = p.check()
	}
	if err != nil {
		http.Error(w, "read parameters: "+err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.made++
	id := strconv.Itoa(s.made)
	s.streams[id] = startStream(p, s.http, s.log.With("stream", id, "tag", p.Tag))
	s.mu.Unlock()
	w.Header().Set("Location", "http://"+r.Host+"/streams/"+id)
	w.WriteHeader(http.StatusCreated)
}

// POST /streams/{id}
func (s *service) command(w http.ResponseWriter, r *http.Request) {
	st := s.stream(r.PathValue("id"))
	if st == nil {
		http.NotFound(w, r)
		return
	}
	var c command
	err := json.NewDecoder(r.Body).Decode(&c)
	if err == nil {
		err = st.obey(c)
	}
	if err != nil {
		http.Error(w, "read command: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// DELETE /streams/{id}
//
// A stream that has come to its end by itself is still there to be deleted.
func (s *service) closeStream(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	st := s.stream(id)
	if st == nil {
		http.NotFound(w, r)
		return
	}
	st.close()
	s.mu.Lock()
	delete(s.streams, id)
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// stream returns nil where there is none with this id.
func (s *service) stream(id string) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[id]
}

// closeStreams is called when no route is served any more.
func (s *service) closeStreams() {
	for _, st := range s.streams {
		st.close()
	}
}

// command is the body of a POST to a stream.
type command struct {
	Command string `json:"command"`
	Listen  *struct {
		Type string `json:"type"`
	} `json:"listen"`
}

var errNoType = errors.New("listen: no type")
