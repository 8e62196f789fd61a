package bench

import "time"

// stamp is what the payload of an event begins with.
type stamp struct {
	run   uint64 // of which it is: what an earlier one left behind is a stranger's
	place uint64 // in its subject, from 1
	due   int64  // by now
}

// stampSize is the length of a stamp: three numbers of 16 hexadecimal digits with
// a dash in between. The rest of a payload is padding.
const stampSize = 16 + 1 + 16 + 1 + 16

// epoch is what now counts from. Its monotonic clock is what makes latencies exact.
var epoch = time.Now()

// now returns the nanoseconds since this process began.
func now() int64 { return int64(time.Since(epoch)) }

// appendPayload appends a payload of size bytes, at least stampSize.
func (s stamp) appendPayload(dst []byte, size int) []byte {
	dst = appendHex(dst, s.run)
	dst = append(dst, '-')
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
	if len(payload) < stampSize || payload[16] != '-' || payload[33] != '-' {
		return stamp{}, false
	}
	run, ok1 := parseHex(payload[:16])
	place, ok2 := parseHex(payload[17:33])
	due, ok3 := parseHex(payload[34:stampSize])
	return stamp{run: run, place: place, due: int64(due)}, ok1 && ok2 && ok3
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
