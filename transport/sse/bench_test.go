package sse_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"ringcast/transport/sse"
)

// payloads are what the benchmarks carry.
var payloads = []struct {
	name string
	data string
}{
	{"128B", `{"symbol":"ACME","price":` + strings.Repeat("1", 102) + "}"},
	{"1MiB-one-line", strings.Repeat("x", 1<<20)},
	{"1MiB-of-LF-lines", strings.Repeat(strings.Repeat("x", 79)+"\n", 1<<20/80)},
	{"1MiB-of-CRLF-lines", strings.Repeat(strings.Repeat("x", 78)+"\r\n", 1<<20/80)},
	{"1MiB-of-CR", strings.Repeat("\r", 1<<20)},
}

func BenchmarkAppendFrame(b *testing.B) {
	source := sse.Source("EVENTS")
	for _, format := range []sse.Format{sse.Raw, sse.CloudEvents} {
		for _, p := range payloads {
			b.Run(fmt.Sprintf("%v/%s", format, p.name), func(b *testing.B) {
				e := event("trade", p.data)
				dst := format.AppendFrame(nil, e, source)
				b.SetBytes(int64(len(p.data)))
				b.ReportAllocs()
				for b.Loop() {
					dst = format.AppendFrame(dst[:0], e, source)
				}
			})
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	for _, p := range payloads {
		b.Run(p.name, func(b *testing.B) {
			frame := sse.Raw.AppendFrame(nil, event("trade", p.data), "")
			d := sse.NewDecoder(&endless{frame: frame})
			b.SetBytes(int64(len(p.data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// endless reads one frame over and over.
type endless struct {
	frame []byte
	rest  bytes.Reader
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.rest.Read(p)
	if err == io.EOF {
		e.rest.Reset(e.frame)
		return e.rest.Read(p)
	}
	return n, err
}
