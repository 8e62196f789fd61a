package contract_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ringcast/cmd/internal/contract"
)

func TestService_Status(t *testing.T) {
	s := start(t, io.Discard)
	_, body := s.expect("GET", s.url+"/", nil, 200)
	var status struct{ Capabilities []string }
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"bom", "comments", "event-type-listeners", "headers", "last-event-id", "post", "read-timeout", "report",
		"restart", "server-directed-shutdown-request",
	}
	if diff := cmp.Diff(want, status.Capabilities); diff != "" {
		t.Errorf("capabilities (-want +got):\n%s", diff)
	}
}

// What the harness sends beside what it must: null for a number that is not set,
// and names that later versions may add.
func TestService_Create(t *testing.T) {
	s := start(t, io.Discard)
	f := s.follow(t, params{"initialDelayMs": nil, "readTimeoutMs": nil, "headers": nil, "later": 1})
	if !strings.HasPrefix(f.location, s.url+"/streams/") {
		t.Errorf("location %q", f.location)
	}
	f.connected()
}

func TestService_refuses(t *testing.T) {
	s := start(t, io.Discard)
	t.Run("parameters", func(t *testing.T) {
		for _, body := range []string{
			"", "{", "null", `{}`,
			`{"streamUrl":"http://127.0.0.1/"}`,
			`{"callbackUrl":"http://127.0.0.1/"}`,
			`{"streamUrl":"ftp://127.0.0.1/","callbackUrl":"http://127.0.0.1/"}`,
			`{"streamUrl":"http://%zz/","callbackUrl":"http://127.0.0.1/"}`,
			`{"streamUrl":"http://127.0.0.1/","callbackUrl":"/here"}`,
			`{"streamUrl":"http://127.0.0.1/","callbackUrl":"http://127.0.0.1/","initialDelayMs":-1}`,
			`{"streamUrl":"http://127.0.0.1/","callbackUrl":"http://127.0.0.1/","readTimeoutMs":"soon"}`,
		} {
			s.expect("POST", s.url+"/", body, 400)
		}
	})
	t.Run("commands", func(t *testing.T) {
		f := s.follow(t, nil)
		for _, body := range []string{"", "{", `{}`, `{"command":"jump"}`, `{"command":"listen"}`} {
			f.expect("POST", f.location, body, 400)
		}
	})
	t.Run("streams that are not there", func(t *testing.T) {
		gone := s.url + "/streams/0"
		s.expect("POST", gone, `{"command":"restart"}`, 404)
		s.expect("DELETE", gone, nil, 404)
	})
}

// A client that cannot go on says so, and its stream is there until it is deleted.
func TestService_reports_the_end(t *testing.T) {
	s := start(t, io.Discard)
	f := &follower{t: t}
	refusing := f.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	if got := s.follow(t, params{"streamUrl": refusing}).failed(); got != "server answered 403 Forbidden" {
		t.Errorf("error %q", got)
	}
}

func TestService_logs_what_was_not_reported(t *testing.T) {
	failed := newUntil("callback failed")
	s := start(t, failed)
	f := &follower{t: t}
	refusing := f.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	s.follow(t, params{"callbackUrl": refusing}).connected().send("data: a\n\n")
	if line := await(t, failed.seen); !strings.Contains(line, "400 Bad Request") || !strings.Contains(line, t.Name()) {
		t.Errorf("log %s", line)
	}
}

// Streams under way do not keep it from ending; and nothing is left (goleak).
func TestServe_ends(t *testing.T) {
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- contract.Serve(ctx, l, slog.New(slog.DiscardHandler)) }()
	transport := &http.Transport{DisableKeepAlives: true}
	f := &follower{
		service:     &service{t: t, url: "http://" + l.Addr().String(), http: &http.Client{Transport: transport}},
		t:           t,
		connections: make(chan *connection, 1),
	}
	f.expect("POST", f.url+"/", params{"streamUrl": f.serve(f.stream), "callbackUrl": "http://127.0.0.1/"}, 201)
	f.connected()
	cancel()
	if err := await(t, ended); err != nil {
		t.Error(err)
	}
}

func TestServe_fails(t *testing.T) {
	l := listen(t)
	l.Close()
	if err := contract.Serve(t.Context(), l, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("served on a listener that is closed")
	}
}
