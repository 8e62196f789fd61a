package sse_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"ringcast/transport/sse"
)

// TestGzip_Wire: the bytes that are the same for ever.
func TestGzip_Wire(t *testing.T) {
	var sum sse.GzipSum
	sum.Add([]byte("123456789")) // the CRC's check value is cbf43926
	for _, c := range []struct {
		name      string
		got, want []byte
	}{
		{"header", sse.AppendGzipHeader(nil), []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")},
		{"stored", sse.AppendStored(nil, []byte(":\n")), []byte("\x00\x02\x00\xfd\xff:\n\x00\x00\x00\xff\xff")},
		{"stored, nothing", sse.AppendStored(nil, nil), nil},
		{"deflated, nothing", sse.AppendDeflated(nil, nil), nil},
		{"deflated, tiny", sse.AppendDeflated(nil, []byte(":\n")), []byte("\x00\x02\x00\xfd\xff:\n\x00\x00\x00\xff\xff")},
		{"trailer", sse.AppendGzipTrailer(nil, sum), []byte("\x03\x00\x26\x39\xf4\xcb\x09\x00\x00\x00")},
		{"trailer, nothing", sse.AppendGzipTrailer(nil, sse.GzipSum{}), []byte("\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00")},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: % x, want % x", c.name, c.got, c.want)
		}
	}
}

// TestGzip: whatever runs a stream is put together from, in whatever order and how
// often, each one comes out whole as soon as it is there, and the trailer is right.
func TestGzip(t *testing.T) { rapid.Check(t, gzipStream) }

func gzipStream(t *rapid.T) {
	runs := make([]sharedRun, rapid.IntRange(1, 5).Draw(t, "runs"))
	for i := range runs {
		runs[i] = newSharedRun(plainBytes.Draw(t, "plain"))
		if n, most := len(runs[i].deflated), len(sse.AppendStored(nil, runs[i].plain)); n > most {
			t.Fatalf("%d bytes deflated are %d, and stored %d", len(runs[i].plain), n, most)
		}
	}
	r := newGunzip(t)
	for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(runs)-1), 0, 12).Draw(t, "order") {
		if rapid.Bool().Draw(t, "shared") {
			r.expectShared(t, runs[i])
		} else {
			r.expectOwn(t, runs[i].plain)
		}
	}
	r.expectEnd(t)
}

// FuzzGzip: the same, whatever the bytes.
func FuzzGzip(f *testing.F) {
	f.Add([]byte("id: 42-c1ieare1shs0\n\n"), uint16(100))
	f.Add(frames(quotes, 1)[0], uint16(1))
	f.Add([]byte("\x00\x00\x00\xff\xff"), uint16(20_000))
	f.Fuzz(func(t *testing.T, plain []byte, times uint16) {
		one := newSharedRun(plain)
		many := newSharedRun(bytes.Repeat(plain, min(int(times), 1<<18/(len(plain)+1))))
		r := newGunzip(t)
		r.expectShared(t, one)
		r.expectShared(t, many)
		r.expectOwn(t, plain)
		r.expectShared(t, one)
		r.expectEnd(t)
	})
}

// sharedRun is a run that is made once and sent to many.
type sharedRun struct {
	plain, deflated []byte
	part            sse.GzipPart
}

func newSharedRun(plain []byte) sharedRun {
	return sharedRun{plain, sse.AppendDeflated(nil, plain), sse.NewGzipPart(plain)}
}

// plainBytes are of all kinds: text that repeats itself, text that does not, noise,
// and each also at lengths around those at which a block or the window ends.
var plainBytes = rapid.Custom(func(t *rapid.T) []byte {
	n := rapid.OneOf(
		rapid.IntRange(0, 300),
		rapid.SampledFrom([]int{127, 128, 32 << 10, 1<<16 - 2, 1<<16 - 1, 1 << 16, 1<<17 - 2, 1<<17 - 1}),
	).Draw(t, "len")
	switch rapid.SampledFrom([]string{"repeated", "noise", "any"}).Draw(t, "kind") {
	case "repeated":
		word := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "word")
		return bytes.Repeat(word, n/len(word)+1)[:n]
	case "noise":
		return noise(n, rapid.Uint64().Draw(t, "seed"))
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
})

func noise(n int, seed uint64) []byte {
	b, rnd := make([]byte, n), rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// TestAppendDeflated_Size: a run of any length is no longer than a stored one, and
// much shorter where the bytes allow it.
func TestAppendDeflated_Size(t *testing.T) {
	order := frames(orders, 1)[0]
	for _, c := range []struct {
		name  string
		plain []byte
		most  int // of the run
	}{
		{"noise, 1 KiB", noise(1<<10, 1), 1<<10 + 10},
		{"noise, 4 MiB", noise(4<<20, 1), 4<<20 + 65*5 + 5},
		{"one event", order, len(order) * 7 / 10},
		{"4 MiB of events", bytes.Repeat(order, 4<<20/len(order)+1), 256 << 10},
	} {
		run := sse.AppendDeflated([]byte("before"), c.plain)
		run, ok := bytes.CutPrefix(run, []byte("before"))
		if !ok || len(run) > c.most {
			t.Errorf("%s: %d bytes became %d, want at most %d; what was there before: %t", c.name, len(c.plain), len(run), c.most, ok)
		}
		newGunzip(t).expect(t, run, c.plain)
	}
}

// TestGzipPart: what is known of bytes adds the same as they do, whatever length
// they have.
func TestGzipPart(t *testing.T) {
	for n := 1; n <= 1<<20; n *= 2 {
		for _, plain := range [][]byte{noise(n, 1), noise(n-1, 2)} {
			before := noise(100, 3)
			var sum, want sse.GzipSum
			sum.Add(before)
			sum.AddPart(sse.NewGzipPart(plain))
			want.Add(append(before, plain...))
			if sum != want {
				t.Fatalf("%d bytes: %+v, want %+v", len(plain), sum, want)
			}
		}
	}
}

// TestAppendDeflated_Concurrent: no two calls share a compressor.
func TestAppendDeflated_Concurrent(t *testing.T) {
	plains := frames(orders, 64)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, plain := range plains {
				newGunzip(t).expect(t, sse.AppendDeflated(nil, plain), plain)
			}
		})
	}
	wg.Wait()
}

// gunzip is a client of a compressed stream, with the standard library's decoder,
// which is the one that holds back the most.
type gunzip struct {
	sent bytes.Buffer
	r    *gzip.Reader
	sum  sse.GzipSum // as the server keeps it
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// newGunzip returns a client that has received the header.
func newGunzip(t fataler) *gunzip {
	t.Helper()
	g := new(gunzip)
	g.sent.Write(sse.AppendGzipHeader(nil))
	var err error
	if g.r, err = gzip.NewReader(byteReader{&g.sent}); err != nil {
		t.Fatalf("read header: %v", err)
	}
	return g
}

// expect sends a run and reads what is in it, without a byte from after it.
func (g *gunzip) expect(t fataler, run, plain []byte) {
	t.Helper()
	g.sent.Write(run)
	got := make([]byte, len(plain))
	if n, err := io.ReadFull(g.r, got); err != nil {
		t.Fatalf("%d of %d bytes came out of a run of %d: %v", n, len(plain), len(run), err)
	}
	if !bytes.Equal(got, plain) {
		t.Fatalf("%.100q came out of a run of %.100q", got, plain)
	}
}

func (g *gunzip) expectShared(t fataler, run sharedRun) {
	t.Helper()
	g.sum.AddPart(run.part)
	g.expect(t, run.deflated, run.plain)
}

// expectOwn sends plain as what is for this client alone.
func (g *gunzip) expectOwn(t fataler, plain []byte) {
	t.Helper()
	g.sum.Add(plain)
	g.expect(t, sse.AppendStored(nil, plain), plain)
}

// expectEnd sends the trailer and reads the end of the body, which the reader
// gives when the sum is right.
func (g *gunzip) expectEnd(t fataler) {
	t.Helper()
	g.r.Multistream(false)
	g.sent.Write(sse.AppendGzipTrailer(nil, g.sum))
	if rest, err := io.ReadAll(g.r); err != nil || len(rest) > 0 {
		t.Fatalf("read end: %q, %v", rest, err)
	}
	if g.sent.Len() > 0 {
		t.Fatalf("%d bytes after the end", g.sent.Len())
	}
}

var errStarved = errors.New("the decoder wants bytes that are not sent yet")

// byteReader reads what was sent. As an io.ByteReader it is read no further than
// the decoder needs.
type byteReader struct{ *bytes.Buffer }

func (r byteReader) Read(p []byte) (int, error) {
	n, err := r.Buffer.Read(p)
	if err == io.EOF {
		err = errStarved
	}
	return n, err
}

func (r byteReader) ReadByte() (byte, error) {
	b, err := r.Buffer.ReadByte()
	if err == io.EOF {
		err = errStarved
	}
	return b, err
}

// frames returns n frames as the gateway sends them, their payloads made by data:
// like events of one subject they have the same members and differ in the values.
func frames(data func(rnd *rand.Rand) string, n int) [][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	all := make([][]byte, n)
	for i := range all {
		e := event("trade", data(rnd))
		e.ID.Seq += uint64(i)
		e.ID.Stamp += rnd.Int64N(1e12)
		all[i] = sse.Raw.AppendFrame(nil, e, "")
	}
	return all
}

// quotes are payloads of some 128 bytes.
func quotes(rnd *rand.Rand) string {
	return fmt.Sprintf(`{"symbol":"%s","bid":%.2f,"ask":%.2f,"size":%d,"venue":"XNAS","time":"2026-11-21T04:%02d:%02d.%03dZ","trace":"%08x"}`,
		[]string{"ACME", "INIT", "GLOB", "UMBR"}[rnd.IntN(4)], 100+50*rnd.Float64(), 100+50*rnd.Float64(), rnd.IntN(1000),
		rnd.IntN(60), rnd.IntN(60), rnd.IntN(1000), rnd.Uint64())
}

// orders are payloads of some 500 bytes.
func orders(rnd *rand.Rand) string {
	items := make([]string, 3)
	for i := range items {
		items[i] = fmt.Sprintf(`{"sku":"%08x","quantity":%d,"unit_price":%.2f}`, rnd.Uint32(), 1+rnd.IntN(9), 200*rnd.Float64())
	}
	return fmt.Sprintf(`{"order_id":"%016x","customer_id":"%016x","status":"accepted","currency":"EUR",`+
		`"created_at":"2026-11-21T04:%02d:00Z","updated_at":"2026-11-21T05:%02d:07Z","items":[%s],"note":"%s"}`,
		rnd.Uint64(), rnd.Uint64(), rnd.IntN(60), rnd.IntN(60), strings.Join(items, ","), prose(rnd, 14))
}

// documents are payloads of some 2,000 bytes.
func documents(rnd *rand.Rand) string {
	history := make([]string, 9)
	for i := range history {
		history[i] = fmt.Sprintf(`{"at":"2026-11-21T04:%02d:%02dZ","actor":"user-%d","event":"%s","message":"%s"}`,
			rnd.IntN(60), rnd.IntN(60), rnd.IntN(5000), prose(rnd, 1), prose(rnd, 14))
	}
	return strings.TrimSuffix(orders(rnd), "}") + `,"history":[` + strings.Join(history, ",") + "]}"
}

// prose returns so many words.
func prose(rnd *rand.Rand, words int) string {
	vocabulary := strings.Fields("order payment shipment customer the of delivery warehouse has been accepted by and was " +
		"sent to address with invoice pending review manual for a return request item damaged refund issued")
	text := make([]string, words)
	for i := range text {
		text[i] = vocabulary[rnd.IntN(len(vocabulary))]
	}
	return strings.Join(text, " ")
}

// BenchmarkAppendDeflated: what one run costs, made of one frame or of ten, and how
// long it is (out/in).
func BenchmarkAppendDeflated(b *testing.B) {
	for _, p := range []struct {
		name string
		data func(*rand.Rand) string
	}{{"128B", quotes}, {"512B", orders}, {"2KB", documents}} {
		for _, perRun := range []int{1, 10} {
			b.Run(fmt.Sprintf("%s/%d-in-a-run", p.name, perRun), func(b *testing.B) {
				all := frames(p.data, 250)
				var plains [][]byte
				for i := 0; i < len(all); i += perRun {
					plains = append(plains, bytes.Join(all[i:i+perRun], nil))
				}
				in, out := 0, 0
				for _, plain := range plains {
					in += len(plain)
					out += len(sse.AppendDeflated(nil, plain))
				}
				var run []byte
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					run = sse.AppendDeflated(run[:0], plains[i%len(plains)])
				}
				b.ReportMetric(float64(in)/float64(len(plains)), "in-B")
				b.ReportMetric(float64(out)/float64(in), "out/in")
			})
		}
	}
}

func BenchmarkAppendStored(b *testing.B) {
	bookmark := sse.AppendBookmark(nil, id42, true)
	var run []byte
	for b.Loop() {
		run = sse.AppendStored(run[:0], bookmark)
	}
}

// BenchmarkGzipSum: what a client's sum costs for each run, by its bytes or by what
// is kept of them.
func BenchmarkGzipSum(b *testing.B) {
	for _, n := range []int{150, 2 << 10, 64 << 10} {
		plain := noise(n, 1)
		part := sse.NewGzipPart(plain)
		var sum sse.GzipSum
		b.Run(fmt.Sprintf("Add/%dB", n), func(b *testing.B) {
			for b.Loop() {
				sum.Add(plain)
			}
		})
		b.Run(fmt.Sprintf("AddPart/%dB", n), func(b *testing.B) {
			for b.Loop() {
				sum.AddPart(part)
			}
		})
		b.Run(fmt.Sprintf("NewGzipPart/%dB", n), func(b *testing.B) {
			for b.Loop() {
				part = sse.NewGzipPart(plain)
			}
		})
	}
}
