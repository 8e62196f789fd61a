package sse_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ringcast/broker"
	"ringcast/transport/sse"
)

// id42 is an event's id at 2026-11-21T04:00:00.123456789Z.
var id42 = broker.ID{Seq: 42, Stamp: time.Date(2026, 11, 21, 4, 0, 0, 123456789, time.UTC).UnixNano()}

// event returns an event with id42.
func event(typ, data string) *broker.Event {
	return &broker.Event{ID: id42, Subject: "events.quotes.ACME", Type: typ, Data: []byte(data)}
}

// wire is the golden file of each thing that Ringcast writes into a stream.
var wire = map[string]func(dst []byte) []byte{
	"raw-plain":         raw("", "hello"),
	"raw-named":         raw("trade", `{"price":12.5}`),
	"raw-empty":         raw("", ""),
	"raw-empty-named":   raw("tick", ""),
	"raw-spaces":        raw("", "  two leading spaces, one trailing "),
	"raw-blank-lines":   raw("", "\n\nbetween\n\n"),
	"raw-line-ends":     raw("", "lf\ncrlf\r\ncr\rcr-cr\r\rcr-crlf\r\r\nlf-cr\n\rlast"),
	"raw-cr-at-end":     raw("", "x\r"),
	"raw-crlf-at-end":   raw("", "x\r\n"),
	"raw-like-fields":   raw("", "id: 7\nretry: 1\n:comment\nevent: forged"),
	"raw-unicode":       raw("größe", "😀 ü \u2028 \u0085 \ufeff"),
	"raw-nul":           raw("", "a\x00b"),
	"raw-not-utf8":      raw("blob", "\xff\x00\xfe\n"),
	"cloudevents-json":  cloud("trade", "{\n  \"a\": [1, 2.50, \"<b> &\\n\"],\r\n  \"big\": 12345678901234567890 }\n"),
	"cloudevents-null":  cloud("", "null"),
	"cloudevents-text":  cloud("", "line one\nline \"two\" <b>\u2028"),
	"cloudevents-bytes": cloud("blob", "\xff\x00\xfe"),
	"cloudevents-empty": cloud("tick", ""),
	"bookmark-block":    func(dst []byte) []byte { return sse.AppendBookmark(dst, id42, true) },
	"bookmark-line":     func(dst []byte) []byte { return sse.AppendBookmark(dst, id42, false) },
	"bookmark-zero":     func(dst []byte) []byte { return sse.AppendBookmark(dst, broker.ID{}, true) },
	"heartbeat":         sse.AppendHeartbeat,
	"retry":             func(dst []byte) []byte { return sse.AppendRetry(dst, 2*time.Second) },
	"retry-rounds-up":   func(dst []byte) []byte { return sse.AppendRetry(dst, time.Microsecond) },
	"retry-negative":    func(dst []byte) []byte { return sse.AppendRetry(dst, -time.Second) },
	"gap": func(dst []byte) []byte {
		return sse.AppendGap(dst, &broker.Gap{
			Reason: broker.GapExpired, Requested: "7-abc", Oldest: id42, At: broker.ID{Seq: 41, Stamp: broker.NoStamp},
		}, true)
	},
	"gap-hostile": func(dst []byte) []byte {
		return sse.AppendGap(dst, &broker.Gap{
			Reason: broker.GapUnknown, Requested: "\"\\\n\r\n\nid: 9\x00\xff\u2028<script>&", At: id42,
		}, true)
	},
}

func raw(typ, data string) func([]byte) []byte {
	return func(dst []byte) []byte { return sse.Raw.AppendFrame(dst, event(typ, data), "") }
}

func cloud(typ, data string) func([]byte) []byte {
	return func(dst []byte) []byte {
		return sse.CloudEvents.AppendFrame(dst, event(typ, data), sse.Source("EVENTS"))
	}
}

// The wire, byte for byte.
func TestAppend_Golden(t *testing.T) {
	for name, write := range wire {
		t.Run(name, func(t *testing.T) { golden(t, name, write(nil)) })
	}
	t.Run("no file without a case", func(t *testing.T) {
		files, err := filepath.Glob("testdata/*.golden")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".golden")
			if _, ok := wire[name]; !ok {
				t.Errorf("%s belongs to no case", file)
			}
		}
		if len(files) != len(wire) {
			t.Errorf("%d files for %d cases", len(files), len(wire))
		}
	})
}

// Whatever is written is only appended: what stood in dst stays.
func TestAppend_KeepsPrefix(t *testing.T) {
	for name, write := range wire {
		for _, dst := range [][]byte{[]byte("before"), append(make([]byte, 0, 4096), "before"...)} {
			if got, want := string(write(dst)), "before"+string(write(nil)); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

// The id is the last line of its block, and only events and bookmarks in block
// form end in a blank line.
func TestAppend_BlockRules(t *testing.T) {
	for name, write := range wire {
		got := string(write(nil))
		if strings.HasPrefix(name, "heartbeat") || strings.HasPrefix(name, "retry") || name == "bookmark-line" {
			if strings.Contains(got, "\n\n") || !strings.HasSuffix(got, "\n") {
				t.Errorf("%s: %q is not a single line", name, got)
			}
			continue
		}
		block, ok := strings.CutSuffix(got, "\n\n")
		last := block[strings.LastIndexByte(block, '\n')+1:]
		if !ok || strings.Contains(block, "\n\n") || !strings.HasPrefix(last, "id: ") {
			t.Errorf("%s: %q is not one block with the id last", name, got)
		}
	}
}

// A whole stream as the gateway would write it, read back.
func TestAppend_StreamReadBack(t *testing.T) {
	gapAt := broker.ID{Seq: 6, Stamp: 36}
	var stream []byte
	stream = sse.AppendRetry(stream, 1500*time.Millisecond)
	stream = sse.AppendBookmark(stream, broker.ID{Seq: 5, Stamp: 35}, true)
	stream = sse.AppendHeartbeat(stream)
	stream = sse.AppendGap(stream, &broker.Gap{
		Reason: broker.GapReset, Requested: "5-x\n", Oldest: broker.ID{Seq: 6, Stamp: 36}, At: gapAt,
	}, true)
	stream = sse.AppendHeartbeat(stream)
	stream = sse.Raw.AppendFrame(stream, event("trade", " 1\r\n2 "), "")
	stream = sse.AppendBookmark(stream, broker.ID{Seq: 50, Stamp: 0}, true)

	d := sse.NewDecoder(bytes.NewReader(stream))
	want := []sse.Message{
		{Type: "ringcast.gap", Data: []byte(`{"reason":"reset","requested":"5-x\n","oldest":"6-10"}`), LastEventID: "6-10"},
		{Type: "trade", Data: []byte(" 1\n2 "), LastEventID: id42.String()},
	}
	if diff := cmp.Diff(want, readAll(t, d)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := d.LastEventID(); got != "50-0" {
		t.Errorf("last event id %q, want the bookmark's", got)
	}
	if wait, ok := d.Retry(); !ok || wait != 1500*time.Millisecond {
		t.Errorf("retry %v, %v", wait, ok)
	}
}

// Encoding allocates nothing where dst has room.
func TestAppendFrame_Allocations(t *testing.T) {
	dst := make([]byte, 0, 1<<20)
	source := sse.Source("EVENTS")
	for _, c := range []struct {
		name   string
		format sse.Format
		data   string
		most   float64
	}{
		{"raw", sse.Raw, "one\ntwo\r\nthree", 0},
		{"raw, not UTF-8", sse.Raw, "\xff\xfe", 0},
		{"cloudevents, text", sse.CloudEvents, "not JSON ü", 4}, // the buffer around dst; the syntax error and its text
		{"cloudevents, JSON", sse.CloudEvents, `{"a": 1}`, 1},
	} {
		e := event("trade", c.data)
		if got := testing.AllocsPerRun(100, func() { c.format.AppendFrame(dst, e, source) }); got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.most)
		}
	}
}

// readAll returns all messages of a stream that ends without error.
func readAll(t testing.TB, d *sse.Decoder) []sse.Message {
	t.Helper()
	var all []sse.Message
	for {
		m, err := d.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}

// FuzzRoundTrip: what a client decodes is what the producer published, line ends
// normalised.
func FuzzRoundTrip(f *testing.F) {
	for _, data := range []string{"", "hello", " x", "a\r\nb\rc\n", "\r\r\n\n\r", "😀", "\xff", "\xef\xbb\xbfx", "a\x00"} {
		f.Add("trade", []byte(data), uint64(42), int64(123))
	}
	lineEnds := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	f.Fuzz(func(t *testing.T, typ string, data []byte, seq uint64, stamp int64) {
		if broker.ValidateType(typ) != nil {
			typ = ""
		}
		e := &broker.Event{ID: broker.ID{Seq: seq, Stamp: max(stamp, broker.NoStamp)}, Subject: "a.b", Type: typ, Data: data}
		stream := sse.Raw.AppendFrame(nil, e, "")
		got := readAll(t, sse.NewDecoder(bytes.NewReader(stream)))
		if len(got) != 1 || got[0].Type != e.TypeOrDefault() || got[0].LastEventID != e.ID.String() {
			t.Fatalf("%q gives %+v", stream, got)
		}
		payload, want := string(got[0].Data), lineEnds.Replace(string(data))
		if !utf8.Valid(data) {
			payload, want = string(base64Data(t, got[0].Data)), string(data)
		}
		if payload != want {
			t.Fatalf("payload %q, want %q", payload, want)
		}
	})
}

// base64Data returns the payload within a JSON event object.
func base64Data(t *testing.T, object []byte) []byte {
	t.Helper()
	var e struct {
		Data string `json:"data_base64"`
	}
	if err := json.Unmarshal(object, &e); err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(e.Data)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// In a snapshot the client keeps the id it has: the gap's would skip the rest.
func TestAppendGap_WithoutID(t *testing.T) {
	got := string(sse.AppendGap(nil, &broker.Gap{Reason: broker.GapReset, Requested: "5-x", At: id42}, false))
	want := "event: ringcast.gap\ndata: {\"reason\":\"reset\",\"requested\":\"5-x\",\"oldest\":\"0-0\"}\n\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
