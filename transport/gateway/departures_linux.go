package gateway

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// departures notices the clients that leave, with one goroutine for all. A goroutine
// for each, in Read, took 2.9 KiB of the 6.4 KiB that an idle client took.
type departures struct {
	// epoll is the instance that watches the connections, and is itself waited for
	// like a connection.
	epoll *os.File
	raw   syscall.RawConn

	// mu guards streams, by descriptor. It is held for one look or change.
	mu      sync.Mutex
	streams []*stream
}

const epollEdge = 1 << 31 // syscall.EPOLLET has a sign

func newDepartures() (*departures, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll instance: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // so that os.File waits for it
		return nil, errors.Join(fmt.Errorf("create epoll instance: %w", err), syscall.Close(fd))
	}
	d := &departures{epoll: os.NewFile(uintptr(fd), "epoll")}
	if d.raw, err = d.epoll.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("create epoll instance: %w", err), d.epoll.Close())
	}
	return d, nil
}

// watch has the stream ended when its client leaves.
func (d *departures) watch(st *stream) error {
	var err error
	if ctl := st.raw.Control(func(fd uintptr) {
		d.put(int(fd), st)
		event := syscall.EpollEvent{Fd: int32(fd), Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | epollEdge}
		err = d.control(syscall.EPOLL_CTL_ADD, int(fd), &event)
	}); ctl != nil {
		err = ctl
	}
	if err != nil {
		return fmt.Errorf("watch connection: %w", err)
	}
	return nil
}

func (d *departures) control(op, fd int, event *syscall.EpollEvent) error {
	var err error
	if ctl := d.raw.Control(func(epoll uintptr) { err = syscall.EpollCtl(int(epoll), op, fd, event) }); ctl != nil {
		return ctl
	}
	return err
}

// forget is called before the stream's connection is closed, which takes it out of
// the epoll instance.
func (d *departures) forget(st *stream) {
	_ = st.raw.Control(func(fd uintptr) { d.put(int(fd), nil) }) // fails for what is closed
}

func (d *departures) put(fd int, st *stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if missing := fd + 1 - len(d.streams); missing > 0 {
		d.streams = append(d.streams, make([]*stream, missing)...)
	}
	d.streams[fd] = st
}

func (d *departures) get(fd int) *stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.streams[fd]
}

// run ends streams until close.
func (d *departures) run() {
	events := make([]syscall.EpollEvent, 128)
	for {
		n := 0
		err := d.raw.Read(func(epoll uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(epoll), events, 0)
			return err == nil && n > 0
		})
		if err != nil {
			return // closed
		}
		for _, event := range events[:n] {
			// What is told of a descriptor may be of the one that had its number
			// before: then there is nothing to read.
			if st := d.get(int(event.Fd)); st != nil && st.hasLeft() {
				st.end()
			}
		}
	}
}

func (d *departures) close() { _ = d.epoll.Close() }

// hasLeft reports whether the client has closed its side, or has sent more than it
// may. What it has sent is read and ignored.
func (st *stream) hasLeft() bool {
	left := false
	err := st.raw.Read(func(fd uintptr) bool {
		var b [512]byte
		for {
			n, err := syscall.Read(int(fd), b[:])
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				return true
			case err != nil || n == 0:
				left = true
				return true
			}
			if st.ignored += n; st.ignored > maxIgnored {
				left = true
				return true
			}
		}
	})
	return left || err != nil
}
