package peers

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Options configures a Network. Conn and Stream are required; elsewhere the zero value
// stands for the default.
type Options struct {
	Conn *nats.Conn
	// Stream is the name of the stream whose gateways know each other.
	Stream string
	// Name is what people know this gateway by. Default: its run.
	Name string
	// Beat is how often a gateway says that it is here. Default: 2 s.
	Beat time.Duration
	// Gone is after which silence a gateway is taken for gone. Default: 10 s.
	Gone time.Duration
	// Logger gets a record when a gateway comes or is gone. Default: none.
	Logger *slog.Logger
}

func (o Options) withDefaults(run string) Options {
	if o.Name == "" {
		o.Name = run
	}
	if o.Beat <= 0 {
		o.Beat = 2 * time.Second
	}
	if o.Gone <= 0 {
		o.Gone = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// maxPeers bounds the gateways that are known. A beat is trusted as far as NATS is:
// whoever may publish there could make up any number of them.
const maxPeers = 1000

// Peer is another gateway.
type Peer struct {
	// Run is the number of its run, and Name what people know it by.
	Run, Name string
	// Leaving reports that it has said that it shuts down. It answers nothing any more.
	Leaving bool
}

// View is what a gateway knows of the others.
type View struct {
	Peers []Peer // sorted by Run
	// Since is when it began to hear of them without a break; zero where it does not.
	Since time.Time
}

// Handler answers a question. It is not called for one's own.
type Handler func(question []byte) (answer []byte)

// Network is this gateway among those of its stream.
type Network struct {
	opts Options
	run  string

	mu       sync.Mutex // guards what follows; nothing blocks while it is held
	handlers map[string]Handler
	known    map[string]*known
	since    time.Time
	looked   time.Time
}

// known is what is known of another gateway, by its run.
type known struct {
	Peer
	heard time.Time
}

// beat is what a gateway says of itself.
type beat struct {
	Run  string `json:"run"`
	Name string `json:"instance"`
	// Hello asks the others to show themselves at once.
	Hello   bool `json:"hello,omitempty"`
	Leaving bool `json:"leaving,omitempty"`
}

// maxName bounds a gateway's name in bytes.
const maxName = 128

// New returns a network that nobody has been told of yet.
func New(opts Options) *Network {
	run := strings.ToLower(rand.Text()[:10])
	return &Network{opts: opts.withDefaults(run), run: run, handlers: map[string]Handler{}, known: map[string]*known{}}
}

// Self returns this gateway.
func (n *Network) Self() Peer { return Peer{Run: n.run, Name: n.opts.Name} }

// Gone returns after which silence a gateway is taken for gone.
func (n *Network) Gone() time.Duration { return n.opts.Gone }

// Handle has a question answered by h. It is called before Run.
func (n *Network) Handle(question string, h Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers[question] = h
}

// View returns what is known of the others.
func (n *Network) View() View {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := View{Since: n.since}
	for _, k := range n.known {
		v.Peers = append(v.Peers, k.Peer)
	}
	slices.SortFunc(v.Peers, func(a, b Peer) int { return strings.Compare(a.Run, b.Run) })
	return v
}

// Run makes the gateway known to the others, and answers them, until ctx is done; then
// it tells them that it leaves.
func (n *Network) Run(ctx context.Context) error {
	stop, err := n.listen()
	if err != nil {
		return fmt.Errorf("listen to peers: %w", err)
	}
	defer stop()
	ticker := time.NewTicker(n.opts.Beat)
	defer ticker.Stop()
	for {
		n.look(time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			n.say(beat{Leaving: true})
			_ = n.opts.Conn.FlushTimeout(time.Second) // without a connection nobody is told: they notice
			return nil
		}
	}
}

// listen subscribes to the others. What it returns ends that, and waits for handlers.
func (n *Network) listen() (stop func(), err error) {
	var subs []*nats.Subscription
	var open sync.WaitGroup
	stop = func() {
		for _, sub := range subs {
			_ = sub.Unsubscribe() // fails only with the connection
		}
		open.Wait()
	}
	for subject, handle := range map[string]nats.MsgHandler{n.subject("beat"): n.hear, n.subject("ask.*"): n.answer} {
		sub, err := n.opts.Conn.Subscribe(subject, handle)
		if err != nil {
			stop()
			return nil, err
		}
		open.Add(1)
		sub.SetClosedHandler(func(string) { open.Done() })
		subs = append(subs, sub)
	}
	return stop, nil
}

func (n *Network) subject(what string) string { return "_ringcast." + n.opts.Stream + "." + what }

// look says that this gateway is here and forgets those that are gone. Without a
// connection nobody can be heard, nor while this process was stopped: then nobody is
// gone.
func (n *Network) look(now time.Time) {
	connected := n.opts.Conn.IsConnected()
	n.mu.Lock()
	begins := connected && (n.since.IsZero() || now.Sub(n.looked) > n.opts.Gone/2)
	switch {
	case !connected:
		n.since = time.Time{}
	case begins:
		n.since = now
	}
	n.looked = now
	var gone []Peer
	for run, k := range n.known {
		if begins {
			k.heard = now
		}
		if connected && now.Sub(k.heard) > n.opts.Gone {
			gone = append(gone, k.Peer)
			delete(n.known, run)
		}
	}
	n.mu.Unlock()
	for _, p := range gone {
		n.opts.Logger.Info("another gateway is gone", "instance", p.Name, "run", p.Run, "left", p.Leaving)
	}
	if connected {
		n.say(beat{Hello: begins})
	}
}

func (n *Network) say(b beat) {
	b.Run, b.Name = n.run, n.opts.Name
	body, err := json.Marshal(b)
	if err == nil {
		_ = n.opts.Conn.Publish(n.subject("beat"), body) // what does not come is silence
	}
}

// hear takes in what another gateway says of itself.
func (n *Network) hear(m *nats.Msg) {
	var b beat
	if err := json.Unmarshal(m.Data, &b); err != nil || b.Run == "" || len(b.Run) > maxName || len(b.Name) > maxName || b.Run == n.run {
		return
	}
	if n.note(b, time.Now()) {
		n.opts.Logger.Info("another gateway is here", "instance", b.Name, "run", b.Run)
	}
	if b.Hello {
		n.say(beat{})
	}
}

// note reports whether the gateway is new.
func (n *Network) note(b beat, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.known[b.Run]
	switch {
	case k == nil && (b.Leaving || len(n.known) >= maxPeers):
		return false
	case k == nil:
		n.known[b.Run] = &known{Peer: Peer{Run: b.Run, Name: b.Name}, heard: now}
		return true
	case !k.Leaving: // a beat that comes after it was sent before
		k.heard, k.Leaving = now, b.Leaving
	}
	return false
}

// Answer is what one gateway answered.
type Answer struct {
	Peer
	Body []byte
}

// headerRun and headerName tell whose answer it is.
const (
	headerRun  = "Ringcast-Run"
	headerName = "Ringcast-Instance"
)

// answer answers a question of another gateway.
func (n *Network) answer(m *nats.Msg) {
	question := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	n.mu.Lock()
	h := n.handlers[question]
	n.mu.Unlock()
	if h == nil || m.Reply == "" || m.Header.Get(headerRun) == n.run {
		return
	}
	reply := nats.NewMsg(m.Reply)
	reply.Header.Set(headerRun, n.run)
	reply.Header.Set(headerName, n.opts.Name)
	reply.Data = h(m.Data)
	_ = n.opts.Conn.PublishMsg(reply) // who asks will miss it
}

// Ask asks all others and returns when all that are known have answered, or ctx is
// done. missing are those that have not answered by then. The error says that nobody
// could be asked.
func (n *Network) Ask(ctx context.Context, question string, body []byte) (answers []Answer, missing []Peer, err error) {
	waiting := map[string]Peer{}
	for _, p := range n.View().Peers {
		if !p.Leaving {
			waiting[p.Run] = p
		}
	}
	if len(waiting) == 0 {
		return nil, nil, nil
	}
	if answers, err = n.ask(ctx, question, body, waiting); err != nil {
		return nil, nil, fmt.Errorf("ask peers: %w", err)
	}
	for _, p := range waiting {
		missing = append(missing, p)
	}
	slices.SortFunc(missing, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
	return answers, missing, nil
}

// ask takes those who answer out of waiting.
func (n *Network) ask(ctx context.Context, question string, body []byte, waiting map[string]Peer) (answers []Answer, err error) {
	inbox, err := n.opts.Conn.SubscribeSync(n.opts.Conn.NewInbox())
	if err != nil {
		return nil, err
	}
	defer func() { _ = inbox.Unsubscribe() }() // fails only with the connection
	m := nats.NewMsg(n.subject("ask." + question))
	m.Reply = inbox.Subject
	m.Header.Set(headerRun, n.run)
	m.Data = body
	if err := n.opts.Conn.PublishMsg(m); err != nil {
		return nil, err
	}
	for len(waiting) > 0 {
		reply, err := inbox.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, nats.ErrNoResponders):
			return answers, nil
		case err != nil:
			return nil, err
		}
		run := reply.Header.Get(headerRun)
		if run == "" { // the server's: nobody listens
			return answers, nil
		}
		if len(answers) == maxPeers {
			return answers, nil
		}
		answers = append(answers, Answer{Peer{Run: run, Name: reply.Header.Get(headerName)}, reply.Data})
		delete(waiting, run)
	}
	return answers, nil
}
