package jetstream_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"ringcast/transport/jetstream"
)

// freePort returns a port that nobody listens on now.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func TestConnect(t *testing.T) {
	t.Run("an_unreachable_server_is_waited_for", func(t *testing.T) {
		port := freePort(t)
		log := &logBuffer{}
		c, err := jetstream.Connect(testContext(t), jetstream.Options{URL: fmt.Sprintf("nats://127.0.0.1:%d", port), Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if st := c.Status(); st.Connected || st.LastError == "" || st.Server != "" {
			t.Errorf("status %+v", st)
		}
		plainServer(t, &server.Options{Port: port})
		awaitThat(t, "connection", func() bool { return c.Status().Connected })
		if st := c.Status(); st.LastError != "" || !strings.Contains(st.Server, fmt.Sprint(port)) {
			t.Errorf("status %+v", st)
		}
		awaitThat(t, "the log", func() bool { return strings.Count(log.String(), "connected to NATS") == 1 })
	})

	t.Run("refused_credentials_are_permanent", func(t *testing.T) {
		url := plainServer(t, &server.Options{Username: "u", Password: "right"})
		_, err := jetstream.Connect(testContext(t), jetstream.Options{URL: strings.Replace(url, "//", "//u:wrong@", 1)})
		wantError(t, err, jetstream.ErrConfig)
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization") || strings.Contains(err.Error(), "wrong") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("what_is_misconfigured_is_permanent", func(t *testing.T) {
		url := plainServer(t, &server.Options{})
		for name, opt := range map[string]jetstream.Options{
			"no_such_creds": {URL: url, CredsFile: "/nonexistent.creds"},
			"no_such_ca":    {URL: url, TLSCA: "/nonexistent.pem"},
			"no_such_cert":  {URL: url, TLSCert: "/nonexistent.pem", TLSKey: "/nonexistent.key"},
			"bad_url":       {URL: "nats://exa mple:99999999"},
		} {
			c, err := jetstream.Connect(testContext(t), opt)
			if !errors.Is(err, jetstream.ErrConfig) {
				t.Errorf("%s: got error %v", name, err)
			}
			if err == nil {
				c.Close()
			}
		}
	})

	t.Run("each_event_is_logged_once", func(t *testing.T) {
		s := startServer(t)
		log := &logBuffer{}
		c, err := jetstream.Connect(testContext(t), jetstream.Options{URL: s.ClientURL(), Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s.stop()
		awaitThat(t, "a failed attempt", func() bool { return strings.Contains(c.Status().LastError, "refused") })
		s.start()
		awaitThat(t, "reconnect", func() bool { return c.Status().Connected && strings.Count(log.String(), "connected to NATS") == 2 })
		if n := strings.Count(log.String(), "lost the connection"); n != 1 {
			t.Errorf("%d lines on one lost connection:\n%s", n, log)
		}
		if n := c.Status().Reconnects; n != 1 {
			t.Errorf("%d reconnects counted", n)
		}
	})
}

// Rule: credentials in a URL are in no log line, status or error.
func TestConnect_redacts_credentials(t *testing.T) {
	const secret = "s3cr%40t!pass" // "s3cr@t!pass", percent-encoded
	spellings := []string{secret, "s3cr@t!pass", "tok3n-value"}
	check := func(t *testing.T, what string) {
		t.Helper()
		for _, s := range spellings {
			if strings.Contains(what, s) {
				t.Errorf("%q shows in %s", s, what)
			}
		}
	}
	port := freePort(t)
	urls := map[string]string{
		"unreachable":        fmt.Sprintf("nats://user:%s@127.0.0.1:%d", secret, port),
		"token":              fmt.Sprintf("nats://tok3n-value@127.0.0.1:%d", port),
		"several":            fmt.Sprintf("nats://127.0.0.1:%d, nats://user:%s@127.0.0.1:%d", port, secret, port),
		"unparsable":         "nats://user:" + secret + "@host:port",
		"unparsable_escape":  "nats://user:s3cr@t!pass%zz@host:4222",
		"unparsable_control": "nats://user:s3cr@t!pass\x7f@host:4222",
	}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			log := &logBuffer{}
			c, err := jetstream.Connect(testContext(t), jetstream.Options{URL: url, Logger: log.logger()})
			if err != nil {
				check(t, fmt.Sprintf("%v %+v %#v", err, err, err.Error()))
				for ; err != nil; err = errors.Unwrap(err) {
					check(t, err.Error())
				}
			} else {
				check(t, fmt.Sprintf("%+v", c.Status()))
				check(t, fmt.Sprint(c.EnsureStream(testContext(t), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})))
				c.Close()
			}
			check(t, log.String())
		})
	}
	t.Run("connected_and_cut", func(t *testing.T) {
		log := &logBuffer{}
		opt := &server.Options{Username: "user", Password: "s3cr@t!pass", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true}
		s, err := server.NewServer(opt)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if !s.ReadyForConnections(patience) {
			t.Fatal("server is not ready")
		}
		c, err := jetstream.Connect(testContext(t), jetstream.Options{URL: strings.Replace(s.ClientURL(), "//", "//user:"+secret+"@", 1), Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		if !c.Status().Connected {
			t.Error("not connected")
		}
		check(t, fmt.Sprintf("%+v", c.Status()))
		s.Shutdown()
		s.WaitForShutdown()
		awaitThat(t, "disconnect", func() bool { return !c.Status().Connected })
		check(t, fmt.Sprintf("%+v", c.Status()))
		c.Close()
		check(t, log.String())
	})
}

// What a gateway may not publish, and tries every other second, is said once.
func TestClient_missing_permission(t *testing.T) {
	url := plainServer(t, &server.Options{Users: []*server.User{{
		Username: "u", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"_ringcast.>"}}},
	}}})
	log := &logBuffer{}
	c, err := jetstream.Connect(testContext(t), jetstream.Options{URL: strings.Replace(url, "//", "//u:p@", 1), Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, subject := range []string{"_ringcast.E.beat", "_ringcast.E.beat", "_ringcast.E.beat", "_ringcast.E.ask.x"} {
		if err := c.Core().Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	awaitThat(t, "the last to be said", func() bool { return strings.Contains(log.String(), "_ringcast.E.ask.x") })
	if n := strings.Count(log.String(), "_ringcast.E.beat"); n != 1 {
		t.Errorf("said %d times: %s", n, log)
	}
}
