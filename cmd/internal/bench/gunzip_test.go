package bench

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// gzipped returns a compressed text, flushed after each part, and where each ended.
func gzipped(t testing.TB, parts ...string) (text []byte, flushes []int) {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for _, part := range parts {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		flushes = append(flushes, b.Len())
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), flushes
}

// gunzipped pushes the pieces and returns what each has brought.
func gunzipped(t testing.TB, pieces ...[]byte) (texts []string, err error) {
	t.Helper()
	g := newGunzip()
	defer g.stop()
	for _, piece := range pieces {
		var text strings.Builder
		piece = bytes.Clone(piece)
		err := g.push(piece, func(p []byte) error { text.Write(p); return nil })
		texts = append(texts, text.String())
		if err != nil {
			return texts, err
		}
		clear(piece) // nothing of it may have been kept
	}
	return texts, nil
}

// long returns a text that takes several buffers.
func long() string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < 5*gunzipBuffer {
		b.WriteByte('a' + byte(random.IntN(26)))
	}
	return b.String()
}

// What was flushed comes out at once, wherever the pieces are cut.
func TestGunzip(t *testing.T) {
	parts := []string{"one\n", "two\n", long(), "four\n"}
	text, flushes := gzipped(t, parts...)
	var pieces [][]byte
	for i, end := range flushes {
		begin := 0
		if i > 0 {
			begin = flushes[i-1]
		}
		pieces = append(pieces, text[begin:end])
	}
	got, err := gunzipped(t, append(pieces, text[flushes[3]:])...)
	if diff := cmp.Diff(append(parts, ""), got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	for cut := 0; cut < len(text); cut += 1 + cut/64 { // closer at the header
		got, err := gunzipped(t, text[:cut], text[cut:])
		if want := strings.Join(parts, ""); err != nil || strings.Join(got, "") != want {
			t.Fatalf("cut at %d: error %v, %d bytes of %d", cut, err, len(strings.Join(got, "")), len(want))
		}
	}
}

func TestGunzip_Errors(t *testing.T) {
	text, _ := gzipped(t, "one\n")
	spoilt := bytes.Clone(text)
	spoilt[len(spoilt)-5]++ // its check sum
	for _, tc := range []struct {
		name string
		text []byte
		want string
	}{
		{"not gzip", []byte("data: hello\n\n"), gzip.ErrHeader.Error()},
		{"spoilt", spoilt, gzip.ErrChecksum.Error()},
		{"more after the end", append(bytes.Clone(text), "more of it"...), gzip.ErrHeader.Error()}, // not a second member
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := gunzipped(t, tc.text); err == nil || err.Error() != tc.want {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}
