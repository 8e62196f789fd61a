package main

import (
	"context"

	"ringcast/transport/peers"
	"ringcast/transport/presence"
)

// meetPeers makes what the gateways of the stream know each other by, and tell presence
// with, for the gateway to have. They begin with startPeers.
func (s *server) meetPeers(context.Context) (err error) {
	s.peers = peers.New(peers.Options{
		Conn:   s.client.Core(),
		Stream: string(s.cfg.Stream),
		Name:   string(s.cfg.Instance),
		Logger: s.log,
	})
	if len(s.cfg.Presence) == 0 {
		return nil
	}
	s.presence, err = presence.New(presence.Options{
		Patterns:  s.cfg.Presence,
		Hub:       s.hub,
		Log:       s.ring,
		History:   s.history,
		Publisher: s.client,
		Peers:     s.peers,
		Grace:     s.cfg.PresenceGrace,
		Logger:    s.log,
	})
	return err
}

// startPeers makes this gateway known to the others, and has it take part in what they do
// together.
func (s *server) startPeers(context.Context) error {
	var ctx context.Context
	ctx, s.stopMeeting = context.WithCancel(context.Background()) // it ends in its turn
	s.running.Go(func() {
		if err := s.peers.Run(ctx); err != nil {
			s.failed <- err
		}
	})
	if s.presence != nil {
		s.running.Go(func() { s.presence.Run(ctx) })
	}
	if s.desk != nil {
		s.running.Go(func() { s.desk.Run(ctx) })
	}
	return nil
}

// stopPeers has the others told, once this gateway has no streams any more.
func (s *server) stopPeers() error {
	if s.stopMeeting != nil {
		s.stopMeeting()
	}
	return nil
}
