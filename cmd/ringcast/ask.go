package main

import (
	"context"

	"ringcast/transport/ask"
)

// openDesk makes what has questions answered, for the gateway to have. It begins with
// startPeers.
func (s *server) openDesk(context.Context) (err error) {
	answers := s.cfg.AnswersSubject()
	if answers == "" {
		return nil
	}
	s.desk, err = ask.New(ask.Options{
		Answers:        answers,
		Hub:            s.hub,
		Log:            s.ring,
		History:        s.history,
		Publisher:      s.client,
		Conn:           s.client.Core(),
		Peers:          s.peers,
		AcceptTimeout:  s.cfg.AskAcceptTimeout,
		FirstTimeout:   s.cfg.AskFirstTimeout,
		SilenceTimeout: s.cfg.AskSilence,
		Abandoned:      s.cfg.AskAbandoned,
		MaxBytes:       int64(s.cfg.AskMaxBytes),
		Logger:         s.log,
	})
	return err
}
