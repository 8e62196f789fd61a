package gateway_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ringcast/broker"
	"ringcast/replay"
	"ringcast/transport/gateway"
)

// A plain PUB on a raw socket is all that a producer needs.
func TestStream_CorePublish(t *testing.T) {
	r := newRig(t)
	s := r.subscribe("subject=events.x")
	s.primed()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.embedded.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "CONNECT {\"verbose\":false}\r\nPUB events.x 5\r\nHello\r\nPUB events.y 3\r\nnot\r\nPUB events.x 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Hello", ""} {
		m := s.next()
		if _, err := broker.ParseID(m.LastEventID); err != nil || string(m.Data) != want || m.Type != "message" {
			t.Errorf("got %+v, want %q with an id", m, want)
		}
	}
}

// PROTOCOL.md, "Events".
func TestStream_Payloads(t *testing.T) {
	r := newRig(t)
	s := r.subscribe("subject=events.>")
	s.primed()
	big := strings.Repeat("0123456789abcdef", 1<<16)
	for _, tc := range []struct{ name, data, want string }{
		{"leading spaces", "  a", "  a"},
		{"blank lines", "\n\na\n\n", "\n\na\n\n"},
		{"CR", "a\rb", "a\nb"},
		{"CRLF", "a\r\nb\r\n", "a\nb\n"},
		{"emoji", "🦀 ünï", "🦀 ünï"},
		{"looks like a field", "id: 7\nevent: x", "id: 7\nevent: x"},
		{"NUL and a byte order mark", "\ufeff\x00", "\ufeff\x00"},
		{"empty", "", ""},
		{"1 MiB", big, big},
	} {
		id := r.publish("events.x", tc.data)
		m := s.next()
		if string(m.Data) != tc.want || m.LastEventID != id.String() {
			t.Errorf("%s: got %.40q with id %s, want %.40q with %s", tc.name, m.Data, m.LastEventID, tc.want, id)
		}
	}

	t.Run("binary", func(t *testing.T) {
		id := r.publish("events.x", "\xff\x00\xfe", "Ringcast-Event", "blob")
		m := s.next()
		var got map[string]string
		if err := json.Unmarshal(m.Data, &got); err != nil {
			t.Fatalf("%s: %v", m.Data, err)
		}
		want := map[string]string{
			"id": id.String(), "subject": "events.x", "type": "blob", "time": id.Time().Format(time.RFC3339Nano),
			"data_base64": base64.StdEncoding.EncodeToString([]byte("\xff\x00\xfe")),
		}
		if diff := cmp.Diff(want, got); diff != "" || m.Type != "blob" {
			t.Errorf("type %s (-want +got):\n%s", m.Type, diff)
		}
	})
	t.Run("named", func(t *testing.T) {
		r.publish("events.x", "1", "Ringcast-Event", "add")
		if m := s.next(); m.Type != "add" || string(m.Data) != "1" {
			t.Errorf("got %+v", m)
		}
	})
	t.Run("a reserved name is not passed on", func(t *testing.T) {
		r.publish("events.x", "forged", "Ringcast-Event", "ringcast.gap")
		if m := s.next(); m.Type != "message" {
			t.Errorf("got %+v", m)
		}
	})
	t.Run("cloudevents", func(t *testing.T) {
		ce := r.subscribe("subject=events.x&format=cloudevents")
		ce.primed()
		id := r.publish("events.x", `{"a": [1]}`, "Ringcast-Event", "add")
		m := ce.next()
		want := fmt.Sprintf(`{"specversion":"1.0","id":"%s","source":"urn:ringcast:EVENTS","type":"add","subject":"events.x",`+
			`"time":"%s","datacontenttype":"application/json","data":{"a":[1]}}`, id, id.Time().Format(time.RFC3339Nano))
		if diff := cmp.Diff(jsonValue(t, []byte(want)), jsonValue(t, m.Data)); diff != "" || m.Type != "add" {
			t.Errorf("type %s (-want +got):\n%s", m.Type, diff)
		}
	})
}

func jsonValue(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

// Promises 1 and 2: whatever happens between, an id gets exactly the rest.
func TestStream_Resume(t *testing.T) {
	const n = 3000
	r := newRig(t, func(o *rigOptions) { o.ring = replay.Options{MaxEvents: 1000} })
	r.publishMany("events.x", n)
	all := r.page("subject=events.>&from=oldest&limit=1000")
	for last := all; len(last.Events) > 0; {
		last = r.page("subject=events.>&limit=1000&last_event_id=" + last.LastEventID)
		all.Events = append(all.Events, last.Events...)
	}
	if diff := cmp.Diff(numbers(0, n), all.data()); diff != "" {
		t.Fatalf("pages (-want +got):\n%s", diff)
	}
	check := func(t *testing.T) {
		for _, i := range []int{0, 1234, 1999, 2000, 2500, n - 2} {
			s := r.subscribe("subject=events.*", append([]string{"Last-Event-ID", all.Events[i].ID}, browser...)...)
			if diff := cmp.Diff(numbers(i+1, n), s.read(n-i-1)); diff != "" {
				t.Errorf("after event %d (-want +got):\n%s", i, diff)
			}
			s.close()
		}
	}
	t.Run("from a ring that holds a third of it", check)
	r.restart(nil)
	t.Run("after a restart, before anything new", check)
	r.restart(r.deleteRing)
	t.Run("after the ring was deleted", check)
	r.restart(func() { r.opts.ring = replay.Options{} })
	t.Run("with a larger ring than before", check)
}

// DESIGN "Ids", over HTTP: a gap is told on a 200.
func TestStream_Gaps(t *testing.T) {
	r := newRig(t, func(o *rigOptions) {
		o.stream.MaxEvents = 200
		o.ring.MaxEvents = 100
	})
	r.publishMany("events.x", 500)
	type told struct{ Reason, Requested, Oldest string }
	for _, tc := range []struct {
		id     string
		query  string
		reason string
		next   []string
	}{
		{"7-abc", "", "expired", numbers(300, 500)},
		{"0-0", "", "expired", numbers(300, 500)},
		{"450-abc", "&from=oldest", "reset", numbers(300, 500)},
		{"350-abc", "", "reset", []string{"new"}},
		{"501-abc", "", "reset", []string{"new"}},
		{"rubbish", "", "unknown", []string{"new"}},
		{"x\"\\,é", "", "unknown", []string{"new"}},
	} {
		t.Run(tc.reason+" "+tc.id, func(t *testing.T) {
			s := r.subscribe("subject=events.x"+tc.query, append([]string{"Last-Event-ID", tc.id}, browser...)...)
			if s.res.StatusCode != http.StatusOK {
				t.Fatal(s.res.Status)
			}
			m := s.next()
			var gap told
			if err := json.Unmarshal(m.Data, &gap); err != nil || m.Type != "ringcast.gap" {
				t.Fatalf("got %+v: %v", m, err)
			}
			if gap.Reason != tc.reason || gap.Requested != tc.id {
				t.Errorf("got %+v", gap)
			}
			if oldest := r.page("subject=events.x&from=oldest&limit=1").Events[0].ID; gap.Oldest != oldest {
				t.Errorf("oldest is %s, want %s", gap.Oldest, oldest)
			}
			if at, err := broker.ParseID(m.LastEventID); err != nil || at.Seq < 300 {
				t.Errorf("goes on from %q: %v", m.LastEventID, err)
			}
			if tc.next[0] == "new" {
				r.publish("events.x", "new")
			}
			if diff := cmp.Diff(tc.next, s.read(len(tc.next))); diff != "" {
				t.Errorf("after the gap (-want +got):\n%s", diff)
			}
			p := r.page("subject=events.x&limit=1" + tc.query + "&last_event_id=" + esc(tc.id))
			if p.Gap == nil || p.Gap.Reason != tc.reason {
				t.Errorf("page has gap %+v", p.Gap)
			}
		})
	}
}

// Promise 1: no id from beyond a gap comes before the gap, or a client that is cut off
// in between is never told.
func TestStream_GapBeforeItsID(t *testing.T) {
	r := newRig(t)
	r.publish("events.x", "old")
	for _, id := range []string{"1-z", "rubbish"} {
		s := r.subscribe("subject=events.x", append([]string{"Last-Event-ID", id}, browser...)...)
		var told bool
		for line := ""; !strings.HasPrefix(line, "id: "); line = s.line() {
			told = told || line == "event: ringcast.gap\n"
		}
		if !told {
			t.Errorf("resumed from %s: an id came before the gap", id)
		}
		s.close()
	}
}

// A client of a snapshot is given no id but its events': with any other it would
// lose the rest, were it cut off now.
func TestStream_SnapshotIDs(t *testing.T) {
	r := newRig(t)
	a, b := r.publish("events.a", "a"), r.publish("events.b", "b")
	s := r.subscribe("subject=events.*&from=last", append([]string{"Last-Event-ID", "9-z"}, browser...)...)
	s.expectBytes("retry: 50\n")
	if m := s.next(); m.Type != "ringcast.gap" || m.LastEventID != "" {
		t.Errorf("got %+v, want a gap without an id", m)
	}
	for _, want := range []broker.ID{a, b} {
		if m := s.next(); m.LastEventID != want.String() {
			t.Errorf("got %+v, want %s", m, want)
		}
	}
}

// PROTOCOL.md, "Priming, bookmarks and heartbeats", byte for byte.
func TestStream_Priming(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name, query string
		header      []string
		bookmark    string // what hands over an id, ID in it
	}{
		{"EventSource", "", browser, "id: ID\n\n"},
		{"other clients", "", nil, "id: ID\n"},
		{"block", "&bookmarks=block", nil, "id: ID\n\n"},
		{"line", "&bookmarks=line", browser, "id: ID\n"},
		{"off", "&bookmarks=off", browser, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bookmark := func(id broker.ID) string { return strings.ReplaceAll(tc.bookmark, "ID", id.String()) }
			s := r.subscribe("subject=events.quiet"+tc.query, tc.header...)
			opening := bookmark(r.hub.Head())
			if opening == "" {
				opening = ":\n" // a sign of life where there is nothing else to say
			}
			s.expectBytes("retry: 50\n" + opening + ":\n") // the last is the heartbeat
			moved := bookmark(r.publish("events.x", "other"))
			if moved == "" {
				moved = ":\n"
			}
			for line := s.line(); line != strings.SplitAfter(moved, "\n")[0]; line = s.line() {
				if line != ":\n" {
					t.Fatalf("got %q while quiet", line)
				}
			}
			if strings.HasSuffix(moved, "\n\n") {
				s.expectBytes("\n")
			}
			id := r.publish("events.quiet", "now")
			for line := s.line(); line != "data: now\n"; line = s.line() {
				if line != ":\n" {
					t.Fatalf("got %q while quiet", line)
				}
			}
			s.expectBytes("id: " + id.String() + "\n\n")
			s.close()
		})
	}
}

// line reads one line of the raw stream.
func (s *subscriber) line() string {
	s.t.Helper()
	var line []byte
	b := make([]byte, 1)
	for len(line) == 0 || line[len(line)-1] != '\n' {
		if _, err := io.ReadFull(s.res.Body, b); err != nil {
			s.t.Fatalf("read stream: %v after %q", err, line)
		}
		line = append(line, b[0])
	}
	return string(line)
}

func (s *subscriber) expectBytes(want string) {
	s.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(s.res.Body, got); err != nil || string(got) != want {
		s.t.Fatalf("got %q, %v, want %q", got[:n], err, want)
	}
}

// A client that was primed and had no event misses nothing.
func TestStream_ResumeFromPriming(t *testing.T) {
	r := newRig(t)
	s := r.subscribe("subject=events.x", browser...)
	id := s.primed()
	if id != "0-0" {
		t.Errorf("primed with %s on an empty log", id)
	}
	s.close()
	r.publishMany("events.x", 10)
	again := r.subscribe("subject=events.x", append([]string{"Last-Event-ID", id}, browser...)...)
	if diff := cmp.Diff(numbers(0, 10), again.read(10)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A quiet feed does not fall off the ring, nor off the stream.
func TestStream_QuietSubject(t *testing.T) {
	r := newRig(t, func(o *rigOptions) {
		o.ring.MaxEvents = 1000
		o.stream.MaxEvents = 1000
	})
	s := r.subscribe("subject=events.quiet", browser...)
	s.primed()
	r.publishMany("events.busy", 5000)
	for s.line() != fmt.Sprintf("id: %s\n", r.hub.Head()) {
	}
	s.close()
	id := r.hub.Head().String()
	r.publish("events.quiet", "heard")
	again := r.subscribe("subject=events.quiet", append([]string{"Last-Event-ID", id}, browser...)...)
	if m := again.next(); m.Type != "message" || string(m.Data) != "heard" {
		t.Errorf("got %+v, want no gap", m)
	}
}

// Who looks through a long history for a type that is rare gets signs of life, and
// does not begin anew when it is cut off.
func TestStream_LongSearch(t *testing.T) {
	r := newRig(t, func(o *rigOptions) {
		o.ring.MaxEvents = 100
		o.gateway.Heartbeat = time.Microsecond // shorter than any page takes
	})
	r.publishMany("events.busy", 4000)
	r.restart(nil) // nothing is in memory
	s := r.subscribe("subject=events.>&type=rare&from=oldest", browser...)
	for s.line() != "id: 0-0\n" {
	}
	var id broker.ID
	for id.Seq == 0 {
		if text, found := strings.CutPrefix(s.line(), "id: "); found {
			if err := id.UnmarshalText([]byte(strings.TrimSpace(text))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if id.Seq >= 3900 {
		t.Errorf("the first sign of life is at %s, the end of the history", id)
	}
}

// Promise 3: who does not read falls behind alone, and has lost nothing when it
// reads again.
func TestStream_SlowClient(t *testing.T) {
	const n, size = 2000, 10_000 // 20 MB: more than the socket's buffers and the ring
	r := newRig(t, func(o *rigOptions) {
		o.ring.MaxEvents = n / 10
		o.gateway.WriteTimeout = time.Minute
	})
	slow := r.subscribe("subject=events.x")
	slow.primed()
	live := r.subscribe("subject=events.x")
	live.primed()
	noise := make([]byte, (n+size)*3/4) // that gzip cannot make much of, from another place for each event
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	text := base64.StdEncoding.EncodeToString(noise)
	event := func(i int) string { return fmt.Sprint(i, " ", text[i:i+size]) }
	for i := range n {
		if err := r.nats.Publish("events.x", []byte(event(i))); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			for j := i - 99; j <= i; j++ {
				if got := live.next(); string(got.Data) != event(j) {
					t.Fatalf("live client got %.20q, want %d", got.Data, j)
				}
			}
		}
	}
	for i := range n {
		if got := slow.next(); string(got.Data) != event(i) {
			t.Fatalf("slow client got %.20q of type %s, want %d", got.Data, got.Type, i)
		}
	}
}

// Promise 3: what a client that does not read makes the gateway hold is one write,
// and that is small however much there is for it.
func TestStream_WriteSize(t *testing.T) {
	const events, size = 200, 4 << 10
	r := newRig(t)
	for range events {
		if err := r.nats.Publish("events.large", make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	r.reach(events)
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	req := r.request(http.MethodGet, "/v1/stream?subject=events.large&from=oldest", "")
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(conn)
	for line := ""; line != "\r\n"; {
		if line, err = body.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	for total := int64(0); total < events*size; { // a write is a chunk
		line, err := body.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		chunk, err := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if chunk > 100<<10 {
			t.Fatalf("a write has %d bytes", chunk)
		}
		if _, err := io.CopyN(io.Discard, body, chunk+2); err != nil {
			t.Fatal(err)
		}
		total += chunk
	}
}

// The time-out is that of a write, not of the quiet after it: over HTTP/2 a deadline ends
// the stream whether or not anything is being written.
func TestStream_QuietLongerThanWriteTimeout(t *testing.T) {
	r := newRig(t, func(o *rigOptions) {
		o.gateway.WriteTimeout, o.gateway.Heartbeat = time.Second, time.Hour
	})
	s := r.subscribe("subject=events.x")
	s.primed()
	quiet := time.NewTimer(2 * r.opts.gateway.WriteTimeout)
	defer quiet.Stop()
	<-quiet.C
	r.publish("events.x", "after a while")
	if got := s.read(1); got[0] != "after a while" {
		t.Errorf("got %q", got)
	}
}

func TestStream_WriteTimeout(t *testing.T) {
	r := newRig(t, func(o *rigOptions) { o.gateway.WriteTimeout = 200 * time.Millisecond })
	stuck := r.subscribe("subject=events.x")
	stuck.primed()
	r.await("the stream to open", func() bool { return r.streams() == 1 })
	big := strings.Repeat(".", 1<<20)
	for range 12 {
		r.publish("events.x", big)
	}
	r.await("the stream to be cut", func() bool { return r.streams() == 0 })
	if n := r.server.Counters().WriteTimeouts; n != 1 {
		t.Errorf("%d write time-outs are counted", n)
	}
}

// streams asks the gateway how many streams are open.
func (r *rig) streams() int { return int(r.readStatus().Streams) }

func (r *rig) readStatus() gateway.Status {
	r.t.Helper()
	_, text := r.do(http.MethodGet, "/v1/status", "")
	var status gateway.Status
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		r.t.Fatalf("%s: %v", text, err)
	}
	return status
}

func TestStream_From(t *testing.T) {
	r := newRig(t)
	a := r.publish("events.a", "a1")
	b := r.publish("events.b", "b1")
	r.publish("events.a", "a2", "Ringcast-Event", "add")
	for i, tc := range []struct {
		query string
		want  []string
	}{
		{"", nil},
		{"from=now", nil},
		{"from=oldest", []string{"a1", "b1", "a2"}},
		{"from=last", []string{"b1", "a2"}},
		{"from=" + a.String(), []string{"b1", "a2"}},
		{"from=" + fmt.Sprint(a.Seq), []string{"b1", "a2"}},
		{"from=" + esc(b.Time().Format(time.RFC3339Nano)), []string{"b1", "a2"}},
		{"from=1h", []string{"a1", "b1", "a2"}},
		{"from=oldest&type=add", []string{"a2"}},
		{"from=oldest&type=message", []string{"a1", "b1"}},
		{"from=oldest&type=add,message", []string{"a1", "b1", "a2"}},
		{"lastEventId=" + b.String(), []string{"a2"}},
		{"from=oldest&last_event_id=" + b.String(), []string{"a2"}},
	} {
		t.Run(tc.query, func(t *testing.T) {
			query := "subject=events.a&subject=events.b&subject=events.end&" + tc.query
			get := r.subscribe(query)
			post := r.open(r.request(http.MethodPost, "/v1/stream", asBody(t, query), "Content-Type", "application/json"))
			end := fmt.Sprint("end ", i)
			r.publish("events.end", end)
			r.publish("events.end", end, "Ringcast-Event", "add")
			for _, s := range []*subscriber{get, post} {
				var got []string
				for data := string(s.next().Data); data != end; data = string(s.next().Data) {
					if !strings.HasPrefix(data, "end ") { // of an earlier case
						got = append(got, data)
					}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				s.close()
			}
		})
	}
}

// asBody turns a query into the JSON body that says the same.
func asBody(t *testing.T, query string) string {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]any{}
	for name, v := range values {
		switch {
		case name == "lastEventId":
			body["last_event_id"] = v[0]
		case name == "type":
			body[name] = strings.Split(v[0], ",")
		case len(v) > 1:
			body[name] = v
		default:
			body[name] = v[0]
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// PROTOCOL.md, "The end".
func TestStream_Finished(t *testing.T) {
	r := newRig(t)
	r.publish("events.answer", "1", "Ringcast-Event", "add")
	s := r.subscribe("subject=events.answer&from=oldest", browser...)
	s.next()
	end := r.publish("events.answer", "2", "Ringcast-Event", "finish", "Ringcast-End", "true").String()
	if m := s.next(); m.Type != "finish" {
		t.Errorf("got %+v", m)
	}
	if _, err := s.dec.Next(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after the end: %v, want a clean EOF", err)
	}
	for _, query := range []string{"", "&from=" + end, "&last_event_id=" + end} {
		if res, body := r.do(http.MethodGet, "/v1/stream?subject=events.answer"+query, ""); res.StatusCode != http.StatusNoContent || body != "" {
			t.Errorf("%s: %s %q, want 204", query, res.Status, body)
		}
	}
	if p := r.page("subject=events.answer&from=oldest"); !p.Finished || len(p.Events) != 2 {
		t.Errorf("page: %+v", p)
	}
	if p := r.page("subject=events.answer&from=oldest&limit=1"); p.Finished || len(p.Events) != 1 {
		t.Errorf("page that is not the last: %+v", p)
	}
}

// A shutdown must not look like the end of the stream.
func TestStream_Shutdown(t *testing.T) {
	r := newRig(t)
	s := r.subscribe("subject=events.x")
	s.primed()
	s.raw.buf.Reset()
	r.stop()
	_, err := s.dec.Next()
	if err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want a cut without a clean end", err)
	}
	var ms int
	if _, err := fmt.Sscanf(strings.TrimLeft(s.raw.buf.String(), ":\n"), "retry: %d\n", &ms); err != nil || ms < 50 || ms > 100 {
		t.Errorf("told %q, want a retry from 50 to 100 ms: %v", s.raw.buf.String(), err)
	}
}

// DESIGN part 5, "NATS away".
func TestStream_NATSAway(t *testing.T) {
	r := newRig(t)
	first := r.publish("events.x", "1")
	r.publish("events.x", "2")
	open := r.subscribe("subject=events.x", browser...)
	open.primed()
	r.embedded.Shutdown()
	r.await("the gateway to be unready", func() bool {
		res, body := r.do(http.MethodGet, "/readyz", "")
		return res.StatusCode == http.StatusServiceUnavailable && strings.Contains(body, "not connected to NATS")
	})
	if res, _ := r.do(http.MethodGet, "/healthz", ""); res.StatusCode != http.StatusOK {
		t.Errorf("healthz: %s", res.Status)
	}
	resumed := r.subscribe("subject=events.x", append([]string{"Last-Event-ID", first.String()}, browser...)...)
	if m := resumed.next(); string(m.Data) != "2" {
		t.Errorf("resumed with %+v", m)
	}
	if res, body := r.do(http.MethodPost, "/v1/publish/events.x", "3"); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("publish: %s %s", res.Status, body)
	}
	for open.line() != ":\n" { // heartbeats go on
	}
}
