package main

import (
	"ringcast/broker"
	"ringcast/cmd/internal/config"
	"ringcast/transport/gateway"
)

// status reports the parts behind the gateway.
func (s *server) status() gateway.Status {
	return gateway.Status{Version: version().version, Ring: s.ringStatus(), NATS: s.natsStatus()}
}

func (s *server) ringStatus() gateway.RingStatus {
	stats := s.ring.Stats()
	status := gateway.RingStatus{
		Events: int(stats.Events), Bytes: stats.Cost, FileBytes: stats.FileSize,
		MaxEvents: stats.MaxEvents, MaxBytes: stats.MaxBytes, MaxAge: stats.MaxAge.Seconds(),
	}
	if stats.Bounds.Empty() {
		return status
	}
	status.Newest = &stats.Bounds.Head
	if oldest, ok := s.oldest(stats.Bounds); ok {
		status.Oldest = &oldest
	}
	return status
}

// everything matches all events.
var everything = func() broker.Filter {
	f, err := broker.NewFilter([]string{">"}, nil)
	if err != nil {
		panic(err) // a constant
	}
	return f
}()

// oldest returns the first event after the floor; ok is false where it was evicted
// a moment ago.
func (s *server) oldest(b broker.Bounds) (id broker.ID, ok bool) {
	page, err := s.ring.Read(b.Floor.Seq, everything, broker.Limits{Events: 1, Bytes: 1})
	if err != nil || len(page.Events) == 0 {
		return broker.ID{}, false
	}
	return page.Events[0].ID, true
}

func (s *server) natsStatus() gateway.NATSStatus {
	client, reader := s.client.Status(), s.reader.Status()
	status := gateway.NATSStatus{
		Connected: client.Connected,
		URL:       config.RedactURLs(s.natsURL()),
		Lag:       reader.Lag,
		CaughtUp:  reader.CaughtUp && !reader.Mirror.Diverged,
		Error:     client.LastError,
	}
	if status.Error != "" {
		return status
	}
	if err := s.streamProblem(); err != nil {
		status.Error = err.Error()
	} else {
		status.Error = reader.Problem
	}
	return status
}
