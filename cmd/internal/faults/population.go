//go:build linux

package faults

import (
	"fmt"
	"net/url"

	"ringcast/broker"
)

// makeClients makes them all, of every library some of each kind of subscription.
func (r *run) makeClients() {
	for i := range r.opt.Clients {
		r.addClient(libraries[i%len(libraries)], subscription(i/len(libraries)), nil)
	}
	for range r.opt.SlowReaders {
		r.addClient(ringcastGo, url.Values{"subject": {"events.burst.>", "events.room.a.*"}}, r.gate)
	}
}

// subscription returns one of ten kinds, with other subjects each time.
func subscription(i int) url.Values {
	room, seat := string(rune('a'+i/10%rooms)), i/10%seats
	switch i % 10 {
	case 0, 1:
		return url.Values{"subject": {steadySubjects}}
	case 2, 3:
		return url.Values{"subject": {"events.room." + room + ".*"}}
	case 4:
		return url.Values{"subject": {fmt.Sprintf("events.room.*.%d", seat)}}
	case 5:
		return url.Values{"subject": {steadySubjects}, "conflate": {"200ms"}}
	case 6:
		return url.Values{"subject": {"events.room.b.0", "events.room.c.1", "events.room.d.*"}}
	}
	return url.Values{"subject": {fmt.Sprintf("events.room.%s.%d", room, (seat+i)%seats)}}
}

func (r *run) addClient(library string, query url.Values, g *gate) {
	r.clients = append(r.clients, r.newClient(fmt.Sprintf("%03d %s", len(r.clients), library), library, query, g))
}

func (r *run) newClient(name, library string, query url.Values, g *gate) *client {
	name += " " + query.Encode()
	filter, err := broker.NewFilter(query["subject"], nil)
	if err != nil {
		panic(err) // the subjects are this package's
	}
	var follows []string
	for _, s := range append(burstNames(), r.subjects...) {
		if filter.MatchesSubject(s) {
			follows = append(follows, s)
		}
	}
	query.Set("from", r.begin.String())
	r.tally.added(library)
	return &client{
		library: library, query: query, tally: r.tally, gate: g,
		checker: newChecker(name, follows, query.Has("conflate"), r.begin.Seq, r.ledger, r.violated),
	}
}

func burstNames() []string {
	names := make([]string, burstSubjects)
	for i := range names {
		names[i] = fmt.Sprintf("events.burst.%d", i)
	}
	return names
}
