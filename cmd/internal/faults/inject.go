//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// deed is how a kind of fault is made and ended. Either may be nil.
type deed struct {
	begin, end func(*run, context.Context, Fault) error
}

var deeds = map[string]deed{
	gatewayKill:     {killGateway, startGateway},
	gatewayTerm:     {termGateway, startGateway},
	rollingRestart:  {restartGateways, nil},
	gatewayFreeze:   {freezeGateway, thawGateway},
	natsKill:        {killNATS, startNATS},
	natsFreeze:      {freezeNATS, thawNATS},
	leaderChange:    {changeLeader, nil},
	linkCut:         {onLinks(func(k *link, _ Fault) { k.setCut(true) }), onLinks(func(k *link, _ Fault) { k.setCut(false) })},
	linkSilent:      {onLinks(func(k *link, _ Fault) { k.setSilent(true) }), onLinks(func(k *link, _ Fault) { k.setSilent(false) })},
	linkDelay:       {onLinks(func(k *link, f Fault) { k.setDelay(f.delay()) }), onLinks(func(k *link, _ Fault) { k.setDelay(0) })},
	haproxyRestart:  {killHAProxy, restartHAProxy},
	ringTruncated:   {damageRing(truncateRing), startGateway},
	ringCorrupted:   {damageRing(corruptRing), startGateway},
	ringRemoved:     {damageRing(removeRing), startGateway},
	diskFull:        {fillDisk, emptyDisk},
	clockStepped:    {stepClock, setClockRight},
	streamPurged:    {purgeStream, nil},
	slowReaders:     {stopReading, readOn},
	connectionStorm: {storm, nil},
}

func killGateway(r *run, _ context.Context, f Fault) error {
	return r.rig.stop(r.rig.gateways[f.Target].process, syscall.SIGKILL)
}

func termGateway(r *run, _ context.Context, f Fault) error {
	return r.rig.stop(r.rig.gateways[f.Target].process, syscall.SIGTERM)
}

func startGateway(r *run, ctx context.Context, f Fault) error {
	g := r.rig.gateways[f.Target]
	return r.rig.start(ctx, g.process, g.addr)
}

// restartGateways restarts one after the other as a rollout does: the next when the
// one before is ready. One that is not for a while, since NATS is away, does not stop
// the rollout for ever.
func restartGateways(r *run, ctx context.Context, f Fault) error {
	for i, g := range r.rig.gateways {
		f.Target = i
		if err := termGateway(r, ctx, f); err != nil {
			return err
		}
		if err := startGateway(r, ctx, f); err != nil {
			return err
		}
		if err := awaitOK(ctx, "http://"+g.addr+"/readyz"); err != nil {
			return err
		}
	}
	return nil
}

func freezeGateway(r *run, _ context.Context, f Fault) error {
	return r.rig.gateways[f.Target].process.signal(syscall.SIGSTOP)
}

func thawGateway(r *run, _ context.Context, f Fault) error {
	return r.rig.gateways[f.Target].process.signal(syscall.SIGCONT)
}

func killNATS(r *run, _ context.Context, f Fault) error {
	return r.rig.stop(r.rig.nats[f.Target].process, syscall.SIGKILL)
}

func startNATS(r *run, ctx context.Context, f Fault) error {
	n := r.rig.nats[f.Target]
	return r.rig.start(ctx, n.process, n.client, n.cluster)
}

func freezeNATS(r *run, _ context.Context, f Fault) error {
	return r.rig.nats[f.Target].process.signal(syscall.SIGSTOP)
}

func thawNATS(r *run, _ context.Context, f Fault) error {
	return r.rig.nats[f.Target].process.signal(syscall.SIGCONT)
}

// Requests to NATS that make a fault are repeated while another fault keeps them from
// being answered.
const (
	requestTimeout = 2 * time.Second
	requestPeriod  = 30 * time.Second
)

// ask repeats a request until it succeeds.
func ask(ctx context.Context, what string, request func(context.Context) error) error {
	var last error
	err := poll(ctx, requestPeriod, func() bool {
		attempt, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		last = request(attempt)
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, errors.Join(last, err))
	}
	return nil
}

func changeLeader(r *run, ctx context.Context, _ Fault) error {
	return ask(ctx, "step the leader down", func(ctx context.Context) error {
		_, err := r.rig.conn.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+streamName, nil)
		return err
	})
}

// onLinks makes a change to every link of the fault's network.
func onLinks(change func(*link, Fault)) func(*run, context.Context, Fault) error {
	return func(r *run, _ context.Context, f Fault) error {
		for _, k := range r.rig.network(f.Target) {
			change(k, f)
		}
		return nil
	}
}

// delay is what a network is delayed by: 20 to 520 ms.
func (f Fault) delay() time.Duration {
	return 20*time.Millisecond + time.Duration(f.Amount*500)*time.Millisecond
}

func killHAProxy(r *run, _ context.Context, _ Fault) error { return r.rig.haproxy.end(syscall.SIGKILL) }

func restartHAProxy(r *run, ctx context.Context, _ Fault) error {
	return r.rig.start(ctx, r.rig.haproxy, r.rig.frontend)
}

// damageRing kills the gateway and does something to its file.
func damageRing(damage func(file string, f Fault) error) func(*run, context.Context, Fault) error {
	return func(r *run, ctx context.Context, f Fault) error {
		if err := killGateway(r, ctx, f); err != nil {
			return err
		}
		err := damage(r.rig.gateways[f.Target].ringFile(), f)
		if errors.Is(err, os.ErrNotExist) { // it had no time to make one
			return nil
		}
		return err
	}
}

func truncateRing(file string, f Fault) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	return os.Truncate(file, int64(f.Amount*float64(info.Size())))
}

// corruptRing writes noise over 1 to 16 pages of the file, one of them among the first
// eight, where most of what bbolt needs is.
func corruptRing(file string, f Fault) error {
	const page = 4096
	out, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	info, err := out.Stat()
	if err != nil {
		return err
	}
	pages := info.Size() / page
	rng := rand.New(rand.NewPCG(uint64(f.Number), uint64(f.Amount*1e9)))
	for i := range 1 + rng.IntN(16) {
		at := rng.Int64N(max(1, pages))
		if i == 0 {
			at = rng.Int64N(max(1, min(8, pages)))
		}
		noise := make([]byte, page)
		for j := range noise {
			noise[j] = byte(rng.Uint32())
		}
		if _, err := out.WriteAt(noise, at*page); err != nil {
			return err
		}
	}
	return nil
}

func removeRing(file string, _ Fault) error { return os.Remove(file) }

// filler takes what is left of a disk.
const filler = "filler"

func fillDisk(r *run, _ context.Context, _ Fault) error {
	out, err := os.Create(filepath.Join(r.rig.gateways[smallDisk].dataDir, filler))
	if err != nil {
		return err
	}
	defer out.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for {
			if _, err := out.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

func emptyDisk(r *run, _ context.Context, _ Fault) error {
	return os.Remove(filepath.Join(r.rig.gateways[smallDisk].dataDir, filler))
}

// purgeStream leaves up to 100 events. What is gone is noted before it is: no client
// may be told of a gap that nobody knows of.
func purgeStream(r *run, ctx context.Context, f Fault) error {
	var stream jetstream.Stream
	if err := ask(ctx, "look at the stream", func(ctx context.Context) (err error) {
		stream, err = r.rig.js.Stream(ctx, streamName)
		return err
	}); err != nil {
		return err
	}
	last, keep := stream.CachedInfo().State.LastSeq, uint64(f.Amount*100)
	if last <= keep {
		return nil
	}
	r.ledger.notePurge(last - keep)
	return ask(ctx, "purge the stream", func(ctx context.Context) error {
		return stream.Purge(ctx, jetstream.WithPurgeSequence(last-keep+1))
	})
}

// stopReading has the slow readers stop, and publishes more than the sockets on their
// way hold.
func stopReading(r *run, _ context.Context, _ Fault) error {
	r.gate.shut()
	r.bursts.Go(r.burst)
	return nil
}

func readOn(r *run, _ context.Context, _ Fault) error {
	r.gate.lift()
	return nil
}
