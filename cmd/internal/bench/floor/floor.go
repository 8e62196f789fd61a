//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"unsafe"
)

// floor is a server of one thread on one epoll. net/http in its place made an event
// of row "own", which goes to one client, cost 120 µs where nchan took 60: nearly all
// of that was taking in what is published, so it was no floor.
type floor struct {
	url      string
	listener int
	epoll    int
	// unread is the beginning of a request, by the connection that it came from.
	unread map[int][]byte
	// clients are the connections that follow a subject.
	clients map[string][]int
	events  int
}

// backlog is how many connections may wait to be accepted.
const backlog = 4096

func listen() (*floor, error) {
	f := &floor{unread: make(map[int][]byte), clients: make(map[string][]int)}
	var err error
	if f.listener, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	if err := syscall.Bind(f.listener, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	if err := syscall.Listen(f.listener, backlog); err != nil {
		return nil, err
	}
	address, err := syscall.Getsockname(f.listener)
	if err != nil {
		return nil, err
	}
	f.url = fmt.Sprintf("http://127.0.0.1:%d", address.(*syscall.SockaddrInet4).Port)
	if f.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	return f, f.await(f.listener)
}

// await has the epoll, which is level-triggered, tell when fd can be read.
func (f *floor) await(fd int) error {
	return syscall.EpollCtl(f.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

func (f *floor) run() error {
	ready, buffer := make([]syscall.EpollEvent, 256), make([]byte, 64<<10)
	for {
		n, err := wait(f.epoll, ready)
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		for _, event := range ready[:n] {
			if err := f.handle(int(event.Fd), buffer); err != nil {
				return err
			}
		}
	}
}

// wait is epoll_wait(2), in the form that every architecture has, without telling Go's
// scheduler that the thread sleeps. Told, it takes note in a thread of its own each
// time, which on a server that is idle in between cost nearly as much again as all
// the rest: 82 µs an event against 46 in row "own". Untold, it interrupts the wait a
// hundred times a second, to no effect.
func wait(epoll int, ready []syscall.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&ready[0])), uintptr(len(ready)), forEver, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EINTR:
		return 0, nil
	}
	return 0, errno
}

// forEver is the time-out -1.
const forEver = ^uintptr(0)

// handle takes a connection, or what one has sent. The sockets block: nothing is
// read unless there is something, and a write waits only for a client whose buffer
// is full.
func (f *floor) handle(fd int, buffer []byte) error {
	if fd == f.listener {
		conn, _, err := syscall.Accept4(fd, syscall.SOCK_CLOEXEC)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		if err := syscall.SetsockoptInt(conn, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		return f.await(conn)
	}
	n, err := syscall.Read(fd, buffer)
	if err != nil || n == 0 {
		delete(f.unread, fd)
		return syscall.Close(fd) // its place among the clients stays: a run has no others after it
	}
	return f.request(fd, append(f.unread[fd], buffer[:n]...))
}

// request answers a request, or keeps it until there is more of it.
func (f *floor) request(fd int, p []byte) error {
	head, rest, complete := bytes.Cut(p, []byte("\r\n\r\n"))
	length, err := contentLength(head)
	if err != nil {
		return err
	}
	if !complete || len(rest) < length {
		f.unread[fd] = bytes.Clone(p)
		return nil
	}
	delete(f.unread, fd)
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	method, target, _ := bytes.Cut(line, []byte(" "))
	path, _, _ := bytes.Cut(target, []byte(" "))
	switch subject := string(path[min(len("/sub/"), len(path)):]); {
	case string(method) == "GET":
		f.clients[subject] = append(f.clients[subject], fd)
		write(fd, []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"))
	default:
		f.publish(subject, rest)
		write(fd, []byte("HTTP/1.1 204 No Content\r\n\r\n"))
	}
	return nil
}

func contentLength(head []byte) (int, error) {
	const field = "\r\nContent-Length: "
	at := bytes.Index(head, []byte(field))
	if at < 0 {
		return 0, nil
	}
	value, _, _ := bytes.Cut(head[at+len(field):], []byte("\r\n"))
	n, err := strconv.Atoi(string(value))
	if err != nil {
		return 0, fmt.Errorf("read a request: %w", err)
	}
	return n, nil
}

// publish makes one write(2) for each client.
func (f *floor) publish(subject string, body []byte) {
	f.events++
	event := fmt.Sprintf("data: %s\nid: %d\n\n", body, f.events)
	chunk := fmt.Appendf(nil, "%x\r\n%s\r\n", len(event), event)
	for _, fd := range f.clients[subject] {
		write(fd, chunk)
	}
}

// write ignores a client that has gone: that costs the write and no more.
func write(fd int, p []byte) {
	for len(p) > 0 {
		n, err := syscall.Write(fd, p)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
		p = p[max(n, 0):]
	}
}
