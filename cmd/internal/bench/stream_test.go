package bench

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// heard is what a stream has brought.
type heard struct {
	Places []uint64
	Others int
	Gaps   int
}

func (h *heard) event(s stamp) { h.Places = append(h.Places, s.place) }
func (h *heard) other()        { h.Others++ }
func (h *heard) gap()          { h.Gaps++ }

const (
	chunkedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	plainHead   = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
)

// chunks frames each part as a chunk.
func chunks(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(part), part)
	}
	return b.String()
}

func payload(place uint64) string {
	return string(Options{Size: 60}.payload(stamp{place: place, due: 7}))
}

func block(place uint64) string {
	return fmt.Sprintf("event: quote\ndata: %s\nid: %d-x\n\n", payload(place), place)
}

var streams = []struct {
	name, text string
	want       heard
	lastID     string
	state      streamState
}{
	{"one event to a chunk", chunkedHead + chunks("retry: 2000\nid: 0-0\n\n", block(1), block(2)), heard{Places: []uint64{1, 2}}, "2-x", inChunkSize},
	{"several to a chunk", chunkedHead + chunks(block(1)+block(2)+":\n", block(3)), heard{Places: []uint64{1, 2, 3}}, "3-x", inChunkSize},
	{"an event over several chunks", chunkedHead + chunks(block(1)[:20], block(1)[20:]), heard{Places: []uint64{1}}, "1-x", inChunkSize},
	{"a clean end", chunkedHead + chunks(block(1)) + "0\r\n\r\n", heard{Places: []uint64{1}}, "1-x", ended},
	{"size in capitals with an extension", chunkedHead + fmt.Sprintf("%X;a=b\r\n%s\r\n", len(block(1)), block(1)), heard{Places: []uint64{1}}, "1-x", inChunkSize},
	{"not chunked", plainHead + block(1) + block(2), heard{Places: []uint64{1, 2}}, "2-x", inBody},
	{"lines that end in CRLF", plainHead + strings.ReplaceAll(block(1), "\n", "\r\n"), heard{Places: []uint64{1}}, "1-x", inBody},
	{"a gap", chunkedHead + chunks("event: ringcast.gap\ndata: {}\nid: 5-x\n\n", block(6)), heard{Places: []uint64{6}, Gaps: 1}, "6-x", inChunkSize},
	{"a stranger's event", chunkedHead + chunks("data: hello\n\n", "data: "+payload(1)+"\ndata: more\n\n", block(2)), heard{Places: []uint64{2}, Others: 2}, "2-x", inChunkSize},
	{"an unfinished event", chunkedHead + chunks(block(1), "data: "+payload(2)+"\n"), heard{Places: []uint64{1}}, "1-x", inChunkSize},
	{"nothing but the head", chunkedHead, heard{}, "", inChunkSize},
}

func TestStream(t *testing.T) {
	for _, tc := range streams {
		t.Run(tc.name, func(t *testing.T) {
			for cut := range len(tc.text) { // at every byte, and at none
				check(t, tc.text[:cut], tc.text[cut:], tc.want, tc.lastID, tc.state)
			}
			check(t, "", tc.text, tc.want, tc.lastID, tc.state)
			got, s, err := hear(strings.Split(tc.text, "")...)
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil || s.state != tc.state {
				t.Errorf("byte by byte, state %d, error %v (-want +got):\n%s", s.state, err, diff)
			}
		})
	}
}

func check(t *testing.T, first, second string, want heard, lastID string, state streamState) {
	t.Helper()
	got, s, err := hear(first, second)
	if err != nil || s.state != state || string(s.lastID) != lastID {
		t.Fatalf("cut at %d: error %v, state %d, id %q; want state %d, id %q", len(first), err, s.state, s.lastID, state, lastID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("cut at %d (-want +got):\n%s", len(first), diff)
	}
}

func hear(pieces ...string) (heard, *stream, error) {
	var h heard
	s := &stream{keepID: true}
	for _, piece := range pieces {
		p := []byte(piece)
		if err := s.feed(p, &h); err != nil {
			return h, s, err
		}
		clear(p) // nothing of it may have been kept
	}
	return h, s, nil
}

func TestStream_Errors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a refusal", "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n{}", `the server answered "HTTP/1.1 503 Service Unavailable"`},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", `the server answered "SSH-2.0-OpenSSH_9.2"`},
		{"a head without end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", maxHead/6+1), "the head of the answer does not end"},
		{"no size of a chunk", chunkedHead + "xyz\r\n", "'x' in the size of a chunk"},
		{"a chunk without end", chunkedHead + "fffffffffffffffff\r\n", "a chunk of more than 1073741824 bytes"},
		{"a chunk longer than its size", chunkedHead + "1\r\nab\r\n", "'b' after a chunk"},
		{"more after the last chunk", chunkedHead + "0\r\nx", "bytes after the end of the body"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, _, err := hear(tc.text); err == nil || err.Error() != tc.want {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

// However a stream is cut up, it says the same.
func FuzzStream(f *testing.F) {
	for _, tc := range streams {
		f.Add([]byte(tc.text), uint16(len(tc.text)/2))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		at := min(int(cut), len(text))
		whole, s1, err1 := hear(string(text))
		parts, s2, err2 := hear(string(text[:at]), string(text[at:]))
		if diff := cmp.Diff(whole, parts); diff != "" || s1.state != s2.state || fmt.Sprint(err1) != fmt.Sprint(err2) {
			t.Errorf("cut at %d: %v and %v (-whole +parts):\n%s", at, err1, err2, diff)
		}
		if len(s1.line) > len(text) {
			t.Errorf("keeps %d of %d bytes", len(s1.line), len(text))
		}
	})
}

func BenchmarkStream(b *testing.B) {
	s := stream{}
	if err := s.feed([]byte(chunkedHead), nil); err != nil {
		b.Fatal(err)
	}
	event := []byte(chunks("data: " + string(Options{Size: 128}.payload(stamp{1, 2, 3, 4})) + "\nid: 1042-dfdrqin2kmbk\n\n"))
	var n counter
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.feed(event, &n); err != nil {
			b.Fatal(err)
		}
	}
}

type counter int

func (c *counter) event(stamp) { *c++ }
func (c *counter) other()      {}
func (c *counter) gap()        {}
