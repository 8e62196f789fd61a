package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// publisher publishes the payloads of each subject in order. It takes the payload
// over. All but close is for
// one goroutine; close ends a publish or flush under way.
type publisher interface {
	publish(subject int, payload []byte) error
	// flush returns once all that was published is with the server, acknowledged
	// where the way of publishing has that.
	flush(context.Context) error
	close()
}

func newPublisher(o Options) (publisher, error) {
	switch o.Publish {
	case OverHTTP:
		return newHTTPPublisher(o)
	case OverNATS:
		return newNATSPublisher(o)
	default:
		return newJetStreamPublisher(o)
	}
}

// ackTimeout is how long the NATS server may be silent before publishing has failed.
const ackTimeout = 30 * time.Second

// natsPublisher publishes without acknowledgement.
type natsPublisher struct {
	conn     *nats.Conn
	closed   chan struct{} // closed when the connection is
	subjects []string
}

func newNATSPublisher(o Options) (*natsPublisher, error) {
	closed := make(chan struct{})
	conn, err := nats.Connect(o.NATSURL, nats.NoReconnect(), nats.Name("ringcast bench"),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return &natsPublisher{conn, closed, o.subjectNames()}, nil
}

func (p *natsPublisher) publish(subject int, payload []byte) error {
	return p.conn.Publish(p.subjects[subject], payload)
}

func (p *natsPublisher) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	return p.conn.FlushWithContext(ctx)
}

// close returns once the library's goroutines have been told.
func (p *natsPublisher) close() {
	p.conn.Close()
	<-p.closed
}

// jetStreamPublisher publishes ahead of the acknowledgements, which it only counts:
// the client library's futures cost more than JetStream's own work on an event.
type jetStreamPublisher struct {
	natsPublisher
	inbox   string
	sent    uint64
	acked   atomic.Uint64
	news    chan struct{}         // has one when acked has grown or refused is set
	refused atomic.Pointer[error] // the first event that was not stored
}

// maxUnacknowledged is how many events may await their acknowledgement: the
// default of the client library.
const maxUnacknowledged = 4000

func newJetStreamPublisher(o Options) (*jetStreamPublisher, error) {
	plain, err := newNATSPublisher(o)
	if err != nil {
		return nil, err
	}
	p := &jetStreamPublisher{natsPublisher: *plain, inbox: nats.NewInbox(), news: make(chan struct{}, 1)}
	if _, err := p.conn.Subscribe(p.inbox, p.acknowledged); err != nil {
		p.conn.Close()
		return nil, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	return p, nil
}

// acknowledged takes {"stream":"…","seq":…}, or an error of JetStream's or, without
// a body, of the NATS server's, which knows no stream for the subject.
func (p *jetStreamPublisher) acknowledged(ack *nats.Msg) {
	if !bytes.HasPrefix(ack.Data, []byte(`{"stream":`)) || bytes.Contains(ack.Data, []byte(`"error":`)) {
		err := fmt.Errorf("not stored: %s%s", ack.Data, ack.Header.Get("Status"))
		p.refused.CompareAndSwap(nil, &err)
	}
	p.acked.Add(1)
	select {
	case p.news <- struct{}{}:
	default:
	}
}

func (p *jetStreamPublisher) publish(subject int, payload []byte) error {
	if err := p.await(context.Background(), maxUnacknowledged-1); err != nil {
		return err
	}
	p.sent++
	return p.conn.PublishRequest(p.subjects[subject], p.inbox, payload)
}

func (p *jetStreamPublisher) flush(ctx context.Context) error { return p.await(ctx, 0) }

// await waits until at most pending events are unacknowledged.
func (p *jetStreamPublisher) await(ctx context.Context, pending uint64) error {
	for {
		if refused := p.refused.Load(); refused != nil {
			return *refused
		}
		if p.sent-p.acked.Load() <= pending {
			return nil
		}
		if err := p.awaitNews(ctx); err != nil {
			return err
		}
	}
}

func (p *jetStreamPublisher) awaitNews(ctx context.Context) error {
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	select {
	case <-p.news:
		return nil
	case <-p.closed:
		return errPublisherClosed
	case <-timeout.C:
		return errors.New("no acknowledgement comes any more")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// httpPublisher publishes by the target's call. A subject keeps to one connection,
// which waits for each answer: that keeps the order.
type httpPublisher struct {
	paths []string // of the subjects
	conns []*httpConn
	quit  chan struct{} // closed by close
	done  sync.WaitGroup
}

// maxHTTPConns is over how many connections subjects are spread.
const maxHTTPConns = 8

type httpConn struct {
	conn    net.Conn
	answers *bufio.Reader
	queue   chan httpPublication
	failed  atomic.Pointer[error] // the first failure, after which nothing is sent
}

// httpPublication is an event, or a marker: then all before it has been published.
type httpPublication struct {
	path    string
	payload []byte
	reached chan<- struct{} // of a marker
}

// queuedPublications is how many may wait for a connection before publish does.
const queuedPublications = 16

func newHTTPPublisher(o Options) (*httpPublisher, error) {
	p := &httpPublisher{quit: make(chan struct{})}
	t := targetNamed(o.Target)
	for _, subject := range o.subjectNames() {
		p.paths = append(p.paths, t.publish(subject))
	}
	for range min(o.Subjects, maxHTTPConns) {
		conn, err := net.Dial("tcp", o.host())
		if err != nil {
			p.close()
			return nil, fmt.Errorf("connect the publisher: %w", err)
		}
		c := &httpConn{conn: conn, answers: bufio.NewReader(conn), queue: make(chan httpPublication, queuedPublications)}
		p.conns = append(p.conns, c)
		p.done.Go(func() { c.run(o.host(), p.quit) })
	}
	return p, nil
}

var errPublisherClosed = errors.New("the publisher is closed")

func (p *httpPublisher) publish(subject int, payload []byte) error {
	c := p.conns[subject%len(p.conns)]
	if failed := c.failed.Load(); failed != nil {
		return *failed
	}
	select {
	case c.queue <- httpPublication{path: p.paths[subject], payload: payload}:
		return nil
	case <-p.quit:
		return errPublisherClosed
	}
}

func (p *httpPublisher) flush(ctx context.Context) error {
	for _, c := range p.conns {
		if err := p.mark(ctx, c); err != nil {
			return err
		}
		if failed := c.failed.Load(); failed != nil {
			return *failed
		}
	}
	return nil
}

// mark waits until what is queued at a connection has been published.
func (p *httpPublisher) mark(ctx context.Context, c *httpConn) error {
	queue, reached := c.queue, make(chan struct{})
	for {
		select {
		case queue <- httpPublication{reached: reached}:
			queue = nil
		case <-reached:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-p.quit:
			return errPublisherClosed
		}
	}
}

func (p *httpPublisher) close() {
	close(p.quit)
	for _, c := range p.conns {
		c.conn.Close()
	}
	p.done.Wait()
}

// run sends what is queued until quit is closed.
func (c *httpConn) run(host string, quit <-chan struct{}) {
	for {
		select {
		case next := <-c.queue:
			c.handle(host, next)
		case <-quit:
			return
		}
	}
}

func (c *httpConn) handle(host string, next httpPublication) {
	if next.reached != nil {
		close(next.reached)
		return
	}
	if c.failed.Load() != nil {
		return
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", next.path, host, len(next.payload))
	if err := c.post(append([]byte(head), next.payload...)); err != nil {
		c.failed.Store(&err)
	}
}

// answerTimeout bounds the wait for one answer.
const answerTimeout = 30 * time.Second

func (c *httpConn) post(request []byte) error {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return nil
}
