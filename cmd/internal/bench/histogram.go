package bench

import "math/bits"

// histogram counts durations in nanoseconds. Its buckets are 1 ns wide up to 256
// ns and then 128 to each power of two, so that a quantile is at most 0.8 % above
// the exact value. The zero value is empty and ready to use; its size is fixed
// (58 KB), however much it counts.
type histogram struct {
	buckets [(64 - subBits) << subBits]uint64
	total   uint64
	max     int64
}

// subBits is how many bits after the leading one tell two buckets apart.
const subBits = 7

// record counts a duration. A negative one, which a clock could bring, is zero.
func (h *histogram) record(ns int64) {
	ns = max(ns, 0)
	h.buckets[bucketOf(uint64(ns))]++
	h.total++
	h.max = max(h.max, ns)
}

// quantile returns the upper end of the bucket that holds the smallest value which
// at least the share q of all does not exceed; 0 when nothing was counted.
func (h *histogram) quantile(q float64) int64 {
	rank := min(max(uint64(q*float64(h.total)+0.999999), 1), h.total)
	var below uint64
	for i := range h.buckets {
		if below += h.buckets[i]; below >= rank && below > 0 {
			return min(upperEnd(i), h.max)
		}
	}
	return 0
}

func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-1-subBits, 0)
	return shift<<subBits + int(v>>shift)
}

// upperEnd returns the greatest value of a bucket.
func upperEnd(bucket int) int64 {
	shift := max(bucket>>subBits-1, 0)
	return int64(bucket-shift<<subBits+1)<<shift - 1
}
