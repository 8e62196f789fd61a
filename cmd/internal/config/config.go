package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"ringcast/broker"
	"ringcast/transport/jetstream"
)

// Config holds every setting of `ringcast serve` and `ringcast demo`. The tags
// of a field are
//
//	name     the flag, the key of the file and, in upper case with
//	         underscores after RINGCAST_, the environment variable
//	default  as one would write it in the file
//	min, max the bounds, where there are any
//	allowed  what may be written, for error messages and the reference;
//	         bounds are added by themselves
//	doc      one sentence or two
type Config struct {
	Listen  Address `name:"listen" default:"127.0.0.1:8080" doc:"Address on which the gateway serves HTTP. Port 0 takes a free one."`
	TLSCert File    `name:"tls-cert" default:"" doc:"Certificate (PEM, with its chain) to serve HTTPS with, and so HTTP/2; needs tls-key. A browser has six connections at most to an origin over HTTP/1.1, and one for all streams over HTTP/2. Both files are looked at every 10 s, and taken over when they have changed."`
	TLSKey  File    `name:"tls-key" default:"" doc:"Private key (PEM) of tls-cert."`
	DataDir string  `name:"data-dir" default:"./data" allowed:"a folder; made when missing" doc:"Where the ring file and the embedded NATS server's streams are kept."`

	NATSURL     NATSURL `name:"nats-url" default:"" doc:"The NATS servers to connect to. Empty runs one inside this process. The URL may carry a password or token; better to pass it in the environment or the file than as a flag, which other users of the machine can see."`
	NATSListen  Address `name:"nats-listen" default:"127.0.0.1:4222" doc:"Client address of the embedded NATS server. Port 0 or -1 takes a free one, and -1 alone is 127.0.0.1:-1."`
	NATSCreds   File    `name:"nats-creds" default:"" doc:"Credentials file (JWT and seed) for nats-url."`
	NATSTLSCA   File    `name:"nats-tls-ca" default:"" doc:"CA certificates (PEM) that the servers of nats-url are checked against; the system's where empty."`
	NATSTLSCert File    `name:"nats-tls-cert" default:"" doc:"Client certificate (PEM) for nats-url; needs nats-tls-key."`
	NATSTLSKey  File    `name:"nats-tls-key" default:"" doc:"Private key (PEM) of nats-tls-cert."`

	Stream          StreamName    `name:"stream" default:"EVENTS" doc:"The JetStream stream. Made when missing; an existing one is checked and not changed (see manage-stream)."`
	Subjects        Subjects      `name:"subjects" default:"events.>" doc:"The subjects of the stream, and the only ones that can be published to or subscribed to."`
	Filter          Filter        `name:"filter" default:"" doc:"Take in, and serve, only these of the subjects: so that several gateways, or groups of them, share the work of one stream. Empty: all."`
	StreamMaxAge    time.Duration `name:"stream-max-age" default:"168h" min:"1s" doc:"How long the stream keeps an event."`
	StreamMaxBytes  Size          `name:"stream-max-bytes" default:"1GiB" min:"1MiB" doc:"How much the stream keeps; the oldest goes first."`
	StreamMaxEvents int64         `name:"stream-max-events" default:"10000000" min:"1" doc:"How many events the stream keeps."`
	StreamReplicas  int64         `name:"stream-replicas" default:"1" min:"1" max:"5" doc:"On how many servers of a NATS cluster the stream is stored. Unless this is set, an existing stream keeps its own number."`
	MirrorDomain    Domain        `name:"mirror-domain" default:"" doc:"Make the stream, when missing, as a mirror of the one of the same name in this JetStream domain: for gateways in another region. An existing stream is taken for what it is, mirror or not."`
	ManageStream    bool          `name:"manage-stream" default:"false" doc:"Change an existing stream to these settings instead of only checking it."`

	RingMaxAge    time.Duration `name:"ring-max-age" default:"24h" min:"1s" doc:"How long the local ring keeps an event. Older ones are read from the stream."`
	RingMaxBytes  Size          `name:"ring-max-bytes" default:"256MiB" min:"1MiB" doc:"How much the local ring keeps: payloads, subjects and types."`
	RingMaxEvents int64         `name:"ring-max-events" default:"1000000" min:"1" doc:"How many events the local ring keeps."`

	Heartbeat       time.Duration `name:"heartbeat" default:"15s" min:"1s" doc:"How often a quiet stream sends a sign of life. Keep it below the read timeout of every proxy in between."`
	Retry           time.Duration `name:"retry" default:"2s" min:"1ms" doc:"How long clients are told to wait before they reconnect."`
	WriteTimeout    time.Duration `name:"write-timeout" default:"30s" min:"1s" doc:"How long a write to a client that does not read may take before its connection is cut."`
	Compression     bool          `name:"compression" default:"false" doc:"Compress streams with gzip for clients that accept it. Every event is compressed once for all of them. Events of a few hundred bytes that come one by one do not get much smaller."`
	DrainTime       time.Duration `name:"drain-time" default:"10s" min:"0s" max:"10m" doc:"Over how long the streams are cut on shutdown, one after the other, so that not all clients come back to the other gateways at once. Few streams take less: 200 a second are cut at least."`
	ShutdownTimeout time.Duration `name:"shutdown-timeout" default:"10s" min:"0s" doc:"How long open requests get to end on shutdown, after drain-time, before their connections are cut."`
	PublishMaxBytes Size          `name:"publish-max-bytes" default:"1MiB" min:"1B" max:"64MiB" doc:"The largest payload that the HTTP publish call takes. An external NATS server has a limit of its own, 1MiB unless configured."`
	TicketKey       KeyFile       `name:"ticket-key-file" default:"" doc:"Key that tickets are signed with (see the protocol), the same for all gateways that shall take each other's. Empty makes one that lasts until the process ends."`
	TicketTTL       time.Duration `name:"ticket-ttl" default:"5m" min:"1s" max:"24h" doc:"How long a ticket opens streams."`
	MaxStreams      int64         `name:"max-streams" default:"0" min:"0" doc:"How many streams may be open at a time. 0: as many as the limit of open files allows, less a tenth."`
	MaxPerIdentity  int64         `name:"max-streams-per-identity" default:"100" min:"0" doc:"How many streams the holders of tokens with the same claim sub may have open. 0: no limit."`
	MaxPerAddress   int64         `name:"max-streams-per-address" default:"0" min:"0" doc:"How many streams one address (of IPv6, one /64) may have open. 0: no limit, since behind a proxy that is not among trusted-proxies all clients have one address."`
	MaxSubjects     int64         `name:"max-subjects" default:"1000" min:"1" max:"1000" doc:"How many subjects a stream may name."`
	ConnectRate     int64         `name:"connect-rate" default:"0" min:"0" doc:"How many streams and pages a second one address may ask for; ten times that at once. 0: no limit. After a restart all clients come back: those refused wait, but a browser's own EventSource gives up."`
	PublishRate     int64         `name:"publish-rate" default:"0" min:"0" doc:"How many events a second the holders of tokens with the same claim sub, or an address without one, may publish over HTTP; ten times that at once. 0: no limit."`
	HistoryReads    int64         `name:"history-concurrency" default:"16" min:"1" max:"256" doc:"How many readers may ask the stream at a time for what has left the ring; others wait. Each takes about 8 MiB."`
	TrustedProxies  Prefixes      `name:"trusted-proxies" default:"" doc:"The proxies whose X-Forwarded-For is believed. From any other it is ignored."`
	StreamLifetime  time.Duration `name:"stream-lifetime" default:"0s" min:"0s" doc:"How long a stream lasts at most, before its client has to come back. 0s: no limit."`
	CORSOrigins     Origins       `name:"cors-origins" default:"" doc:"Web origins besides the gateway's own whose pages may call it. * allows every one, without credentials."`
	Presence        Patterns      `name:"presence" default:"" doc:"The subjects on which it is told who is there (see the protocol): joins and leaves are events, on the subject with $presence as its second token."`
	PresenceGrace   time.Duration `name:"presence-grace" default:"10s" min:"1s" max:"10m" doc:"How long one may be away, to reload a page or to come back after a cut, without a leave being told."`
	Instance        Name          `name:"instance" default:"" doc:"What this gateway is called where an operator sees several; the name of its pod, say. Empty: at random."`

	Answers          Subject       `name:"answers" default:"" doc:"What the subjects of answers to questions begin with (see the protocol), within subjects, and filter where there is one. Empty: the token answers after the first of these that ends with >, as in events.answers; where there is none, no questions are answered."`
	AskAcceptTimeout time.Duration `name:"ask-accept-timeout" default:"10s" min:"100ms" max:"5m" doc:"How long a worker has to accept a question."`
	AskFirstTimeout  time.Duration `name:"ask-first-timeout" default:"1m" min:"1s" max:"1h" doc:"How long a worker that has accepted a question has for the answer's first event."`
	AskSilence       time.Duration `name:"ask-silence-timeout" default:"1m" min:"1s" max:"1h" doc:"How long a worker may be silent in the middle of an answer, before that ends with an error."`
	AskMaxBytes      Size          `name:"ask-max-answer-bytes" default:"4MiB" min:"1KiB" max:"1GiB" doc:"The largest answer, over all of its events."`
	AskAbandoned     time.Duration `name:"ask-abandoned" default:"0s" min:"0s" max:"24h" doc:"How long an answer goes on that no stream on any gateway reads. 0s: to its end."`

	JWTSecret      KeyFile       `name:"jwt-secret-file" default:"" doc:"Secret that tokens are signed with by HMAC. Read again every minute, as the other keys are: streams opened with a key that is gone are cut."`
	JWTPublicKey   File          `name:"jwt-public-key-file" default:"" doc:"Public key, or several, that tokens are verified with (PEM: RSA, P-256, P-384, P-521 or Ed25519)."`
	JWKSURL        HTTPURL       `name:"jwks-url" default:"" doc:"Where an identity provider publishes the keys of its tokens, as a JSON Web Key Set."`
	JWTAlgorithms  Algorithms    `name:"jwt-algorithms" default:"" doc:"The only algorithms that tokens may be signed with. Empty: HS256 with a secret; else RS256, EdDSA, and of the ES algorithms that of the key's curve."`
	JWTIssuer      Text          `name:"jwt-issuer" default:"" doc:"What a token's claim iss has to be; anything where empty."`
	JWTAudience    Text          `name:"jwt-audience" default:"" doc:"What a token's claim aud has to be, or have in it; anything where empty."`
	JWTLeeway      time.Duration `name:"jwt-leeway" default:"10s" min:"0s" max:"5m" doc:"How far the clocks of the tokens' issuer and the gateway may differ."`
	TokenCookie    Text          `name:"token-cookie" default:"" doc:"Name of a cookie that carries the token of requests without the header Authorization; none where empty."`
	Rules          Rules         `name:"rule" default:"" doc:"What every valid token grants beside its own claim. {sub} stands for that claim of the token, and so does any other name."`
	Callout        Subject       `name:"subscribe-callout" default:"" doc:"NATS subject of a service of your own that is asked about each subscription which the grants allow; none where empty. The protocol says what it is asked and answers."`
	CalloutTimeout time.Duration `name:"subscribe-callout-timeout" default:"2s" min:"10ms" max:"30s" doc:"How long the service has for an answer, without which nothing is allowed."`
	Anonymous      Rules         `name:"anonymous" default:"" doc:"What is granted without a token. Empty: nothing; but on a loopback address, where neither keys nor trusted-proxies are configured, everything."`

	AdminListen OptionalAddress `name:"admin-listen" default:"" doc:"Address on which /metrics, /debug/pprof/ and /healthz are served, without tokens: for the operator's network alone. Port 0 takes a free one. Empty: nowhere; /metrics is on listen too, for who is granted admin metrics."`

	LogLevel  Level  `name:"log-level" default:"info" doc:"The least level of what is logged."`
	LogFormat Format `name:"log-format" default:"text" doc:"How the log, on standard error, is written."`
}

// Embedded reports whether the NATS server runs inside this process.
func (c *Config) Embedded() bool { return c.NATSURL.Empty() }

// Served returns the subjects that can be published to and subscribed to here.
func (c *Config) Served() Subjects {
	if len(c.Filter) > 0 {
		return Subjects(c.Filter)
	}
	return c.Subjects
}

// check returns what is wrong between settings that are each valid alone.
func (c *Config) check() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("tls-cert and tls-key: only one of them is set, and they need each other")
	case (c.NATSTLSCert == "") != (c.NATSTLSKey == ""):
		return errors.New("nats-tls-cert and nats-tls-key: only one of them is set, and they need each other")
	case len(c.keySettings()) > 1:
		return fmt.Errorf("%s: only one of them can be set", strings.Join(c.keySettings(), " and "))
	case len(c.keySettings()) == 0 && c.ofTokens() != "":
		return fmt.Errorf("%s is set without keys to verify tokens with: it needs jwt-secret-file, jwt-public-key-file or jwks-url", c.ofTokens())
	case c.Callout != "" && len(c.keySettings()) == 0 && len(c.Anonymous) == 0:
		return errors.New("subscribe-callout is asked about what is granted: set keys for tokens, or anonymous ('subscribe >' for everything)")
	case c.Callout != "" && broker.SubjectWithin(string(c.Callout), c.Subjects) == nil:
		return errors.New("subscribe-callout lies within subjects: every question would be stored as an event")
	case c.TokenCookie != "" && slices.Contains(c.CORSOrigins, "*"):
		return errors.New("token-cookie is set with cors-origins *: any page could publish with its reader's cookie")
	case c.Answers != "" && broker.SubjectWithin(string(c.Answers)+".*", c.Served()) != nil:
		return fmt.Errorf("answers: %w", broker.SubjectWithin(string(c.Answers)+".*", c.Served()))
	case c.takesQuestions() != "":
		return fmt.Errorf("subjects has %s, which takes in ask.>: every question would be stored as an event", c.takesQuestions())
	case c.Filter.outside(c.Subjects) != nil:
		return fmt.Errorf("filter: %w", c.Filter.outside(c.Subjects))
	case c.Presence.outside(c.Served()) != nil:
		return fmt.Errorf("presence: %w", c.Presence.outside(c.Served()))
	case c.Embedded() && c.NATSCreds != "":
		return errors.New("nats-creds is set without nats-url: it is for an external NATS server")
	case c.Embedded() && (c.NATSTLSCA != "" || c.NATSTLSCert != ""):
		return errors.New("nats-tls-* is set without nats-url: it is for an external NATS server")
	case c.Embedded() && c.StreamReplicas > 1:
		return errors.New("stream-replicas is above 1 without nats-url: the embedded NATS server is a single one")
	case c.Embedded() && c.MirrorDomain != "":
		return errors.New("mirror-domain is set without nats-url: the embedded NATS server knows no other")
	case c.Embedded() && c.PublishMaxBytes > jetstream.EmbeddedMaxPayload:
		return fmt.Errorf("publish-max-bytes is above %s without nats-url: the embedded NATS server takes no more", Size(jetstream.EmbeddedMaxPayload))
	case c.AdminListen.Set && c.AdminListen.Port > 0 && c.AdminListen.Address == c.Listen:
		return errors.New("listen and admin-listen are both " + c.Listen.String() + ": they need addresses of their own")
	case c.Embedded() && c.Listen.Port > 0 && c.Listen == c.NATSListen:
		return errors.New("listen and nats-listen are both " + c.Listen.String() + ": they need addresses of their own")
	}
	return nil
}

// AnswersSubject returns what the subjects of answers begin with, empty where none are
// given.
func (c *Config) AnswersSubject() string {
	if c.Answers != "" {
		return string(c.Answers)
	}
	for _, pattern := range c.Served() {
		if before, ok := strings.CutSuffix(pattern, ".>"); ok && broker.IsLiteral(before) && !broker.NamesPresence(pattern) {
			return before + ".answers"
		}
	}
	return ""
}

// takesQuestions returns one of the subjects under which a question would be stored.
func (c *Config) takesQuestions() string {
	for _, pattern := range c.Subjects {
		if broker.Overlap(pattern, "ask.>") || broker.Overlap(pattern, "_ask.>") {
			return pattern
		}
	}
	return ""
}

// keySettings returns the names of the settings with keys for tokens that are set.
func (c *Config) keySettings() (set []string) {
	for _, s := range []struct {
		name  string
		empty bool
	}{
		{"jwt-secret-file", c.JWTSecret == ""},
		{"jwt-public-key-file", c.JWTPublicKey == ""},
		{"jwks-url", c.JWKSURL == ""},
	} {
		if !s.empty {
			set = append(set, s.name)
		}
	}
	return set
}

// ofTokens returns the name of a setting that is about tokens and is set.
func (c *Config) ofTokens() string {
	switch {
	case len(c.JWTAlgorithms) > 0:
		return "jwt-algorithms"
	case c.JWTIssuer != "":
		return "jwt-issuer"
	case c.JWTAudience != "":
		return "jwt-audience"
	case c.TokenCookie != "":
		return "token-cookie"
	case len(c.Rules) > 0:
		return "rule"
	}
	return ""
}

// Level is the least level that is logged.
type Level struct{ slog.Level }

// Format is the log's format.
type Format string

// The log's formats.
const (
	FormatText Format = "text"
	FormatJSON Format = "json"
)
