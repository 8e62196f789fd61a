package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"time"
)

// pool is many clients on one epoll loop. It belongs to one goroutine: nothing
// happens to a client but within poll.
type pool struct {
	epoll   int
	ready   []syscall.EpollEvent
	buffer  []byte
	clients []client

	Options
	address syscall.Sockaddr
	family  int
	primed  bool   // of the target
	run     uint64 // whose events count

	streaming int // clients whose stream is open
	greeted   int // clients that have had a greeting
	closed    int // clients whose stream the server has ended
	received  uint64
	strayed   uint64 // events of a subject that the client does not follow
	gaps      uint64
	wire      uint64 // bytes read

	latency     histogram
	latencyFrom int64 // events due before are not in latency
	now         int64 // when what is being read had arrived
}

type client struct {
	pool      *pool
	fd        int
	stream    stream
	first     uint32  // the first subject it follows
	tallies   []tally // of each that it follows
	fallen    uint64  // events whose id is lower than the one before; counted when conflated
	seq       uint64  // of the newest id, likewise
	streaming bool
	greeted   bool
}

// readBuffer is as large as a socket's receive buffer gets before the kernel
// grows it; a client with more to read is read again at once.
const readBuffer = 256 << 10

func newPool(o Options) (*pool, error) {
	tcp, err := net.ResolveTCPAddr("tcp", o.host())
	if err != nil {
		return nil, err
	}
	p := &pool{
		ready:       make([]syscall.EpollEvent, 1024),
		buffer:      make([]byte, readBuffer),
		clients:     make([]client, 0, o.Clients+1), // the one is the probe of a resume
		Options:     o,
		primed:      targetNamed(o.Target).primed,
		run:         rand.Uint64(),
		latencyFrom: now(),
	}
	p.address, p.family = sockaddr(tcp)
	if p.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return p, nil
}

func sockaddr(a *net.TCPAddr) (syscall.Sockaddr, int) {
	if v4 := a.IP.To4(); v4 != nil {
		return &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(v4)}, syscall.AF_INET
	}
	return &syscall.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}, syscall.AF_INET6
}

// connect opens the connection of one more client. It follows the given number of
// subjects from the one of that number on, and the first event of each is to have the
// place first.
func (p *pool) connect(subject, subjects int, first uint64) (*client, error) {
	fd, err := syscall.Socket(p.family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	p.clients = append(p.clients, client{pool: p, fd: fd, first: uint32(subject), tallies: make([]tally, subjects)})
	c := &p.clients[len(p.clients)-1]
	for i := range c.tallies {
		c.tallies[i].next = first
	}
	c.stream.gzip, c.stream.keepID = p.Gzip, p.Conflate > 0
	if err := p.dial(c); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return c, nil
}

// dial connects while the socket still blocks: on one machine that takes no
// longer, and a full accept queue slows the benchmark down instead of failing it.
func (p *pool) dial(c *client) error {
	if err := syscall.Connect(c.fd, p.address); err != nil {
		return err
	}
	// Closing then leaves no TIME_WAIT, of which some 28,000 use up the ports.
	if err := syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := syscall.SetNonblock(c.fd, true); err != nil {
		return err
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(len(p.clients) - 1)}
	return syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, c.fd, &event)
}

// ask sends a client's request, which always fits into the buffer of a new socket.
func (p *pool) ask(c *client, request []byte) error {
	n, err := syscall.Write(c.fd, request)
	if err == nil && n < len(request) {
		err = errors.New("cut short")
	}
	if err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	return nil
}

// poll reads what has arrived, having waited for it up to timeout.
func (p *pool) poll(timeout time.Duration) error {
	n, err := syscall.EpollWait(p.epoll, p.ready, int((timeout+time.Millisecond-1)/time.Millisecond))
	if err != nil && err != syscall.EINTR {
		return fmt.Errorf("wait for events: %w", err)
	}
	for _, event := range p.ready[:max(n, 0)] {
		if err := p.read(&p.clients[event.Fd]); err != nil {
			return fmt.Errorf("client %d: %w", event.Fd+1, err)
		}
	}
	return nil
}

// read makes one read(2): epoll, level-triggered, reports again what is left.
func (p *pool) read(c *client) error {
	n, err := syscall.Read(c.fd, p.buffer)
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil
	case err != nil || n <= 0:
		return p.closedByServer(c)
	}
	p.now = now()
	p.wire += uint64(n)
	if err := c.stream.feed(p.buffer[:n], c); err != nil {
		return err
	}
	if c.stream.state == ended {
		return p.closedByServer(c)
	}
	if !c.streaming && c.stream.open() && (c.stream.ided || !p.primed) {
		c.streaming = true
		p.streaming++
	}
	return nil
}

func (p *pool) closedByServer(c *client) error {
	if !c.streaming {
		return errors.New("the server ended the stream before it began")
	}
	p.closed++
	return p.drop(c)
}

func (p *pool) drop(c *client) error {
	if c.fd < 0 {
		return nil
	}
	c.stream.close()
	err := syscall.Close(c.fd)
	c.fd = -1
	return err
}

// event takes an event of the client's stream.
func (c *client) event(s stamp) {
	if s.run != c.pool.run {
		return
	}
	if i := s.subject - c.first; i >= uint32(len(c.tallies)) { // also where it is lower
		c.pool.strayed++
		return
	} else if !c.tallies[i].count(s.place) {
		return
	}
	if c.pool.Conflate > 0 {
		c.checkID()
	}
	c.pool.received++
	if s.due >= c.pool.latencyFrom {
		c.pool.latency.record(c.pool.now - s.due)
	}
}

// other takes an event without a stamp: a greeting.
func (c *client) other() {
	if !c.greeted {
		c.greeted = true
		c.pool.greeted++
	}
}

// checkID checks that ids do not fall from one event to the next: whoever resumed
// from one in between would miss something. In what is not conflated, where nothing
// may be missing, the places say the same.
func (c *client) checkID() {
	seq := leadingNumber(c.stream.lastID)
	if seq < c.seq {
		c.fallen++
	}
	c.seq = seq
}

func (c *client) gap() { c.pool.gaps++ }

// pollUntil polls until done, or ctx is, or nothing has come for patience.
func (p *pool) pollUntil(ctx context.Context, patience time.Duration, done func() bool) error {
	progress, since := p.progress(), now()
	for !done() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.poll(100 * time.Millisecond); err != nil {
			return err
		}
		if made := p.progress(); made != progress {
			progress, since = made, now()
		}
		if time.Duration(now()-since) > patience {
			return errStalled
		}
	}
	return nil
}

func (p *pool) progress() uint64 {
	return p.received + uint64(p.streaming) + uint64(p.greeted) + uint64(p.closed)
}

// close ends all connections.
func (p *pool) close() error {
	errs := []error{syscall.Close(p.epoll)}
	for i := range p.clients {
		errs = append(errs, p.drop(&p.clients[i]))
	}
	return errors.Join(errs...)
}

// ownCPU returns the processor time that this process has used.
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
