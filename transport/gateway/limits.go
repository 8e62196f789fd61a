package gateway

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"ringcast/transport/access"
)

// Limits bound what clients may take, together and each. In all of them zero means
// no limit. What is refused for one is refused before anything has begun.
type Limits struct {
	// Streams bounds the streams, and pages being waited for, that are open at a time.
	Streams int
	// StreamsPerIdentity bounds those of one token subject.
	StreamsPerIdentity int
	// StreamsPerAddress bounds those of one address; see TrustedProxies. IPv6 addresses
	// count by their /64, which is what one client has.
	StreamsPerAddress int
	// ConnectRate is how many streams and pages one address may ask for in a second, in
	// the long run; ten seconds' worth at once.
	ConnectRate float64
	// PublishRate is how many events one token subject, or an address without one, may
	// publish in a second, in the long run; ten seconds' worth at once.
	PublishRate float64
	// Subjects bounds the subjects of one stream below the hub's own bound.
	Subjects int
}

// burst is how many seconds' worth of a rate may come at once.
const burst = 10

// limitError is a refusal because of a limit.
type limitError struct {
	status int // 429 where the client itself is at its limit, else 503
	detail string
	after  time.Duration
}

func (e *limitError) Error() string { return e.detail }

// limits are what has been taken of Limits.
type limits struct {
	Limits
	connects, publishes *rates
	// failureLines bounds the lines at level info about requests that the gateway fails:
	// when it is full, or NATS is away, these are as many as clients like.
	failureLines *rate.Limiter

	mu         sync.Mutex // guards what follows; nothing blocks while it is held
	streams    int
	identities map[string]int
	addresses  map[string]int

	refused refusals
}

// refusals counts what each limit has refused.
type refusals struct {
	streams, perIdentity, perAddress, connectRate, publishRate, subjects, bodySize atomic.Uint64
}

func (r *refusals) counters() RefusalCounters {
	return RefusalCounters{
		Streams:            r.streams.Load(),
		StreamsPerIdentity: r.perIdentity.Load(),
		StreamsPerAddress:  r.perAddress.Load(),
		ConnectRate:        r.connectRate.Load(),
		PublishRate:        r.publishRate.Load(),
		Subjects:           r.subjects.Load(),
		BodySize:           r.bodySize.Load(),
	}
}

func newLimits(l Limits) *limits {
	return &limits{
		Limits:       l,
		connects:     newRates(l.ConnectRate),
		publishes:    newRates(l.PublishRate),
		failureLines: rate.NewLimiter(10, 100),
		identities:   make(map[string]int),
		addresses:    make(map[string]int),
	}
}

// subjects finds out whether a stream may name so many.
func (l *limits) subjects(n int) error {
	if l.Subjects <= 0 || n <= l.Subjects {
		return nil
	}
	l.refused.subjects.Add(1)
	return badRequest{{Field: "subject", Detail: fmt.Sprintf("%d subjects: at most %d are allowed", n, l.Subjects)}}
}

// seat is what a stream has taken of the limits until it leaves.
type seat struct {
	limits            *limits
	identity, address string // empty where not counted
}

// take finds room for a stream of the client, from the address.
func (l *limits) take(client *access.Identity, address string) (seat, error) {
	address = addressKey(address)
	if wait, ok := l.connects.allow(address); !ok {
		l.refused.connectRate.Add(1)
		return seat{}, tooMany(wait, "more than %g streams a second are asked for from one address", l.ConnectRate)
	}
	s := seat{limits: l}
	if l.StreamsPerIdentity > 0 {
		s.identity = client.Subject
	}
	if l.StreamsPerAddress > 0 {
		s.address = address
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.Streams > 0 && l.streams >= l.Streams:
		l.refused.streams.Add(1)
		return seat{}, &limitError{503, fmt.Sprintf("this gateway has %d streams open, which are all that it takes", l.Streams), retryAfter}
	case s.identity != "" && l.identities[s.identity] >= l.StreamsPerIdentity:
		l.refused.perIdentity.Add(1)
		return seat{}, tooMany(retryAfter, "one identity may have %d streams open", l.StreamsPerIdentity)
	case s.address != "" && l.addresses[s.address] >= l.StreamsPerAddress:
		l.refused.perAddress.Add(1)
		return seat{}, tooMany(retryAfter, "one address may have %d streams open", l.StreamsPerAddress)
	}
	l.streams++
	count(l.identities, s.identity, 1)
	count(l.addresses, s.address, 1)
	return s, nil
}

// taken returns how many streams, and pages being waited for, there are.
func (l *limits) taken() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams
}

// leave gives back what take took. It is called once.
func (s seat) leave() {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.limits.streams--
	count(s.limits.identities, s.identity, -1)
	count(s.limits.addresses, s.address, -1)
}

// count adds to what a map has under the key, if there is one, which it forgets at none.
func count(m map[string]int, key string, n int) {
	if key == "" {
		return
	}
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}

// publish finds out whether the client may publish one event more.
func (l *limits) publish(client *access.Identity, address string) error {
	key := "sub " + client.Subject
	if client.Subject == "" {
		key = addressKey(address)
	}
	if wait, ok := l.publishes.allow(key); !ok {
		l.refused.publishRate.Add(1)
		return tooMany(wait, "more than %g events a second are published", l.PublishRate)
	}
	return nil
}

func tooMany(after time.Duration, format string, args ...any) error {
	return &limitError{429, fmt.Sprintf(format, args...), after}
}

// addressKey is what an address counts by.
func addressKey(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	prefix, _ := ip.Prefix(64) // fails only for more bits than there are
	return prefix.String()
}

// maxBuckets bounds the clients whose rates are kept apart. When there are more at a
// time, those who come last share one.
const maxBuckets = 10_000

// rates are token buckets by client. A nil one allows everything.
type rates struct {
	limit rate.Limit

	mu      sync.Mutex // guards what follows; nothing blocks while it is held
	buckets map[string]*rate.Limiter
	rest    *rate.Limiter
	swept   time.Time
}

func newRates(perSecond float64) *rates {
	if perSecond <= 0 {
		return nil
	}
	r := &rates{limit: rate.Limit(perSecond), buckets: make(map[string]*rate.Limiter)}
	r.rest = r.bucket()
	return r
}

func (r *rates) bucket() *rate.Limiter {
	return rate.NewLimiter(r.limit, max(1, int(math.Ceil(float64(r.limit)*burst))))
}

// allow takes one from the client's bucket; where it has none, wait is the time until
// there is one.
func (r *rates) allow(client string) (wait time.Duration, ok bool) {
	if r == nil {
		return 0, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	bucket := r.ofLocked(client, now)
	if bucket.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - bucket.TokensAt(now)
	return time.Duration(missing / float64(r.limit) * float64(time.Second)), false
}

func (r *rates) ofLocked(client string, now time.Time) *rate.Limiter {
	if bucket, ok := r.buckets[client]; ok {
		return bucket
	}
	if len(r.buckets) >= maxBuckets && now.Sub(r.swept) >= time.Second {
		r.swept = now
		r.forgetIdleLocked(now)
	}
	if len(r.buckets) >= maxBuckets {
		return r.rest
	}
	bucket := r.bucket()
	r.buckets[client] = bucket
	return bucket
}

// forgetIdleLocked forgets the clients whose buckets are full: they would get the same
// again.
func (r *rates) forgetIdleLocked(now time.Time) {
	for client, bucket := range r.buckets {
		if bucket.TokensAt(now) >= float64(bucket.Burst()) {
			delete(r.buckets, client)
		}
	}
}
