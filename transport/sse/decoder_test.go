package sse_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"ringcast/transport/sse"
)

// msg returns an unnamed message without an id.
func msg(data string) sse.Message { return sse.Message{Type: "message", Data: []byte(data)} }

func withID(id string, m sse.Message) sse.Message {
	m.LastEventID = id
	return m
}

func named(typ string, m sse.Message) sse.Message {
	m.Type = typ
	return m
}

// retryZero stands for a retry that was named and is zero.
const retryZero = -1

// vectors are streams and what they mean. Those named wpt/ are the expectations
// of the web-platform-tests (https://github.com/web-platform-tests/wpt, folder
// eventsource), format-* where not said otherwise; their server adds the blank
// line at the end.
var vectors = []struct {
	name   string
	stream string
	want   []sse.Message
	lastID string
	retry  time.Duration // zero: none named
}{
	{name: "wpt/bom", stream: "\uFEFFdata:1\n\n\uFEFFdata:2\n\ndata:3\n\n", want: []sse.Message{msg("1"), msg("3")}},
	{name: "wpt/bom-2", stream: "\uFEFF\uFEFFdata:1\n\ndata:2\n\ndata:3\n\n", want: []sse.Message{msg("2"), msg("3")}},
	{
		name: "wpt/comments",
		stream: "data:1\r:\x00\n:\r\ndata:2\n:" + strings.Repeat("x", 2048) + "\rdata:3\n:data:fail\r:" +
			strings.Repeat("x", 2048) + "\ndata:4\n\n",
		want: []sse.Message{msg("1\n2\n3\n4")},
	},
	{name: "wpt/data-before-final-empty-line", stream: "retry:1000\ndata:test1\n\nid:test\ndata:test2", want: []sse.Message{msg("test1")}, retry: time.Second},
	{name: "wpt/field-data", stream: "data:\n\ndata\ndata\n\ndata:test\n\n", want: []sse.Message{msg(""), msg("\n"), msg("test")}},
	{name: "wpt/field-event", stream: "event:test\ndata:x\n\ndata:x\n\n", want: []sse.Message{named("test", msg("x")), msg("x")}},
	{name: "wpt/field-event-empty", stream: "event: \ndata:data\n\n", want: []sse.Message{msg("data")}},
	{name: "wpt/field-id", stream: "id: …\ndata: hello\n\n", want: []sse.Message{withID("…", msg("hello"))}, lastID: "…"},
	{
		name:   "wpt/field-id-2",
		stream: "id: …\ndata: hello\n\ndata: …\n\ndata: …\n\n",
		want:   []sse.Message{withID("…", msg("hello")), withID("…", msg("…")), withID("…", msg("…"))},
		lastID: "…",
	},
	{
		name:   "wpt/field-id-3 persists",
		stream: "id: 1\ndata: 1\n\ndata: 2\n\n",
		want:   []sse.Message{withID("1", msg("1")), withID("1", msg("2"))},
		lastID: "1",
	},
	{
		name:   "wpt/field-id-3 changes and persists",
		stream: "id: 1\ndata: 1\n\nid: 2\ndata: 2\n\ndata: 3\n\n",
		want:   []sse.Message{withID("1", msg("1")), withID("2", msg("2")), withID("2", msg("3"))},
		lastID: "2",
	},
	{
		name:   "wpt/field-id-3 resets",
		stream: "id: 1\ndata: 1\n\nid:\ndata: 2\n\ndata: 3\n\n",
		want:   []sse.Message{withID("1", msg("1")), msg("2"), msg("3")},
	},
	{
		name:   "wpt/field-id-3 resets without colon",
		stream: "id: 1\ndata: 1\n\nid\ndata: 2\n\ndata: 3\n\n",
		want:   []sse.Message{withID("1", msg("1")), msg("2"), msg("3")},
	},
	{name: "wpt/field-id-null", stream: "id: \x00\x00\ndata: hello\n\n", want: []sse.Message{msg("hello")}},
	{
		name:   "wpt/field-parsing",
		stream: "data:\x00\ndata:  2\rData:1\ndata\x00:2\ndata:1\r\x00data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
		want:   []sse.Message{msg("\x00\n 2\n1\n3\n\n4")},
	},
	{name: "wpt/field-retry", stream: "retry:03000\ndata:x\n\n", want: []sse.Message{msg("x")}, retry: 3 * time.Second},
	{name: "wpt/field-retry-bogus", stream: "retry:3000\nretry:1000x\ndata:x\n\n", want: []sse.Message{msg("x")}, retry: 3 * time.Second},
	{name: "wpt/field-retry-empty", stream: "retry\ndata:test\n\n", want: []sse.Message{msg("test")}},
	{name: "wpt/field-unknown", stream: "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n", want: []sse.Message{msg("test\n\ntest")}},
	{name: "wpt/leading-space", stream: "data:\ttest\rdata: \ndata:test\n\n", want: []sse.Message{msg("\ttest\n\ntest")}},
	{name: "wpt/newlines", stream: "data:test\r\ndata\ndata:test\r\n\r", want: []sse.Message{msg("test\n\ntest")}},
	{name: "wpt/null-character", stream: "data:\x00\n\n\n", want: []sse.Message{msg("\x00")}},
	{name: "wpt/utf-8", stream: "data:ok…\n\n", want: []sse.Message{msg("ok…")}},
	{
		name: "wpt/event-data",
		stream: "data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\nfalsefield:msg\n\n" +
			"data:end\n\n",
		want: []sse.Message{msg("msg\nmsg"), msg(""), msg("end")},
	},

	// The examples of the standard, section 9.2.6.
	{name: "standard/YHOO", stream: "data: YHOO\ndata: +2\ndata: 10\n\n", want: []sse.Message{msg("YHOO\n+2\n10")}},
	{
		name:   "standard/four blocks",
		stream: ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
		want:   []sse.Message{withID("1", msg("first event")), msg("second event")},
	},
	{name: "standard/empty data", stream: "data\n\ndata\ndata\n\ndata:", want: []sse.Message{msg(""), msg("\n")}},
	{name: "standard/space after colon", stream: "data:test\n\ndata: test\n\n", want: []sse.Message{msg("test"), msg("test")}},

	{name: "empty", stream: ""},
	{name: "BOM alone, then a blank line", stream: "\uFEFF\n\n"},
	{name: "BOM cut short", stream: "\xef\xbbdata: 1\n\ndata: 2\n\n", want: []sse.Message{msg("2")}},
	{name: "CR only", stream: "data: 1\r\rdata: 2\r\r", want: []sse.Message{msg("1"), msg("2")}},
	{name: "CRLF only", stream: "data: 1\r\n\r\ndata: 2\r\n\r\n", want: []sse.Message{msg("1"), msg("2")}},
	{name: "LF CR is two line ends", stream: "data: 1\n\rdata: 2\n\r", want: []sse.Message{msg("1"), msg("2")}},
	{name: "CRLF is one line end", stream: "data: 1\r\ndata: 2\r\n\r\n", want: []sse.Message{msg("1\n2")}},
	{name: "no other line ends", stream: "data: a\u0085b\u2028c\u2029d\ve\ff\n\n", want: []sse.Message{msg("a\u0085b\u2028c\u2029d\ve\ff")}},
	{name: "id-only block moves the id, dispatches nothing", stream: "id: 7\n\n:\nid: 8\n\n", lastID: "8"},
	{name: "id of a block cut off does not count", stream: "id: 7\ndata: x\n\ndata: y\nid: 8\n", want: []sse.Message{withID("7", msg("x"))}, lastID: "7"},
	{name: "id line between blocks counts with the next blank line", stream: "data: x\n\nid: 8\n:\ndata: y\n\n", want: []sse.Message{msg("x"), withID("8", msg("y"))}, lastID: "8"},
	{name: "last id of a block counts", stream: "id: 1\nid: 2\ndata: x\n\n", want: []sse.Message{withID("2", msg("x"))}, lastID: "2"},
	{name: "id with NUL leaves the one before", stream: "id: 1\ndata: x\n\nid: 2\x00\ndata: y\n\n", want: []sse.Message{withID("1", msg("x")), withID("1", msg("y"))}, lastID: "1"},
	{name: "type of a block without data is forgotten", stream: "event: a\n\ndata: x\n\n", want: []sse.Message{msg("x")}},
	{name: "last type of a block counts", stream: "event: a\nevent: b\ndata: x\n\n", want: []sse.Message{named("b", msg("x"))}},
	{name: "empty type undoes an earlier one", stream: "event: a\nevent\ndata: x\n\n", want: []sse.Message{msg("x")}},
	{name: "one space is stripped, no tab", stream: "event:  a\ndata:\tx \nid:  1\n\n", want: []sse.Message{withID(" 1", named(" a", msg("\tx ")))}, lastID: " 1"},
	{name: "value with colons", stream: "data: a:b: c\n\n", want: []sse.Message{msg("a:b: c")}},
	{name: "space before the name", stream: " data: x\n\n"},
	{name: "retry in a block of its own", stream: "retry: 10\n\ndata: x\n\n", want: []sse.Message{msg("x")}, retry: 10 * time.Millisecond},
	{name: "retry zero", stream: "retry: 0\n", retry: retryZero},
	{name: "retry signed", stream: "retry: +5\nretry: -5\nretry: 5 \nretry: 0x5\nretry: ٣\n"},
	{name: "retry beyond 64 bits", stream: "retry: 99999999999999999999999\n", retry: math.MaxInt64 / time.Millisecond * time.Millisecond},
	{name: "retry beyond a duration", stream: "retry: 18446744073709551615\n", retry: math.MaxInt64 / time.Millisecond * time.Millisecond},
	{
		// The Unicode Standard, table 3-8.
		name:   "ill-formed UTF-8",
		stream: "event: \xff\nid: \xc2\ndata: a\xf1\x80\x80\xe1\x80\xc2b\x80c\x80\xbfd\n\n",
		want:   []sse.Message{withID("\uFFFD", named("\uFFFD", msg("a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd")))},
		lastID: "\uFFFD",
	},
	{name: "character cut by a line end", stream: "data: \xe2\x82\ndata: \xac\n\n", want: []sse.Message{msg("\uFFFD\n\uFFFD")}},
}

// check decodes r and compares with what vector i wants.
func check(t *testing.T, i int, how string, r io.Reader) {
	t.Helper()
	v := vectors[i]
	d := sse.NewDecoder(r)
	if diff := cmp.Diff(v.want, readAll(t, d)); diff != "" {
		t.Errorf("%s: messages (-want +got):\n%s", how, diff)
	}
	if got := d.LastEventID(); got != v.lastID {
		t.Errorf("%s: last event id %q, want %q", how, got, v.lastID)
	}
	wait, named := max(v.retry, 0), v.retry != 0
	if got, ok := d.Retry(); got != wait || ok != named {
		t.Errorf("%s: retry %v, %v, want %v, %v", how, got, ok, wait, named)
	}
}

func TestDecoder_Vectors(t *testing.T) {
	for i, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			check(t, i, "whole", strings.NewReader(v.stream))
			check(t, i, "byte by byte", iotest.OneByteReader(strings.NewReader(v.stream)))
			check(t, i, "with the end of file", iotest.DataErrReader(strings.NewReader(v.stream)))
			for at := range len(v.stream) {
				check(t, i, "split", io.MultiReader(strings.NewReader(v.stream[:at]), strings.NewReader(v.stream[at:])))
			}
		})
	}
}

// A stream's lines mean the same whichever of the three line ends they have.
func TestDecoder_LineEnds(t *testing.T) {
	for i, v := range vectors {
		if strings.ContainsRune(v.stream, '\r') {
			continue
		}
		for _, end := range []string{"\r", "\r\n"} {
			check(t, i, v.name, strings.NewReader(strings.ReplaceAll(v.stream, "\n", end)))
		}
	}
}

// A message is returned once the first byte of its blank line is there, whatever
// follows: a decoder that waits for an LF after the CR holds back the newest event
// of a quiet stream.
func TestDecoder_Next_does_not_wait_for_more(t *testing.T) {
	for _, stream := range []string{"data: x\n\n", "data: x\r\r", "data: x\r\n\r\n", "data: x\r\n\r", "data: x\n\r", "data: x\r\n\n"} {
		for _, whole := range []bool{true, false} {
			var r io.Reader = strings.NewReader(stream)
			if !whole {
				r = iotest.OneByteReader(r)
			}
			d := sse.NewDecoder(io.MultiReader(r, iotest.ErrReader(errors.New("read on"))))
			if m, err := d.Next(); err != nil || string(m.Data) != "x" {
				t.Errorf("%q, whole %v: %+v, %v", stream, whole, m, err)
			}
		}
	}
}

// A reader sees one Read for each piece that comes: liveness is seen by wrapping
// it.
func TestDecoder_Next_reads_only_when_it_must(t *testing.T) {
	r := &scriptedReader{pieces: []string{"data: 1\n\ndata: 2\n\n", ":\n", "data: 3\n\n"}}
	d := sse.NewDecoder(r)
	for i, want := range []int{1, 1, 3} {
		if _, err := d.Next(); err != nil {
			t.Fatal(err)
		}
		if r.reads != want {
			t.Errorf("%d reads for message %d, want %d", r.reads, i+1, want)
		}
	}
}

type scriptedReader struct {
	pieces []string
	reads  int
}

func (r *scriptedReader) Read(p []byte) (int, error) {
	if len(r.pieces) == 0 {
		return 0, io.EOF
	}
	r.reads++
	n := copy(p, r.pieces[0])
	r.pieces = r.pieces[1:]
	return n, nil
}

func TestDecoder_Next_errors(t *testing.T) {
	broken := errors.New("broken")
	t.Run("the reader's, after the last message, again and again", func(t *testing.T) {
		d := sse.NewDecoder(io.MultiReader(strings.NewReader("data: x\n\ndata: lost"), iotest.ErrReader(broken)))
		if _, err := d.Next(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := d.Next(); err != broken {
				t.Errorf("error %v, want the reader's", err)
			}
		}
	})
	t.Run("a reader that returns nothing", func(t *testing.T) {
		if _, err := sse.NewDecoder(idleReader{}).Next(); err != io.ErrNoProgress {
			t.Errorf("error %v, want io.ErrNoProgress", err)
		}
	})
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

func TestDecoder_MaxEventSize(t *testing.T) {
	x := strings.Repeat
	for _, c := range []struct {
		name, stream string
		tooLarge     bool
	}{
		{"line at the bound", "data: " + x("x", 94) + "\n\n", false},
		{"line beyond it", "data: " + x("x", 95) + "\n\n", true},
		{"line that never ends", "data: " + x("x", 100_000), true},
		{"comment beyond it", ":" + x("x", 100) + "\n\n", true},
		{"unknown field beyond it", x("x", 101) + "\n\n", true},
		{"data of many lines at the bound", x("data:\n", 99) + "data:x\n\n", false},
		{"data of many lines beyond it", x("data: x\n", 51) + "\n", true},
		{"many small events", x("data: xxxxxxxxx\n\n", 1000), false},
		{"many comments in one block", x(": xxxxxxxxx\n", 1000) + "\n", false},
	} {
		for _, chunk := range []int{1, 7, 1 << 20} {
			d := sse.NewDecoder(chunks(c.stream, chunk), sse.WithMaxEventSize(100))
			var err error
			for err == nil {
				_, err = d.Next()
			}
			if errors.Is(err, sse.ErrEventTooLarge) != c.tooLarge {
				t.Errorf("%s, read by %d: error %v", c.name, chunk, err)
			}
			if _, again := d.Next(); again != err {
				t.Errorf("%s: error %v, then %v", c.name, err, again)
			}
		}
	}
}

// The largest payload that NATS takes (max_payload cannot exceed max_pending, whose
// default this is) fits, as base64 with what an event's object holds beside it.
func TestDecoder_DefaultMaxEventSize(t *testing.T) {
	const beside = 4 << 10
	if most := base64.StdEncoding.EncodedLen(server.MAX_PENDING_SIZE) + beside; most > sse.DefaultMaxEventSize {
		t.Errorf("an event may have %d bytes, and %d are taken", most, sse.DefaultMaxEventSize)
	}
}

// chunks returns a reader of s that reads at most n bytes at once.
func chunks(s string, n int) io.Reader { return &chunkReader{s: s, next: func() int { return n }} }

// chunkReader reads s in pieces as long as next says.
type chunkReader struct {
	s    string
	next func() int
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if r.s == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), max(1, r.next()))], r.s)
	r.s = r.s[n:]
	return n, nil
}

func TestDecoder_Comments(t *testing.T) {
	var got []string
	d := sse.NewDecoder(strings.NewReader(":\n: heartbeat\ndata: x\n:a:b\r\n\n::\n"),
		sse.WithComments(func(text []byte) { got = append(got, string(text)) }))
	readAll(t, d)
	if diff := cmp.Diff([]string{"", " heartbeat", "a:b", ":"}, got); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
}

// An id carried over stands until the stream sends another one, an empty one
// included.
func TestDecoder_WithLastEventID(t *testing.T) {
	d := sse.NewDecoder(strings.NewReader("data: a\n\nid\ndata: b\n\n"), sse.WithLastEventID("7"))
	if got := d.LastEventID(); got != "7" {
		t.Errorf("at first %q", got)
	}
	want := []sse.Message{withID("7", msg("a")), msg("b")}
	if diff := cmp.Diff(want, readAll(t, d)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := d.LastEventID(); got != "" {
		t.Errorf("at last %q", got)
	}
}

// A message's data is the receiver's: decoding on does not change it.
func TestDecoder_Next_gives_data_away(t *testing.T) {
	d := sse.NewDecoder(strings.NewReader("data: one\n\ndata: two\ndata: 2\n\ndata: three\n\n"))
	all := readAll(t, d)
	for i := range all {
		all[i].Data = append(all[i].Data, " and more"...)
	}
	for i, want := range []string{"one and more", "two\n2 and more", "three and more"} {
		if got := string(all[i].Data); got != want {
			t.Errorf("data %q, want %q", got, want)
		}
	}
}

// One huge event does not hold its memory for as long as the stream goes on.
func TestDecoder_lets_go_of_a_huge_event(t *testing.T) {
	const size = 64 << 20
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	huge := io.LimitReader(spaces{}, size) // an unknown field: nobody keeps it
	d := sse.NewDecoder(io.MultiReader(huge, strings.NewReader("\n\ndata: x\n\n")))
	before := inUse()
	if _, err := d.Next(); err != nil {
		t.Fatal(err)
	}
	if after := inUse(); after > before+size/8 {
		t.Errorf("%d bytes are held after an event of %d", after-before, size)
	}
	runtime.KeepAlive(d)
}

// spaces reads as spaces without end.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// FuzzDecoder: no input makes it panic, no way of cutting a stream changes what it
// says, and what it says is what the standard says (see interpret).
func FuzzDecoder(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.stream), uint32(1))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint32) {
		want, wantID := interpret(stream)
		next := func() int {
			seed = seed*1664525 + 1013904223
			return int(seed>>24) % 9
		}
		for how, r := range map[string]io.Reader{
			"whole":        bytes.NewReader(stream),
			"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
			"in pieces":    &chunkReader{s: string(stream), next: next},
		} {
			d := sse.NewDecoder(r)
			if diff := cmp.Diff(want, readAll(t, d)); diff != "" {
				t.Errorf("%s: messages (-want +got):\n%s", how, diff)
			}
			if d.LastEventID() != wantID {
				t.Errorf("%s: last event id %q, want %q", how, d.LastEventID(), wantID)
			}
		}
	})
}
