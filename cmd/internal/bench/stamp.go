package bench

import "time"

// stamp is what the payload of an event begins with: its place in its subject,
// from 1, and when it was due, by now.
type stamp struct {
	place uint64
	due   int64
}

// stampSize is the length of a stamp: two numbers of 16 hexadecimal digits and a
// dash. The rest of a payload is padding.
const stampSize = 16 + 1 + 16

// epoch is what now counts from. Its monotonic clock is what makes latencies exact.
var epoch = time.Now()

// now returns the nanoseconds since this process began.
func now() int64 { return int64(time.Since(epoch)) }

// appendPayload appends a payload of size bytes, at least stampSize.
func (s stamp) appendPayload(dst []byte, size int) []byte {
	dst = appendHex(dst, s.place)
	dst = append(dst, '-')
	dst = appendHex(dst, uint64(s.due))
	for range size - stampSize {
		dst = append(dst, 'x')
	}
	return dst
}

func appendHex(dst []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}

// parseStamp reads the stamp of a payload; ok is false where there is none.
func parseStamp(payload []byte) (s stamp, ok bool) {
	if len(payload) < stampSize || payload[16] != '-' {
		return stamp{}, false
	}
	place, ok1 := parseHex(payload[:16])
	due, ok2 := parseHex(payload[17:stampSize])
	return stamp{place: place, due: int64(due)}, ok1 && ok2
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
