//go:build linux

package faults

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// link is the network between two parts: a listener that stands for the far one.
// While nothing is wrong it forwards bytes as they come.
//
// It behaves as a network does where that is seen by a connecting side: towards a
// process that is down, and while the link is cut, a connection is refused and not
// accepted first; while it is silent, packets that would open a connection are
// dropped.
type link struct {
	name   string
	addr   string // where it listens, always
	target string

	mu     sync.Mutex // guards what follows; nothing blocks while it is held
	l      *net.TCPListener
	failed func(error)
	up     bool // the target runs
	cut    bool
	delay  time.Duration
	open   map[*pipe]struct{}
	closed bool
	// flowing is closed while bytes flow; set anew by silence.
	flowing chan struct{}
	silent  bool
}

// newLink returns a link to target, and listens. failed is told when it cannot listen
// again.
func newLink(name, target string, failed func(error)) (*link, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	k := &link{name: name, addr: addr, target: target, failed: failed, open: map[*pipe]struct{}{}, flowing: make(chan struct{}), up: true}
	close(k.flowing)
	return k, k.listenLocked() // nobody else has it yet
}

// Ports below those that the kernel hands out for outgoing connections: what listens
// there can be restarted without finding its port taken.
const (
	lowestPort  = 12000
	highestPort = 31999
)

// taken are the addresses that were handed out: who got one listens there later.
var taken sync.Map

// freeAddress returns an address of this machine at which nobody listens, and which nobody
// else here got.
func freeAddress() (string, error) {
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+rand.IntN(highestPort-lowestPort)))
		if _, before := taken.LoadOrStore(addr, true); before {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no free port")
}

// setUp tells the link whether its target runs.
func (k *link) setUp(up bool) { k.change(func() { k.up = up }) }

// setCut resets all connections and refuses new ones, or ends that.
func (k *link) setCut(cut bool) { k.change(func() { k.cut = cut }) }

// setDelay has every byte come so much later, in both directions.
func (k *link) setDelay(d time.Duration) { k.change(func() { k.delay = d }) }

// setSilent has nothing come through, without a word to either side, or ends that.
// Connections that are still open then go on.
func (k *link) setSilent(silent bool) {
	k.change(func() {
		switch {
		case silent && !k.silent:
			k.flowing = make(chan struct{})
		case !silent && k.silent:
			close(k.flowing)
		}
		k.silent = silent
	})
}

func (k *link) close() { k.change(func() { k.closed = true }) }

// change applies a change, and brings listener and connections in line with it.
func (k *link) change(apply func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	apply()
	if listens := k.up && !k.cut && !k.closed; listens != (k.l != nil) {
		if listens {
			if err := k.listenLocked(); err != nil {
				k.failed(err)
			}
		} else {
			k.l.Close()
			k.l = nil
		}
	}
	if k.l != nil {
		backlog := 1024
		if k.silent {
			backlog = 0 // with one connection waiting the kernel drops what asks for another
		}
		setBacklog(k.l, backlog)
	}
	if k.cut || k.closed {
		for p := range k.open {
			p.reset()
		}
	}
}

// listenLocked listens at the link's own address.
func (k *link) listenLocked() error {
	l, err := net.Listen("tcp", k.addr)
	if err != nil {
		return fmt.Errorf("link %s: %w", k.name, err)
	}
	k.l = l.(*net.TCPListener)
	go k.accept(k.l)
	return nil
}

// setBacklog changes how many connections may wait to be accepted.
func setBacklog(l *net.TCPListener, n int) {
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.Listen(int(fd), n) })
}

func (k *link) accept(l *net.TCPListener) {
	for {
		k.awaitFlow()
		conn, err := l.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // too many files for a moment
		}
		go k.forward(conn)
	}
}

// awaitFlow returns when the link is not silent.
func (k *link) awaitFlow() {
	k.mu.Lock()
	flowing := k.flowing
	k.mu.Unlock()
	<-flowing
}

func (k *link) forward(near *net.TCPConn) {
	k.awaitFlow()
	conn, err := net.DialTimeout("tcp", k.target, 5*time.Second)
	if err != nil {
		_ = near.SetLinger(0) // a reset, as from a machine whose process is gone
		near.Close()
		return
	}
	p := &pipe{near: near, far: conn.(*net.TCPConn)}
	p.narrow()
	k.mu.Lock()
	if k.cut || k.closed {
		k.mu.Unlock()
		p.reset()
		return
	}
	k.open[p] = struct{}{}
	k.mu.Unlock()

	var done sync.WaitGroup
	done.Go(func() { k.copy(p, p.far, p.near) })
	done.Go(func() { k.copy(p, p.near, p.far) })
	done.Wait()
	k.mu.Lock()
	delete(k.open, p)
	k.mu.Unlock()
	p.near.Close()
	p.far.Close()
}

// pipe is one connection: its two halves.
type pipe struct{ near, far *net.TCPConn }

// linkBuffer is what each socket of a link takes; left to itself the kernel has it take
// megabytes, and a client that does not read is felt by nobody for as long.
const linkBuffer = 128 << 10

func (p *pipe) narrow() {
	for _, conn := range []*net.TCPConn{p.near, p.far} {
		_ = conn.SetReadBuffer(linkBuffer)  // fails where the connection has,
		_ = conn.SetWriteBuffer(linkBuffer) // which is noticed next
	}
}

func (p *pipe) reset() {
	_ = p.near.SetLinger(0)
	_ = p.far.SetLinger(0)
	p.near.Close()
	p.far.Close()
}

// piece is bytes under way.
type piece struct {
	due   time.Time
	bytes []byte
}

// piecesUnderWay bounds what a delayed direction holds, with copyBuffer each.
const (
	piecesUnderWay = 16
	copyBuffer     = 8 << 10
)

// copy moves one direction until it ends: cleanly, which is passed on, or not.
func (k *link) copy(p *pipe, to, from *net.TCPConn) {
	pieces := make(chan piece, piecesUnderWay)
	var writing sync.WaitGroup
	failed := make(chan struct{})
	writing.Go(func() { k.write(p, to, pieces, failed) })
	err := k.read(from, pieces, failed)
	close(pieces)
	writing.Wait()
	if err == nil {
		_ = to.CloseWrite()
		return
	}
	p.reset()
}

// read sends what comes to pieces; nil means a clean end.
func (k *link) read(from *net.TCPConn, pieces chan<- piece, failed <-chan struct{}) error {
	buffer := make([]byte, copyBuffer)
	for {
		k.awaitFlow()
		n, err := from.Read(buffer)
		if n > 0 {
			k.mu.Lock()
			delay := k.delay
			k.mu.Unlock()
			select {
			case pieces <- piece{time.Now().Add(delay), append([]byte(nil), buffer[:n]...)}:
			case <-failed:
				return net.ErrClosed
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// write writes pieces when they are due. At the first failure it closes failed and
// drops the rest.
func (k *link) write(p *pipe, to *net.TCPConn, pieces <-chan piece, failed chan<- struct{}) {
	broken := false
	for next := range pieces {
		if broken {
			continue
		}
		if wait := time.Until(next.due); wait > 0 {
			time.Sleep(wait)
		}
		k.awaitFlow()
		if _, err := to.Write(next.bytes); err != nil {
			broken = true
			close(failed)
			p.reset()
		}
	}
}
