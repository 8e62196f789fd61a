package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"ringcast/cmd/internal/config"
)

// gatewayURL is the flag --url of the commands that call a gateway.
type gatewayURL string

func addURLFlag(flags *pflag.FlagSet) *gatewayURL {
	u := gatewayURL("http://127.0.0.1:8080")
	if fromEnv := os.Getenv(config.ClientURLEnv); fromEnv != "" {
		u = gatewayURL(fromEnv)
	}
	flags.StringVar((*string)(&u), "url", string(u), "the gateway (environment: "+config.ClientURLEnv+")")
	return &u
}

// caller makes the requests of the commands that call a gateway, with a token where
// there is one.
type caller struct {
	tokenFile string
	transport *http.Transport
}

func addTokenFlag(flags *pflag.FlagSet) *caller {
	c := &caller{transport: http.DefaultTransport.(*http.Transport).Clone()}
	flags.StringVar(&c.tokenFile, "token-file", os.Getenv(config.TokenFileEnv),
		"file with the token to send, read anew for each request (environment: "+config.TokenFileEnv+")")
	return c
}

func (c *caller) client() *http.Client { return &http.Client{Transport: c} }

func (c *caller) close() { c.transport.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper. Where a redirect leads to the token is not
// sent: it is the gateway's.
func (c *caller) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.tokenFile != "" && r.Response == nil {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read token: %w", err)
		}
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return c.transport.RoundTrip(r)
}

// join returns the URL of a path of the gateway. The base may have a path of its
// own, where a proxy puts the gateway below one.
func (u gatewayURL) join(path ...string) (*url.URL, error) {
	base, err := url.Parse(string(u))
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, usagef("--url %q is not the URL of a gateway: allowed is http://host:port or https://", strings.TrimSpace(string(u)))
	}
	for i := range path {
		path[i] = url.PathEscape(path[i])
	}
	return base.JoinPath(path...), nil
}
