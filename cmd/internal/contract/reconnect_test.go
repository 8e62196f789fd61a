package contract_test

import (
	"io"
	"testing"
)

// The harness's "reconnection".
func TestContract_Reconnect(t *testing.T) {
	s := start(t, io.Discard)
	soon := params{"initialDelayMs": 0}
	t.Run("restart", func(t *testing.T) {
		f := s.follow(t, soon)
		f.connected().send("id: 1\ndata: Hello\n\n")
		f.reported(typed("message", "Hello", "1"))
		f.command(params{"command": "restart"})
		again := f.connected()
		checkHeader(t, again, "Last-Event-Id", "1")
		again.send("data: Thanks\n\n")
		f.reported(typed("message", "Thanks", "1")) // it is no error
	})
	t.Run("restart of a client that waits", func(t *testing.T) {
		f := s.follow(t, params{"initialDelayMs": 3_600_000})
		f.connected().cut()
		f.failed()
		f.command(params{"command": "restart"})
		f.connected()
	})
	t.Run("the last id", func(t *testing.T) {
		f := s.follow(t, soon)
		c := f.connected()
		checkHeader(t, c, "Last-Event-Id")
		c.send("id: abc\ndata: Hello\n\n")
		f.reported(typed("message", "Hello", "abc"))
		c.cut()
		checkHeader(t, f.connected(), "Last-Event-Id", "abc")
	})
	t.Run("the last id of an earlier event", func(t *testing.T) {
		f := s.follow(t, soon)
		c := f.connected()
		c.send("id: abc\ndata: Hello\n\n", "data: World\n\n")
		f.reported(typed("message", "Hello", "abc"), typed("message", "World", "abc"))
		c.cut()
		checkHeader(t, f.connected(), "Last-Event-Id", "abc")
	})
	t.Run("an id taken back", func(t *testing.T) {
		f := s.follow(t, soon)
		c := f.connected()
		c.send("id: abc\ndata: Hello\n\n", "id: \ndata: World\n\n")
		f.reported(typed("message", "Hello", "abc"), message("World"))
		c.cut()
		checkHeader(t, f.connected(), "Last-Event-Id")
	})
	t.Run("the body again", func(t *testing.T) {
		f := s.follow(t, params{"initialDelayMs": 0, "method": "POST", "body": `{"hello": "world"}`})
		f.connected().cut()
		if c := f.connected(); c.Method != "POST" || c.Body != `{"hello": "world"}` {
			t.Errorf("%s with body %q", c.Method, c.Body)
		}
	})
	t.Run("read timeout", func(t *testing.T) {
		f := s.follow(t, params{"initialDelayMs": 0, "readTimeoutMs": 200})
		f.connected().send("data: Hello\n\n")
		f.reported(message("Hello"))
		if got := f.failed(); got != "no byte within the idle timeout" {
			t.Errorf("error %q", got)
		}
		f.connected()
	})
	t.Run("a message cut in the middle", func(t *testing.T) {
		f := s.follow(t, soon)
		c := f.connected()
		c.send("id: abc\ndata: Hello\n\nid: def\ndata: Goodbye")
		f.reported(typed("message", "Hello", "abc"))
		c.cut()
		f.failed()
		again := f.connected()
		checkHeader(t, again, "Last-Event-Id", "abc")
		again.send("data: We meet again\n\n")
		f.reported(typed("message", "We meet again", "abc"))
	})
	t.Run("the new connection works", func(t *testing.T) {
		f := s.follow(t, soon)
		c := f.connected()
		c.send("id: abc\ndata: Hello\n\n")
		f.reported(typed("message", "Hello", "abc"))
		c.cut()
		f.failed()
		f.connected().send("id: def\ndata: World\n\n")
		f.reported(typed("message", "World", "def"))
	})
}
