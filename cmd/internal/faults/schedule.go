//go:build linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// The kinds of faults.
const (
	gatewayKill     = "gateway killed (-9)"
	gatewayTerm     = "gateway stopped (SIGTERM)"
	rollingRestart  = "rolling restart of all gateways"
	gatewayFreeze   = "gateway frozen (SIGSTOP)"
	natsKill        = "NATS node killed (-9)"
	natsFreeze      = "NATS node frozen (SIGSTOP)"
	leaderChange    = "NATS stream leader changed"
	linkCut         = "network cut"
	linkSilent      = "network silent"
	linkDelay       = "network delayed"
	haproxyRestart  = "HAProxy killed and started"
	ringTruncated   = "ring file truncated while down"
	ringCorrupted   = "ring file corrupted while down"
	ringRemoved     = "ring file removed while down"
	diskFull        = "disk full"
	clockStepped    = "gateway's clock stepped"
	streamPurged    = "stream purged"
	slowReaders     = "slow readers"
	connectionStorm = "connection storm"
)

// Kinds are all kinds, each as often as it is to come in a run.
var kinds = []struct {
	name   string
	weight int
}{
	{gatewayKill, 4}, {gatewayTerm, 3}, {rollingRestart, 1}, {gatewayFreeze, 2},
	{natsKill, 3}, {natsFreeze, 2}, {leaderChange, 3},
	{linkCut, 4}, {linkSilent, 3}, {linkDelay, 3}, {haproxyRestart, 1},
	{ringTruncated, 1}, {ringCorrupted, 2}, {ringRemoved, 1}, {diskFull, 2}, {clockStepped, 2},
	{streamPurged, 2}, {slowReaders, 2}, {connectionStorm, 1},
}

// Fault is one fault of a run.
type Fault struct {
	Number int    `json:"number"`
	Kind   string `json:"kind"`
	// Target is a gateway's or NATS node's number, or a link's; see network.
	Target int `json:"target"`
	// After is when it begins, from the beginning of its step, and For how long it lasts.
	After time.Duration `json:"after"`
	For   time.Duration `json:"for"`
	// Amount is how much of it: a part of the file, a delay in ms, events left by a purge.
	Amount float64 `json:"amount,omitempty"`
}

func (f Fault) String() string { return fmt.Sprintf("#%d %s, %s", f.Number, f.Kind, f.on()) }

// on says what it was done to.
func (f Fault) on() string {
	switch f.Kind {
	case gatewayKill, gatewayTerm, gatewayFreeze, ringTruncated, ringCorrupted, ringRemoved:
		return fmt.Sprintf("gateway-%d", f.Target)
	case diskFull:
		return fmt.Sprintf("gateway-%d", smallDisk)
	case clockStepped:
		return fmt.Sprintf("gateway-%d by %s", steppedGateway, f.clockStep())
	case natsKill, natsFreeze:
		return fmt.Sprintf("nats-%d", f.Target)
	case linkCut, linkSilent, linkDelay:
		return networkName(f.Target)
	}
	return "all"
}

// step is faults that overlap. The next step begins when its faults are over and
// every client has recovered.
type step []Fault

// schedule returns n faults in steps, the same ones for the same seed and options. In
// a quarter of the steps a second fault comes on top of the first. Never is more than
// one NATS node away: what a majority has not is not promised by NATS.
func schedule(opt Options) []step {
	rng := rand.New(rand.NewPCG(opt.Seed, 0))
	names := opt.kinds()
	var steps []step
	// Whatever the seed, the kinds come in turn, each as often as its weight.
	var deck []string
	draw := func(number int) Fault {
		if len(deck) == 0 {
			deck = slices.Clone(names)
			rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		f := newFault(rng, number, deck[0])
		deck = deck[1:]
		return f
	}
	for n := 1; n <= opt.Faults; {
		s := step{draw(n)}
		n++
		if n <= opt.Faults && rng.IntN(4) == 0 {
			second := draw(n)
			n++
			if s[0].touches(second) {
				steps = append(steps, s)
				s = step{second}
			} else {
				second.After = time.Duration(rng.Int64N(int64(s[0].For) + 1))
				s = append(s, second)
			}
		}
		steps = append(steps, s)
	}
	return steps
}

func newFault(rng *rand.Rand, number int, kind string) Fault {
	f := Fault{Number: number, Kind: kind, Target: rng.IntN(nodes), Amount: rng.Float64()}
	least, most := time.Second, 6*time.Second
	switch kind {
	case linkCut, linkSilent, linkDelay:
		f.Target = anyNetwork(rng)
		most = 12 * time.Second
	case gatewayFreeze, natsFreeze, slowReaders, diskFull, clockStepped:
		least, most = 3*time.Second, 12*time.Second
	case haproxyRestart, leaderChange, streamPurged, connectionStorm, rollingRestart:
		least, most = 0, time.Second
	}
	f.For = (least + time.Duration(rng.Int64N(int64(most-least)))).Truncate(time.Millisecond)
	return f
}

// touches reports whether two faults must not overlap: they are done to the same
// thing, or both take from the NATS cluster's majority.
func (f Fault) touches(g Fault) bool {
	for _, a := range f.parts() {
		if slices.Contains(g.parts(), a) {
			return true
		}
	}
	return false
}

func (f Fault) parts() []string {
	switch f.Kind {
	case rollingRestart:
		return []string{"gateway-0", "gateway-1", "gateway-2"}
	case natsKill, natsFreeze, leaderChange:
		return []string{"nats"}
	case linkCut, linkSilent, linkDelay:
		return networkParts(f.Target)
	case haproxyRestart, connectionStorm:
		return []string{"haproxy"}
	case streamPurged, slowReaders, clockStepped:
		return []string{f.Kind}
	}
	return []string{f.on()}
}

func networkParts(n int) []string {
	switch {
	case n < firstUplink:
		return []string{"nats", networkName(n)}
	case n >= firstSingle && n < firstBackend: // a part of that of all
		return []string{networkName(n), networkName(firstUplink + (n-firstSingle)/nodes)}
	}
	return []string{networkName(n)}
}

// The networks that are broken, by number: between two NATS nodes, from a gateway to
// all of NATS, from a gateway to one NATS node, and from HAProxy to a gateway.
const (
	natsNetworks  = nodes * (nodes - 1) / 2
	firstUplink   = natsNetworks
	firstSingle   = firstUplink + nodes
	firstBackend  = firstSingle + nodes*nodes
	networks      = firstBackend + nodes
	networkGroups = 4
)

// natsPairs are the pairs of NATS nodes.
var natsPairs = [natsNetworks][2]int{{0, 1}, {0, 2}, {1, 2}}

// anyNetwork returns one of any of the four groups, whatever their sizes: of a gateway's
// links to single nodes two are not in use.
func anyNetwork(rng *rand.Rand) int {
	bounds := [networkGroups + 1]int{0, firstUplink, firstSingle, firstBackend, networks}
	group := rng.IntN(networkGroups)
	return bounds[group] + rng.IntN(bounds[group+1]-bounds[group])
}

func networkName(n int) string {
	switch {
	case n < firstUplink:
		return fmt.Sprintf("nats-%d–nats-%d", natsPairs[n][0], natsPairs[n][1])
	case n < firstSingle:
		return fmt.Sprintf("gateway-%d–NATS", n-firstUplink)
	case n < firstBackend:
		n -= firstSingle
		return fmt.Sprintf("gateway-%d–nats-%d", n/nodes, n%nodes)
	}
	return fmt.Sprintf("haproxy–gateway-%d", n-firstBackend)
}

// network returns the links of a network: of two NATS nodes there are two, since each
// may have connected to the other.
func (r *rig) network(n int) []*link {
	switch {
	case n < firstUplink:
		a, b := natsPairs[n][0], natsPairs[n][1]
		return []*link{r.routes[a][b], r.routes[b][a]}
	case n < firstSingle:
		return r.uplinks[n-firstUplink][:]
	case n < firstBackend:
		n -= firstSingle
		return []*link{r.uplinks[n/nodes][n%nodes]}
	}
	return []*link{r.backends[n-firstBackend]}
}
