package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"ringcast/broker"
	"ringcast/transport/sse"
)

// Subscription is an open stream, as /v1/subscriptions shows it.
type Subscription struct {
	// Instance is the gateway that it is on.
	Instance string `json:"instance"`
	// Identity is the sub of its token, at most 256 bytes of it; empty without.
	Identity string `json:"identity"`
	Address  string `json:"address"`
	// Subjects are at most shownSubjects; MoreSubjects is how many there are besides.
	Subjects     []string  `json:"subjects"`
	MoreSubjects int       `json:"more_subjects,omitempty"`
	Types        []string  `json:"types,omitempty"`
	Format       string    `json:"format"`
	Compressed   bool      `json:"compressed"`
	Carrier      string    `json:"carrier"`
	Since        time.Time `json:"since"`
	// Position is the sequence up to which the client was given what matches, and
	// Behind how many sequences the gateway holds after it.
	Position uint64 `json:"position"`
	Behind   uint64 `json:"behind"`
}

const (
	// askSubscriptions is what the gateways ask each other, and askTimeout how long they
	// wait for the answers.
	askSubscriptions = "subscriptions"
	askTimeout       = time.Second
	// maxSubscriptionsBytes bounds an answer of one gateway: a NATS server takes 1 MiB
	// unless it is configured otherwise.
	maxSubscriptionsBytes = 512 << 10
	shownSubjects         = 20
	shownIdentity         = 256
)

// subscriptionsQuery is which streams are asked for.
type subscriptionsQuery struct {
	// Subject is a pattern that the stream's subjects overlap; empty for all.
	Subject  string  `json:"subject,omitempty"`
	Identity *string `json:"identity,omitempty"`
	Limit    int     `json:"limit"`
}

// subscriptions is what one gateway answers.
type subscriptions struct {
	Instance string `json:"instance"`
	// Streams is how many are open, and Matching how many of these are asked for.
	Streams  int               `json:"streams"`
	Matching int               `json:"matching"`
	List     []json.RawMessage `json:"list"` // of Subscription
}

// instanceFigures is what is told of one gateway.
type instanceFigures struct {
	Instance string `json:"instance"`
	Streams  int    `json:"streams"`
	Matching int    `json:"matching"`
}

// subscriptionsAnswer is the answer of getSubscriptions.
type subscriptionsAnswer struct {
	Time      time.Time         `json:"time"`
	Total     int               `json:"total"`
	List      []Subscription    `json:"subscriptions"`
	Instances []instanceFigures `json:"instances"`
	Missing   []string          `json:"missing"`
}

// getSubscriptions is GET /v1/subscriptions, an operator's call: who is connected to
// what, on all gateways of the stream.
func (s *Server) getSubscriptions(c echo.Context) error {
	if err := s.mayAdmin(c, "subscriptions"); err != nil {
		return err
	}
	q, err := parseSubscriptions(c.QueryParams())
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.JSON(http.StatusOK, s.askSubscriptions(c.Request().Context(), q))
}

func parseSubscriptions(query url.Values) (subscriptionsQuery, error) {
	q := subscriptionsQuery{Limit: defaultLimit}
	var bad badRequest
	for name, values := range query {
		value := values[0]
		var err error
		switch name {
		case "subject":
			q.Subject = value
			_, err = broker.NewFilter([]string{value}, nil)
		case "identity":
			q.Identity = &value
		case "limit":
			q.Limit, err = parseCount(value, maxLimit)
		default:
			err = fmt.Errorf("is no parameter: there are subject, identity, limit")
		}
		if len(values) > 1 {
			err = fmt.Errorf("is given %d times", len(values))
		}
		bad.add(name, err)
	}
	return q, bad.err()
}

// parseCount reads a number from 1 to most.
func parseCount(value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%q is not a number from 1 to %d", value, most)
	}
	return n, nil
}

// askSubscriptions puts together what this gateway and the others answer.
func (s *Server) askSubscriptions(ctx context.Context, q subscriptionsQuery) subscriptionsAnswer {
	answer := subscriptionsAnswer{List: []Subscription{}, Missing: []string{}}
	answer.add(s.subscriptions(q))
	if s.opts.Peers != nil {
		s.askPeers(ctx, q, &answer)
	}
	answer.Time = time.Now().UTC()
	slices.SortFunc(answer.List, compareSubscriptions)
	answer.List = answer.List[:min(len(answer.List), q.Limit)]
	return answer
}

func (s *Server) askPeers(ctx context.Context, q subscriptionsQuery, answer *subscriptionsAnswer) {
	question, err := json.Marshal(q)
	if err != nil {
		return // which texts and a number cannot cause
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers, missing, err := s.opts.Peers.Ask(ctx, askSubscriptions, question)
	if err != nil { // NATS is away
		missing = s.opts.Peers.View().Peers
	}
	for _, a := range answers {
		var one subscriptions
		if json.Unmarshal(a.Body, &one) != nil {
			missing = append(missing, a.Peer)
			continue
		}
		answer.add(one)
	}
	for _, p := range missing {
		answer.Missing = append(answer.Missing, p.Name)
	}
}

func (a *subscriptionsAnswer) add(one subscriptions) {
	a.Total += one.Matching
	a.Instances = append(a.Instances, instanceFigures{one.Instance, one.Streams, one.Matching})
	for _, raw := range one.List {
		var sub Subscription
		if json.Unmarshal(raw, &sub) == nil {
			sub.Instance = one.Instance
			a.List = append(a.List, sub)
		}
	}
}

// compareSubscriptions puts first those that are furthest behind, and among them those
// that have been open for longest.
func compareSubscriptions(a, b Subscription) int {
	return cmp.Or(cmp.Compare(b.Behind, a.Behind), a.Since.Compare(b.Since), strings.Compare(a.Instance, b.Instance))
}

// answerSubscriptions answers another gateway.
func (s *Server) answerSubscriptions(question []byte) []byte {
	var q subscriptionsQuery
	if err := json.Unmarshal(question, &q); err != nil {
		return nil
	}
	answer, err := json.Marshal(s.subscriptions(q))
	if err != nil {
		return nil // which texts and numbers cannot cause
	}
	return answer
}

// subscriptions returns this gateway's streams that are asked for: those furthest
// behind, as far as q.Limit and the bytes of an answer go.
func (s *Server) subscriptions(q subscriptionsQuery) subscriptions {
	all := s.connections()
	answer := subscriptions{Instance: s.instance(), Streams: len(all)}
	all = slices.DeleteFunc(all, func(c connection) bool { return !c.matches(q) })
	answer.Matching = len(all)
	for i := range all {
		all[i].position, all[i].behind = all[i].sub.Lag()
	}
	slices.SortFunc(all, func(a, b connection) int {
		return cmp.Or(cmp.Compare(b.behind, a.behind), cmp.Compare(a.since, b.since))
	})
	size := 0
	for i := range all[:min(len(all), max(q.Limit, 0), maxLimit)] {
		b, err := json.Marshal(s.describe(&all[i]))
		if size += len(b); err != nil || size > maxSubscriptionsBytes {
			break
		}
		answer.List = append(answer.List, b)
	}
	return answer
}

func (s *Server) instance() string {
	if s.opts.Peers == nil {
		return ""
	}
	return s.opts.Peers.Self().Name
}

// connection is a stream as one can look at it from outside. What it points to does not
// change while the stream lasts, but for the subscription's lag.
type connection struct {
	*lease
	sub      *broker.Subscription
	encoding *encoding
	carrier  carrier

	position, behind uint64
}

// connections returns all streams. It takes each shard's lock for copying its list:
// 60 kB of 7,500 streams.
func (s *Server) connections() []connection {
	all := s.carried.list()
	for _, sh := range s.shards {
		for _, st := range sh.list() {
			all = append(all, connection{lease: &st.lease, sub: st.sub, encoding: st.encoding, carrier: takenOver})
		}
	}
	return all
}

func (c *connection) matches(q subscriptionsQuery) bool {
	return (q.Subject == "" || c.sub.Filter().Overlaps(q.Subject)) && (q.Identity == nil || c.client.Subject == *q.Identity)
}

func (s *Server) describe(c *connection) Subscription {
	f := c.sub.Filter()
	subjects := f.Subjects()
	shown := subjects[:min(len(subjects), shownSubjects)]
	return Subscription{
		Identity:     c.client.Subject[:min(len(c.client.Subject), shownIdentity)],
		Address:      c.from(),
		Subjects:     shown,
		MoreSubjects: len(subjects) - len(shown),
		Types:        f.Types()[:min(len(f.Types()), shownSubjects)],
		Format:       sse.Format(c.encoding.number % formats).String(),
		Compressed:   c.encoding.gzip,
		Carrier:      carriers[c.carrier],
		Since:        s.born.Add(c.since).UTC(),
		Position:     c.position,
		Behind:       c.behind,
	}
}

// from returns the address, empty where it was none.
func (l *lease) from() string {
	if !l.address.IsValid() {
		return ""
	}
	return l.address.String()
}

// parseAddress reads an address that a request came from. It is kept as what it is: 24
// bytes for each stream, where the text would take more.
func parseAddress(text string) netip.Addr {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// carried are the streams that net/http carries.
type carried struct {
	mu   sync.Mutex // guards open; held for one look or change, or to copy it
	open map[*response]struct{}
}

func (c *carried) add(st *response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*response]struct{}{}
	}
	c.open[st] = struct{}{}
}

func (c *carried) remove(st *response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, st)
}

func (c *carried) list() []connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]connection, 0, len(c.open))
	for st := range c.open {
		all = append(all, connection{lease: &st.lease, sub: st.sub, encoding: st.encoding, carrier: netHTTP})
	}
	return all
}
