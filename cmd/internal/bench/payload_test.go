package bench

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPayload(t *testing.T) {
	for _, want := range []stamp{{}, {1, 2, 3, 4}, {1<<64 - 1, 1<<32 - 1, 1<<64 - 1, 1<<63 - 1}, {0x0123456789abcdef, 0x89abcdef, 0xfedcba9876543210, 0x7edcba9876543210}} {
		for _, o := range []Options{
			{Payload: Padding, Size: Options{Payload: Padding}.leastSize()},
			{Payload: Padding, Size: 128},
			{Payload: JSON, Size: Options{Payload: JSON}.leastSize()},
			{Payload: JSON, Size: 128},
			{Payload: JSON, Size: 1024},
		} {
			p := o.payload(want)
			if got, ok := parseStamp(p); !ok || got != want || len(p) != o.Size {
				t.Errorf("%s %q of %d bytes is %v, %v, want %v", o.Payload, p, len(p), got, ok, want)
			}
			if o.Payload == JSON && !json.Valid(p) {
				t.Errorf("%q is no JSON", p)
			}
		}
	}
}

func TestStamp_None(t *testing.T) {
	good := string(stamp{1, 2, 3, 4}.append(nil))
	bad := []string{"", good[:stampSize-1], strings.Replace(good, "1", "g", 1), strings.Replace(good, "2", " ", 1), strings.Replace(good, "3", "/", 1), strings.Replace(good, "4", "-", 1)}
	for i, c := range good {
		if c == '-' {
			bad = append(bad, good[:i]+"0"+good[i+1:])
		}
	}
	for _, text := range bad {
		if s, ok := parseStamp([]byte(text)); ok {
			t.Errorf("%q is taken for the stamp %v", text, s)
		}
	}
}

// An order book is no two times the same, or compression would do too well on it.
func TestPayload_Varies(t *testing.T) {
	seen := make(map[string]bool)
	for n := range 100 {
		book := string(Options{Payload: JSON, Size: 1024}.payload(stamp{place: uint64(n)}))
		_, levels, _ := strings.Cut(book, "[")
		if seen[levels] {
			t.Fatalf("again: %s", levels)
		}
		seen[levels] = true
	}
	o := Options{Payload: JSON, Size: 300}
	if first, again := string(o.payload(stamp{})), string(o.payload(stamp{})); first != again {
		t.Errorf("of one stamp:\n%s\n%s", first, again)
	}
}
