package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// A quantile is that of the sorted values, or at most 1/128 above it.
func TestHistogram_Quantile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() int64{
		"small":        func() int64 { return random.Int64N(300) },
		"latencies":    func() int64 { return int64(random.ExpFloat64() * 5e6) },
		"any":          func() int64 { return random.Int64() >> random.IntN(63) },
		"all the same": func() int64 { return 1_000_003 },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 2, 10, 999, 20_000} {
				compareWithSort(t, n, draw)
			}
		})
	}
}

func compareWithSort(t *testing.T, n int, draw func() int64) {
	t.Helper()
	var h histogram
	values := make([]int64, n)
	for i := range values {
		values[i] = draw()
		h.record(values[i])
	}
	slices.Sort(values)
	for _, q := range []float64{0, 0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := values[max(int(math.Ceil(q*float64(n)))-1, 0)]
		if got := h.quantile(q); got < exact || float64(got) > float64(exact)*(1+1.0/128) {
			t.Errorf("quantile %g of %d values is %d, want %d", q, n, got, exact)
		}
	}
	if h.max != values[n-1] || h.total != uint64(n) {
		t.Errorf("max %d of %d, want %d of %d", h.max, h.total, values[n-1], n)
	}
}

// Every duration has a bucket that holds it, and buckets leave no room between them.
func TestHistogram_Buckets(t *testing.T) {
	var h histogram
	last := int64(-1)
	for i := range h.buckets {
		end := upperEnd(i)
		if end <= last || bucketOf(uint64(end)) != i || bucketOf(uint64(last+1)) != i {
			t.Fatalf("bucket %d ends at %d after %d: found in %d and %d", i, end, last, bucketOf(uint64(end)), bucketOf(uint64(last+1)))
		}
		if last = end; end == math.MaxInt64 {
			return
		}
	}
	t.Errorf("the last bucket ends at %d", last)
}

func TestHistogram_Empty(t *testing.T) {
	var h histogram
	if got := h.quantile(0.99); got != 0 {
		t.Errorf("quantile of nothing is %d", got)
	}
	h.record(-5)
	if h.quantile(1) != 0 || h.total != 1 {
		t.Errorf("a negative duration counts as %d", h.quantile(1))
	}
}
