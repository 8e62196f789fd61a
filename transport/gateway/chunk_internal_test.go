package gateway

import (
	"bytes"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

func TestAppendChunk(t *testing.T) {
	fill := func(s string) func([]byte) []byte { return func(b []byte) []byte { return append(b, s...) } }
	for _, tc := range []struct{ before, content, want string }{
		{"", "x", "1\r\nx\r\n"},
		{"", "", ""},
		{"before", "", "before"},
		{"1\r\na\r\n", strings.Repeat("b", 0x1234), "1\r\na\r\n1234\r\n" + strings.Repeat("b", 0x1234) + "\r\n"},
	} {
		if got := string(appendChunk([]byte(tc.before), fill(tc.content))); got != tc.want {
			t.Errorf("%.20q after %q: got %.40q, want %.40q", tc.content, tc.before, got, tc.want)
		}
	}
}

// Any contents come out of another implementation's reader as they went in.
func FuzzAppendChunk(f *testing.F) {
	f.Add([]byte("a"), []byte("0\r\n\r\n"))
	f.Add([]byte(""), bytes.Repeat([]byte("x"), 300)) // larger ones keep the engine minimizing
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var b []byte
		for _, content := range [][]byte{first, second, first} {
			b = appendChunk(b, func(b []byte) []byte { return append(b, content...) })
		}
		b = append(b, lastChunk...)
		got, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b)))
		if want := bytes.Join([][]byte{first, second, first}, nil); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q came out as %q, %v", want, got, err)
		}
	})
}
