package jetstream_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringcast/transport/jetstream"
)

func TestStartEmbedded(t *testing.T) {
	t.Run("a_clean_restart_keeps_the_data", func(t *testing.T) {
		s := startServer(t)
		c := connect(t, s.ClientURL())
		ensure(t, c)
		publish(t, c, "events.a", "a", 5)
		c.Close()
		s.stop()
		s.start()
		c = connect(t, s.ClientURL())
		ensure(t, c)
		if last := publish(t, c, "events.a", "b", 1); last != 6 {
			t.Errorf("the next event got %d, want 6", last)
		}
	})

	t.Run("port_taken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		port := l.Addr().(*net.TCPAddr).Port
		dir := t.TempDir()
		_, err = jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: dir, Port: port})
		if err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), fmt.Sprint(port)) {
			t.Fatalf("got error %v", err)
		}
		// Nothing is left behind: the store can be used at once.
		e, err := jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: dir, Port: -1})
		if err != nil {
			t.Fatal(err)
		}
		e.Shutdown()
		e.Shutdown()
	})

	t.Run("store_in_use", func(t *testing.T) {
		s := startServer(t)
		_, err := jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: s.dir, Port: -1})
		if err == nil || !strings.Contains(err.Error(), "another process uses it") {
			t.Errorf("got error %v", err)
		}
	})

	t.Run("JetStream_fails", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "jetstream"), []byte("in the way"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: dir, Port: -1})
		if err == nil || !strings.Contains(err.Error(), "JetStream") {
			t.Errorf("got error %v", err)
		}
	})

	t.Run("store_is_a_file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: file, Port: -1}); err == nil {
			t.Error("started")
		}
	})

	t.Run("logs_notices_at_debug_only", func(t *testing.T) {
		log := &logBuffer{}
		e, err := jetstream.StartEmbedded(jetstream.EmbeddedOptions{StoreDir: t.TempDir(), Port: -1, Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		e.Shutdown()
		for line := range strings.Lines(log.String()) {
			if !strings.Contains(line, "level=DEBUG") {
				t.Errorf("an ordinary start and stop logs %s", line)
			}
		}
		if log.String() == "" {
			t.Error("nothing is logged at debug level")
		}
	})
}
