package bench

import (
	"bytes"
	"time"
)

// stamp is what tells an event from every other.
type stamp struct {
	run     uint64 // of which it is: what an earlier one left behind is a stranger's
	subject uint32 // its number, from 0
	place   uint64 // in its subject, from 1
	due     int64  // by now
}

// stampSize is the length of a stamp: its numbers in hexadecimal digits, all that
// there can be, with a dash in between.
const stampSize = 16 + 1 + 8 + 1 + 16 + 1 + 16

// epoch is what now counts from. Its monotonic clock is what makes latencies exact.
var epoch = time.Now()

// now returns the nanoseconds since this process began.
func now() int64 { return int64(time.Since(epoch)) }

func (s stamp) append(dst []byte) []byte {
	dst = append(appendHex(dst, s.run, 16), '-')
	dst = append(appendHex(dst, uint64(s.subject), 8), '-')
	dst = append(appendHex(dst, s.place, 16), '-')
	return appendHex(dst, uint64(s.due), 16)
}

// appendHex appends the lowest digits of v, hexadecimal.
func appendHex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[v>>shift&15])
	}
	return dst
}

// parseStamp reads the stamp of a payload; ok is false where there is none.
func parseStamp(payload []byte) (s stamp, ok bool) {
	p := bytes.TrimPrefix(payload, jsonBefore)
	if len(p) < stampSize || p[16] != '-' || p[25] != '-' || p[42] != '-' {
		return stamp{}, false
	}
	run, ok1 := parseHex(p[:16])
	subject, ok2 := parseHex(p[17:25])
	place, ok3 := parseHex(p[26:42])
	due, ok4 := parseHex(p[43:stampSize])
	return stamp{run, uint32(subject), place, int64(due)}, ok1 && ok2 && ok3 && ok4
}

func parseHex(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		d := hexDigit(c)
		if d < 0 {
			return 0, false
		}
		v = v<<4 | uint64(d)
	}
	return v, true
}

// hexDigit returns a hexadecimal digit's value, or -1.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
