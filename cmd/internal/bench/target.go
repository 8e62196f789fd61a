package bench

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// target is a kind of server: where its streams are and where it is published to
// over HTTP.
type target struct {
	name string
	// stream and publish return the path, with query, of a subject.
	stream, publish func(subject string) string
	// primed says that a stream begins with the id of its position, which tells
	// that it is subscribed. Elsewhere the head of the answer does.
	primed bool
	// resumes says that Last-Event-ID means something.
	resumes bool
	// wildcards says that stream takes a NATS wildcard, conflates that it has the
	// parameter.
	wildcards, conflates bool
	overNATS             bool
}

var targets = []target{
	{
		name:      "ringcast",
		stream:    func(s string) string { return "/v1/stream?subject=" + url.QueryEscape(s) },
		publish:   func(s string) string { return "/v1/publish/" + s },
		primed:    true,
		resumes:   true,
		wildcards: true,
		conflates: true,
		overNATS:  true,
	},
	{
		name:    "nchan",
		stream:  func(s string) string { return "/sub/" + s },
		publish: func(s string) string { return "/pub/" + s },
		resumes: true,
	},
	{
		name:    "floor",
		stream:  func(s string) string { return "/sub/" + s },
		publish: func(s string) string { return "/pub/" + s },
	},
}

// Targets returns the names of the kinds of server.
func Targets() (names []string) {
	for _, t := range targets {
		names = append(names, t.name)
	}
	return names
}

// targetNamed returns the zero target for an unknown name.
func targetNamed(name string) target {
	if i := slices.IndexFunc(targets, func(t target) bool { return t.name == name }); i >= 0 {
		return targets[i]
	}
	return target{}
}

// request returns the request for the stream of a subject. It is a browser's, so
// that the server treats it like one.
func (o Options) request(subject, lastEventID string) []byte {
	path := targetNamed(o.Target).stream(subject)
	if o.Conflate > 0 {
		path += "&conflate=" + o.Conflate.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, o.host())
	b.WriteString("Accept: text/event-stream\r\nCache-Control: no-cache\r\n")
	if o.Gzip {
		b.WriteString("Accept-Encoding: gzip\r\n")
	}
	if lastEventID != "" {
		fmt.Fprintf(&b, "Last-Event-ID: %s\r\n", lastEventID)
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}
