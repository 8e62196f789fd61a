//go:build linux

package faults

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// newEcho returns the address of a server that sends back what it gets.
func newEcho(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // until the other side has left
			})
		}
	})
	return l.Addr().String()
}

func newTestLink(t *testing.T, target string) *link {
	k, err := newLink("test", target, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.setSilent(false)
		k.close()
	})
	return k
}

// caller is a connection through a link.
type caller struct {
	net.Conn
	t *testing.T
}

func call(t *testing.T, k *link) caller {
	t.Helper()
	conn, err := net.Dial("tcp", k.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return caller{conn, t}
}

func (c caller) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c caller) hear() (string, error) { return bufio.NewReader(c).ReadString('\n') }

func (c caller) expect(text string) {
	c.t.Helper()
	if got, err := c.hear(); err != nil || got != text+"\n" {
		c.t.Fatalf("heard %q, %v, want %q", got, err, text)
	}
}

func TestLink(t *testing.T) {
	t.Run("cut resets what is open and refuses", func(t *testing.T) {
		k := newTestLink(t, newEcho(t))
		c := call(t, k)
		c.say("a")
		c.expect("a")
		k.setCut(true)
		if got, err := c.hear(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("heard %q, %v", got, err)
		}
		if _, err := net.Dial("tcp", k.addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("connecting: %v", err)
		}
		k.setCut(false)
		again := call(t, k)
		again.say("b")
		again.expect("b")
	})
	t.Run("silent holds what is sent until it ends", func(t *testing.T) {
		k := newTestLink(t, newEcho(t))
		c := call(t, k)
		c.say("a")
		c.expect("a")
		k.setSilent(true)
		heard := make(chan string)
		go func() {
			got, _ := c.hear() // nothing, where it fails
			heard <- got
		}()
		c.say("b")
		k.setSilent(false)
		if got := <-heard; got != "b\n" {
			t.Errorf("heard %q", got)
		}
	})
	t.Run("silent answers nobody who connects", func(t *testing.T) {
		k := newTestLink(t, newEcho(t))
		k.setSilent(true)
		// One or two get a place to wait in; then the kernel drops what comes.
		var err error
		for range 5 {
			var conn net.Conn
			if conn, err = net.DialTimeout("tcp", k.addr, 200*time.Millisecond); err != nil {
				break
			}
			defer conn.Close()
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("connecting: %v", err)
		}
	})
	t.Run("delayed, nothing comes before its time", func(t *testing.T) {
		const delay = 50 * time.Millisecond
		k := newTestLink(t, newEcho(t))
		k.setDelay(delay)
		c := call(t, k)
		began := time.Now()
		c.say("a")
		c.expect("a")
		if took := time.Since(began); took < 2*delay {
			t.Errorf("there and back in %s", took)
		}
	})
	t.Run("without its target it refuses", func(t *testing.T) {
		k := newTestLink(t, newEcho(t))
		k.setUp(false)
		if _, err := net.Dial("tcp", k.addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("connecting: %v", err)
		}
	})
}
