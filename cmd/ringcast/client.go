package main

import (
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
