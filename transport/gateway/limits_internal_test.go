package gateway

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(2) // a second, and twenty at once
		for i := range 20 {
			if _, ok := r.allow("a"); !ok {
				t.Fatalf("refused after %d", i)
			}
		}
		wait, ok := r.allow("a")
		if ok || wait <= 0 || wait > time.Second/2 {
			t.Errorf("allowed %v, wait %s", ok, wait)
		}
		if _, ok := r.allow("b"); !ok {
			t.Error("one client's haste is refused another")
		}
		time.Sleep(wait)
		if _, ok := r.allow("a"); !ok {
			t.Error("refused after the wait that it was told")
		}
	})
}

// Nothing grows without a bound: clients that have not come for a while are forgotten,
// and those that are too many at a time share one bucket.
func TestRates_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(0.1) // one at once
		for i := range maxBuckets {
			if _, ok := r.allow(strconv.Itoa(i)); !ok {
				t.Fatalf("client %d is refused", i)
			}
		}
		if _, ok := r.allow("x"); !ok {
			t.Error("the first of the rest is refused")
		}
		if _, ok := r.allow("y"); ok {
			t.Error("the rest have a bucket each")
		}
		if len(r.buckets) > maxBuckets {
			t.Errorf("%d buckets", len(r.buckets))
		}
		time.Sleep(time.Minute)
		if _, ok := r.allow("z"); !ok || len(r.buckets) != 1 {
			t.Errorf("allowed %v, %d buckets after a minute", ok, len(r.buckets))
		}
	})
}
