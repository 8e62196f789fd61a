package main

import (
	"context"
	"fmt"
	"net"

	"ringcast/transport/access"
)

// openAccess makes the policy of who may do what. Without keys and without a word
// about anonymous clients, everybody on this machine may do everything, and nobody
// else anything. Behind a proxy everybody is on this machine: one that is trusted to say
// where they are from says that others come.
func (s *server) openAccess(ctx context.Context) (err error) {
	keys := s.tokenKeys()
	if keys == nil && len(s.cfg.Anonymous) == 0 {
		if isLoopback(s.cfg.Listen.Host) && len(s.cfg.TrustedProxies) == 0 {
			s.access = access.Everybody()
			return nil
		}
		s.log.Warn("nobody may subscribe or publish: configure keys for tokens, or anonymous", "listen", s.cfg.Listen.String())
	}
	s.access, err = access.New(ctx, access.Options{
		Keys:       keys,
		Algorithms: s.cfg.JWTAlgorithms,
		Issuer:     string(s.cfg.JWTIssuer),
		Audience:   string(s.cfg.JWTAudience),
		Leeway:     s.cfg.JWTLeeway,
		Cookie:     string(s.cfg.TokenCookie),
		Rules:      access.Rules(s.cfg.Rules),
		Anonymous:  access.Rules(s.cfg.Anonymous),
		Callout:    s.callout(),
		Logger:     s.log,
	})
	if err != nil {
		return fmt.Errorf("configure access: %w", err)
	}
	ctx, s.stopKeys = context.WithCancel(context.Background())
	s.running.Go(func() { s.access.Run(ctx) })
	return nil
}

func (s *server) closeAccess() error {
	if s.stopKeys != nil {
		s.stopKeys()
	}
	return nil
}

// tokenKeys returns where the keys for tokens are; nil where there are none.
func (s *server) tokenKeys() access.KeySource {
	switch {
	case s.cfg.JWTSecret != "":
		return access.SecretFile(s.cfg.JWTSecret)
	case s.cfg.JWTPublicKey != "":
		return access.PublicKeyFile(s.cfg.JWTPublicKey)
	case s.cfg.JWKSURL != "":
		return access.JWKS{URL: string(s.cfg.JWKSURL)}
	}
	return nil
}

// callout returns who is asked about subscriptions: nobody by default.
func (s *server) callout() access.Callout {
	if s.cfg.Callout == "" {
		return access.Callout{}
	}
	return access.Callout{Asker: s.client, Subject: string(s.cfg.Callout), Timeout: s.cfg.CalloutTimeout}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
