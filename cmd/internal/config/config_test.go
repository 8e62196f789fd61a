package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"ringcast/cmd/internal/config"
)

var update = flag.Bool("update", false, "rewrite the configuration reference in README.md")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load reads a configuration from a file's text (none where empty), the
// environment and the command line.
func load(t *testing.T, file string, environ, args []string) (*config.Loaded, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "ringcast.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		environ = append(environ, "RINGCAST_CONFIG="+path)
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return config.Load(flags, environ)
}

func TestLoad_Precedence(t *testing.T) {
	const file = "heartbeat: 20s\n"
	env := []string{"RINGCAST_HEARTBEAT=30s", "HEARTBEAT=1h"}
	args := []string{"--heartbeat", "40s"}
	tests := []struct {
		name      string
		file      string
		env, args []string
		want      time.Duration
		origin    string
	}{
		{"default", "", nil, nil, 15 * time.Second, "default"},
		{"file over default", file, nil, nil, 20 * time.Second, "ringcast.yaml: heartbeat"},
		{"environment over default", "", env, nil, 30 * time.Second, "RINGCAST_HEARTBEAT"},
		{"environment over file", file, env, nil, 30 * time.Second, "RINGCAST_HEARTBEAT"},
		{"flag over default", "", nil, args, 40 * time.Second, "--heartbeat"},
		{"flag over file", file, nil, args, 40 * time.Second, "--heartbeat"},
		{"flag over environment", "", env, args, 40 * time.Second, "--heartbeat"},
		{"flag over all", file, env, args, 40 * time.Second, "--heartbeat"},
		{"flag equal to the default over all", file, env, []string{"--heartbeat=15s"}, 15 * time.Second, "--heartbeat"},
		{"empty variable is not set", file, []string{"RINGCAST_HEARTBEAT="}, nil, 20 * time.Second, "ringcast.yaml: heartbeat"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := load(t, tt.file, tt.env, tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if got.Heartbeat != tt.want {
				t.Errorf("heartbeat is %v, want %v", got.Heartbeat, tt.want)
			}
			line := regexp.MustCompile(`(?m)^heartbeat: .*$`).FindString(written(t, got))
			if got.IsSet("heartbeat") != (tt.origin != "default") {
				t.Errorf("IsSet is %v, but the value is from %q", got.IsSet("heartbeat"), tt.origin)
			}
			if !strings.HasSuffix(line, tt.origin) {
				t.Errorf("written as %q, want the origin %q", line, tt.origin)
			}
		})
	}
}

func TestLoad_FileFlagOverVariable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(path, []byte("retry: 7s"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := load(t, "retry: 5s", nil, []string{"--config", path})
	if err != nil {
		t.Fatal(err)
	}
	if got.Retry != 7*time.Second {
		t.Errorf("retry is %v, want that of the file named by the flag", got.Retry)
	}
}

// Where answers go follows from the subjects, unless it is said.
func TestConfig_AnswersSubject(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "events.answers"},
		{[]string{"--answers=events.replies.llm"}, "events.replies.llm"},
		{[]string{"--subjects=feed.*,app.events.>"}, "app.events.answers"},
		{[]string{"--subjects=feed.*.>"}, ""},
		{[]string{"--filter=events.chat.>,events.quotes.*"}, "events.chat.answers"},
		{[]string{"--subjects=feed.a"}, ""},
	} {
		cfg, err := load(t, "", nil, tt.args)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.AnswersSubject(); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
}

func TestLoad_Defaults(t *testing.T) {
	got, err := load(t, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Listen:          config.Address{Host: "127.0.0.1", Port: 8080},
		DataDir:         "./data",
		NATSListen:      config.Address{Host: "127.0.0.1", Port: 4222},
		Stream:          "EVENTS",
		Subjects:        config.Subjects{"events.>"},
		StreamMaxAge:    168 * time.Hour,
		StreamMaxBytes:  1 << 30,
		StreamMaxEvents: 10_000_000,
		StreamReplicas:  1,
		RingMaxAge:      24 * time.Hour,
		RingMaxBytes:    256 << 20,
		RingMaxEvents:   1_000_000,
		Heartbeat:       15 * time.Second,
		Retry:           2 * time.Second,
		WriteTimeout:    30 * time.Second,
		ShutdownTimeout: 10 * time.Second,
		PublishMaxBytes: 1 << 20,
		PresenceGrace:   10 * time.Second,

		AskAcceptTimeout: 10 * time.Second,
		AskFirstTimeout:  time.Minute,
		AskSilence:       time.Minute,
		AskMaxBytes:      4 << 20,

		TicketTTL:      5 * time.Minute,
		CalloutTimeout: 2 * time.Second,
		JWTLeeway:      10 * time.Second,
		MaxPerIdentity: 100,
		DrainTime:      10 * time.Second,
		HistoryReads:   16,
		MaxSubjects:    1000,
		LogLevel:       config.Level{Level: slog.LevelInfo},
		LogFormat:      config.FormatText,
	}
	if diff := cmp.Diff(want, got.Config, cmp.Comparer(func(a, b config.NATSURL) bool { return a == b })); diff != "" {
		t.Errorf("defaults differ (-want +got):\n%s", diff)
	}
	if !got.Embedded() {
		t.Error("the NATS server is not embedded by default")
	}
}

// Every way to write a value, from each kind of source.
func TestLoad_Values(t *testing.T) {
	readable := filepath.Join(t.TempDir(), "readable.pem")
	if err := os.WriteFile(readable, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		file      string
		env, args []string
		got       func(*config.Loaded) any
		want      any
	}{
		{"size/bytes", "stream-max-bytes: 5000000", nil, nil, streamMaxBytes, config.Size(5_000_000)},
		{"size/exponent in YAML", "stream-max-bytes: 1e9", nil, nil, streamMaxBytes, config.Size(1e9)},
		{"size/binary unit", "stream-max-bytes: 256MiB", nil, nil, streamMaxBytes, config.Size(256 << 20)},
		{"size/decimal unit", "", []string{"RINGCAST_STREAM_MAX_BYTES=1GB"}, nil, streamMaxBytes, config.Size(1e9)},
		{"size/space and letter case", "", nil, []string{"--stream-max-bytes", "2 gib"}, streamMaxBytes, config.Size(2 << 30)},
		{"size/largest", "", nil, []string{"--stream-max-bytes", "9223372036854775807B"}, streamMaxBytes, config.Size(1<<63 - 1)},
		{"list/YAML", "subjects: [a.*, b.>]", nil, nil, subjects, config.Subjects{"a.*", "b.>"}},
		{"list/YAML, one text", "subjects: b.>, a.*", nil, nil, subjects, config.Subjects{"a.*", "b.>"}},
		{"list/commas", "", []string{"RINGCAST_SUBJECTS=a.*,b.>"}, nil, subjects, config.Subjects{"a.*", "b.>"}},
		{"list/repeated and commas", "", nil, []string{"--subjects=a.*,b.>", "--subjects", "c"}, subjects, config.Subjects{"a.*", "b.>", "c"}},
		{"list/a flag replaces, not adds", "subjects: z", nil, []string{"--subjects=a"}, subjects, config.Subjects{"a"}},
		{"bool/bare flag", "", nil, []string{"--manage-stream"}, manageStream, true},
		{"bool/flag set to false", "manage-stream: true", nil, []string{"--manage-stream=false"}, manageStream, false},
		{"bool/variable", "", []string{"RINGCAST_MANAGE_STREAM=1"}, nil, manageStream, true},
		{"address/port 0", "listen: 127.0.0.1:0", nil, nil, listen, config.Address{Host: "127.0.0.1"}},
		{"address/IPv6", "", nil, []string{"--listen", "[::1]:80"}, listen, config.Address{Host: "::1", Port: 80}},
		{"address/all interfaces", "", nil, []string{"--listen", ":80"}, listen, config.Address{Port: 80}},
		{"address/-1 in YAML", "nats-listen: -1", nil, nil, natsListen, config.Address{Host: "127.0.0.1"}},
		{"address/-1 as a flag", "", nil, []string{"--nats-listen", "-1"}, natsListen, config.Address{Host: "127.0.0.1"}},
		{"address/port -1", "", nil, []string{"--nats-listen", "0.0.0.0:-1"}, natsListen, config.Address{Host: "0.0.0.0"}},
		{"level", "log-level: WARN", nil, nil, func(l *config.Loaded) any { return l.LogLevel.Level }, slog.LevelWarn},
		{"format", "log-format: json", nil, nil, func(l *config.Loaded) any { return l.LogFormat }, config.FormatJSON},
		{"origins", "cors-origins: [https://a.example, 'http://b.example:8080']", nil, nil,
			func(l *config.Loaded) any { return l.CORSOrigins }, config.Origins{"https://a.example", "http://b.example:8080"}},
		{"origins/subdomains", "cors-origins: https://*.a.example", nil, nil,
			func(l *config.Loaded) any { return l.CORSOrigins }, config.Origins{"https://*.a.example"}},
		{"patterns", "presence: [events.room.*]", nil, nil,
			func(l *config.Loaded) any { return l.Presence }, config.Patterns{"events.room.*"}},
		{"patterns/none", "presence: events.a", nil, []string{"--presence="},
			func(l *config.Loaded) any { return l.Presence }, config.Patterns(nil)},
		{"name", "", []string{"RINGCAST_INSTANCE=gateway-7d9f"}, nil,
			func(l *config.Loaded) any { return l.Instance }, config.Name("gateway-7d9f")},
		{"URLs", "", []string{"RINGCAST_NATS_URL=nats://a:4222, tls://b"}, nil,
			func(l *config.Loaded) any { return l.NATSURL.Reveal() }, "nats://a:4222,tls://b"},
		{"file", "", nil, []string{"--nats-url=tls://a", "--nats-tls-ca", readable},
			func(l *config.Loaded) any { return l.NATSTLSCA }, config.File(readable)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := load(t, tt.file, tt.env, tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tt.got(l)); diff != "" {
				t.Errorf("value differs (-want +got):\n%s", diff)
			}
		})
	}
}

func streamMaxBytes(l *config.Loaded) any { return l.StreamMaxBytes }
func subjects(l *config.Loaded) any       { return l.Subjects }
func manageStream(l *config.Loaded) any   { return l.ManageStream }
func listen(l *config.Loaded) any         { return l.Listen }
func natsListen(l *config.Loaded) any     { return l.NATSListen }

func TestLoad_Errors(t *testing.T) {
	const (
		duration = "allowed is a duration such as 1m30s"
		size     = "allowed is a whole number of bytes, or with a unit as in 64KiB or 1GB"
		subjects = "allowed is NATS subjects, with the wildcards * and >"
		stream   = `allowed is a name of up to 255 bytes without white space and without any of . * > / \`
		key      = "allowed is a file that can be read, with 32 bytes or more"
		natsURL  = "allowed is nats://host:port, also tls://, ws://, wss://; several separated by commas"
		readable = "allowed is a file that can be read"
		patterns = "allowed is NATS subjects, with the wildcards * and >, without $presence"
		rule     = "allowed is subscribe, publish, ask or admin, a space, and a NATS subject"
		origins  = "allowed is origins such as https://example.com, https://*.example.com for its subdomains, or *"
	)
	tests := []struct {
		name      string
		file      string
		env, args []string
		want      string // FILE stands for the file's path
	}{
		{"unknown key", "heartbeats: 5s", nil, nil, "FILE: heartbeats: unknown setting: did you mean FILE: heartbeat?"},
		{"unknown key, underscores", "data_dir: x", nil, nil, "FILE: data_dir: unknown setting: did you mean FILE: data-dir?"},
		{"unknown key, nested", "ring:\n  max-age: 1h", nil, nil, "FILE: ring.max-age: unknown setting: did you mean FILE: ring-max-age?"},
		{"unknown key, nothing near", "colour: red", nil, nil, "FILE: colour: unknown setting"},
		{"key twice", "retry: 1s\nretry: 2s", nil, nil, `configuration file FILE: yaml: unmarshal errors: line 2: mapping key "retry" already defined at line 1`},
		{"no YAML", "retry: [", nil, nil, "configuration file FILE: yaml: line 1: did not find expected node content"},
		{"key without a value", "retry:", nil, nil, `FILE: retry "" has no value: ` + duration + ", at least 1ms"},
		{"list for one value", "retry: [1s, 2s]", nil, nil, `FILE: retry "[1s 2s]" is a list: ` + duration + ", at least 1ms"},
		{"no file", "", nil, []string{"--config", "/nowhere/x.yaml"}, "configuration file /nowhere/x.yaml: no such file or directory"},
		{"no file, by variable", "", []string{"RINGCAST_CONFIG=/nowhere/x.yaml"}, nil, "configuration file /nowhere/x.yaml: no such file or directory"},

		{"listen/no port", "", nil, []string{"--listen", "localhost"}, `--listen "localhost" is not an address: allowed is host:port`},
		{"listen/port out of range", "", nil, []string{"--listen", ":65536"}, `--listen ":65536" has no port from 0 to 65535: allowed is host:port`},
		{"data-dir/empty", "", nil, []string{"--data-dir", ""}, `--data-dir "" is empty: allowed is a folder; made when missing`},
		{"nats-url/scheme", "", nil, []string{"--nats-url", "http://me:secret@x"}, `--nats-url is not the URL of a NATS server: ` + natsURL},
		{"nats-url/malformed", "", []string{"RINGCAST_NATS_URL=nats://me:sec ret@x:port"}, nil, `RINGCAST_NATS_URL is not a URL: ` + natsURL},
		{"nats-url/no host", "nats-url: 'nats://'", nil, nil, `FILE: nats-url has no host: ` + natsURL},
		{"nats-listen/port", "nats-listen: -2", nil, nil, `FILE: nats-listen "-2" is not an address: allowed is host:port`},
		{"nats-creds/missing", "", nil, []string{"--nats-creds=/nowhere/c"}, `--nats-creds "/nowhere/c" cannot be read (no such file or directory): ` + readable},
		{"tls-cert/missing", "", nil, []string{"--tls-cert=/nowhere/c"}, `--tls-cert "/nowhere/c" cannot be read (no such file or directory): ` + readable},
		{"tls-key/missing", "", nil, []string{"--tls-key=/nowhere/c"}, `--tls-key "/nowhere/c" cannot be read (no such file or directory): ` + readable},
		{"nats-tls-ca/missing", "", nil, []string{"--nats-tls-ca=/nowhere/c"}, `--nats-tls-ca "/nowhere/c" cannot be read (no such file or directory): ` + readable},
		{"nats-tls-cert/missing", "", nil, []string{"--nats-tls-cert=/nowhere/c"}, `--nats-tls-cert "/nowhere/c" cannot be read (no such file or directory): ` + readable},
		{"nats-tls-key/missing", "", nil, []string{"--nats-tls-key=/nowhere/c"}, `--nats-tls-key "/nowhere/c" cannot be read (no such file or directory): ` + readable},
		{"stream/empty", "", nil, []string{"--stream="}, `--stream "" is empty: ` + stream},
		{"stream/dot", "", nil, []string{"--stream=A.B"}, `--stream "A.B" is not the name of a stream: ` + stream},
		{"stream/long", "", nil, []string{"--stream=" + strings.Repeat("A", 256)}, `--stream "` + strings.Repeat("A", 256) + `" has 256 bytes: ` + stream},
		{"subjects/empty", "", nil, []string{"--subjects="}, `--subjects "" cannot be used (no subject: at least one is needed): ` + subjects},
		{"subjects/empty token", "subjects: [a..b]", nil, nil, `FILE: subjects "a..b" cannot be used (subject "a..b" has an empty token: tokens are separated by single dots): ` + subjects},
		{"stream-max-age/unit", "stream-max-age: 7", nil, nil, `FILE: stream-max-age "7" is not a duration: ` + duration + ", at least 1s"},
		{"stream-max-age/small", "stream-max-age: 1ms", nil, nil, `FILE: stream-max-age "1ms" is too small: ` + duration + ", at least 1s"},
		{"stream-max-bytes/unit", "stream-max-bytes: 1Gb2", nil, nil, `FILE: stream-max-bytes "1Gb2" is not a size: ` + size + ", at least 1MiB"},
		{"stream-max-bytes/unknown unit", "stream-max-bytes: 1TBB", nil, nil, `FILE: stream-max-bytes "1TBB" has the unknown unit "TBB": ` + size + ", at least 1MiB"},
		{"stream-max-bytes/overflow", "stream-max-bytes: 9999999TiB", nil, nil, `FILE: stream-max-bytes "9999999TiB" is too large: ` + size + ", at least 1MiB"},
		{"stream-max-bytes/small", "stream-max-bytes: 1KiB", nil, nil, `FILE: stream-max-bytes "1KiB" is too small: ` + size + ", at least 1MiB"},
		{"stream-max-events/zero", "stream-max-events: 0", nil, nil, `FILE: stream-max-events "0" is too small: allowed is a whole number, at least 1`},
		{"stream-replicas/many", "", nil, []string{"--stream-replicas=6"}, `--stream-replicas "6" is too large: allowed is a whole number, from 1 to 5`},
		{"manage-stream/neither", "", nil, []string{"--manage-stream=perhaps"}, `--manage-stream "perhaps" is neither true nor false: allowed is true or false`},
		{"ring-max-age/negative", "", nil, []string{"--ring-max-age=-1h"}, `--ring-max-age "-1h" is too small: ` + duration + ", at least 1s"},
		{"ring-max-bytes/negative", "", nil, []string{"--ring-max-bytes=-1"}, `--ring-max-bytes "-1" is not a size: ` + size + ", at least 1MiB"},
		{"ring-max-events/word", "", nil, []string{"--ring-max-events=many"}, `--ring-max-events "many" is not a whole number: allowed is a whole number, at least 1`},
		{"heartbeat/small", "", []string{"RINGCAST_HEARTBEAT=10ms"}, nil, `RINGCAST_HEARTBEAT "10ms" is too small: ` + duration + ", at least 1s"},
		{"retry/zero", "", nil, []string{"--retry=0s"}, `--retry "0s" is too small: ` + duration + ", at least 1ms"},
		{"write-timeout/zero", "", nil, []string{"--write-timeout=0s"}, `--write-timeout "0s" is too small: ` + duration + ", at least 1s"},
		{"drain-time/large", "", nil, []string{"--drain-time=1h"}, `--drain-time "1h" is too large: ` + duration + ", from 0s to 10m"},
		{"shutdown-timeout/negative", "", nil, []string{"--shutdown-timeout=-1s"}, `--shutdown-timeout "-1s" is too small: ` + duration + ", at least 0s"},
		{"publish-max-bytes/large", "", nil, []string{"--publish-max-bytes=65MiB"}, `--publish-max-bytes "65MiB" is too large: ` + size + ", from 1B to 64MiB"},
		{"ticket-key-file/missing", "", nil, []string{"--ticket-key-file=/nowhere/k"}, `--ticket-key-file "/nowhere/k" cannot be read (no such file or directory): ` + key},
		{"ticket-key-file/short", "", nil, []string{"--ticket-key-file=/dev/null"}, `--ticket-key-file "/dev/null" has 0 bytes in it, which are too few: ` + key},
		{"ticket-ttl/large", "", nil, []string{"--ticket-ttl=25h"}, `--ticket-ttl "25h" is too large: ` + duration + ", from 1s to 24h"},
		{"cors-origins/path", "", nil, []string{"--cors-origins=https://a.example/"}, `--cors-origins "https://a.example/" contains "https://a.example/", which is not an origin: ` + origins},
		{"cors-origins/wildcard", "", nil, []string{"--cors-origins=https://a.*.example"}, `--cors-origins "https://a.*.example" contains "https://a.*.example", which is not an origin: ` + origins},
		{"cors-origins/no scheme", "cors-origins: [a.example]", nil, nil, `FILE: cors-origins "a.example" contains "a.example", which is not an origin: ` + origins},
		{"history-concurrency/zero", "", nil, []string{"--history-concurrency=0"}, `--history-concurrency "0" is too small: allowed is a whole number, from 1 to 256`},
		{"presence/empty token", "presence: [events..a]", nil, nil, `FILE: presence "events..a" cannot be used (subject "events..a" has an empty token: tokens are separated by single dots): ` + patterns},
		{"presence/of presence", "", nil, []string{"--presence=events.$presence.>"}, `--presence "events.$presence.>" names subjects on which presence itself is told: ` + patterns},
		{"presence-grace/small", "", nil, []string{"--presence-grace=1ms"}, `--presence-grace "1ms" is too small: ` + duration + ", from 1s to 10m"},
		{"mirror-domain/two tokens", "", nil, []string{"--mirror-domain=west.a"}, `--mirror-domain "west.a" is no such name: allowed is the name of a JetStream domain, without dots, wildcards and white space`},
		{"filter/overlap", "", nil, []string{"--filter=events.a.*,events.*.b"},
			`--filter "events.a.*,events.*.b" cannot be used ("events.a.*" and "events.*.b" overlap): allowed is NATS subjects that do not overlap, with the wildcards * and >`},
		{"instance/space", "", nil, []string{"--instance=my gateway"}, `--instance "my gateway" is no such name: allowed is a name of up to 64 bytes without white space`},
		{"max-subjects/large", "", nil, []string{"--max-subjects=1001"}, `--max-subjects "1001" is too large: allowed is a whole number, from 1 to 1000`},
		{"trusted-proxies/name", "", nil, []string{"--trusted-proxies=10.0.0.0/8,proxy.example"}, `--trusted-proxies "10.0.0.0/8,proxy.example" contains "proxy.example", which is neither an address nor a range: allowed is addresses and ranges such as 10.0.0.0/8, 192.0.2.1`},
		{"stream-lifetime/negative", "", nil, []string{"--stream-lifetime=-1s"}, `--stream-lifetime "-1s" is too small: ` + duration + ", at least 0s"},
		{"jwt-secret-file/short", "", nil, []string{"--jwt-secret-file=/dev/null"}, `--jwt-secret-file "/dev/null" has 0 bytes in it, which are too few: ` + key},
		{"jwt-public-key-file/missing", "", nil, []string{"--jwt-public-key-file=/nowhere/k"}, `--jwt-public-key-file "/nowhere/k" cannot be read (no such file or directory): ` + readable},
		{"jwks-url/scheme", "", nil, []string{"--jwks-url=file:///etc/passwd"}, `--jwks-url "file:///etc/passwd" is not such a URL: allowed is a URL that begins with https:// or http://`},
		{"jwt-algorithms/none", "jwt-algorithms: [HS256, none]", nil, nil, `FILE: jwt-algorithms "HS256,none" contains "none", which is no such algorithm: allowed is ES256, ES384, ES512, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512`},
		{"jwt-leeway/large", "", nil, []string{"--jwt-leeway=1h"}, `--jwt-leeway "1h" is too large: ` + duration + ", from 0s to 5m"},
		{"rule/action", "rule: [read events.a]", nil, nil, `FILE: rule "read events.a" cannot be used (rule "read events.a" does not begin with one of [subscribe publish ask admin] and a space): ` + rule},
		{"subscribe-callout/wildcard", "", nil, []string{"--subscribe-callout=auth.*"}, `--subscribe-callout "auth.*" cannot be used (subject "auth.*" contains a wildcard: only a filter may): allowed is a NATS subject without wildcards`},
		{"subscribe-callout-timeout/small", "", nil, []string{"--subscribe-callout-timeout=1ms"}, `--subscribe-callout-timeout "1ms" is too small: ` + duration + ", from 10ms to 30s"},
		{"anonymous/pattern", "", []string{"RINGCAST_ANONYMOUS=subscribe a..b"}, nil, `RINGCAST_ANONYMOUS "subscribe a..b" cannot be used (rule "subscribe a..b": subject "a..b" has an empty token: tokens are separated by single dots): ` + rule},
		{"admin-listen/no port", "", nil, []string{"--admin-listen=localhost"}, `--admin-listen "localhost" is not an address: allowed is host:port, or nothing`},
		{"log-level/unknown", "", nil, []string{"--log-level=loud"}, `--log-level "loud" is not a log level: allowed is debug, info, warn or error`},
		{"log-format/unknown", "", []string{"RINGCAST_LOG_FORMAT=xml"}, nil, `RINGCAST_LOG_FORMAT "xml" is not a log format: allowed is text or json`},

		{"together/two kinds of keys", "", nil, []string{"--jwt-public-key-file=config.go", "--jwks-url=https://a"},
			"configuration: jwt-public-key-file and jwks-url: only one of them can be set"},
		{"together/a callout that would be stored", "", nil, []string{"--subscribe-callout=events.auth", "--anonymous=subscribe >"},
			"configuration: subscribe-callout lies within subjects: every question would be stored as an event"},
		{"together/a callout about nothing", "", nil, []string{"--subscribe-callout=auth"},
			"configuration: subscribe-callout is asked about what is granted: set keys for tokens, or anonymous ('subscribe >' for everything)"},
		{"together/a cookie for every origin", "", nil, []string{"--jwks-url=https://a", "--token-cookie=session", "--cors-origins=*"},
			"configuration: token-cookie is set with cors-origins *: any page could publish with its reader's cookie"},
		{"together/answers outside", "", nil, []string{"--answers=other.answers"},
			`configuration: answers: subject "other.answers.*" lies outside the subjects served here: ["events.>"]`},
		{"together/answers that are not taken in", "", nil, []string{"--filter=events.quotes.>", "--answers=events.answers"},
			`configuration: answers: subject "events.answers.*" lies outside the subjects served here: ["events.quotes.>"]`},
		{"together/questions within", "", nil, []string{"--subjects=*.chat"},
			"configuration: subjects has *.chat, which takes in ask.>: every question would be stored as an event"},
		{"together/presence of what is not served", "", nil, []string{"--presence=other.>"},
			`configuration: presence: subject "other.>" lies outside the subjects served here: ["events.>"]`},
		{"together/presence that cannot be told", "", nil, []string{"--subjects=rooms.*", "--presence=rooms.*"},
			`configuration: presence: that of "rooms.*" would be told where nothing is stored: subject "rooms.$presence.*" lies outside the subjects served here: ["rooms.*"]`},
		{"together/a rule without keys", "", nil, []string{"--rule=subscribe events.{sub}"},
			"configuration: rule is set without keys to verify tokens with: it needs jwt-secret-file, jwt-public-key-file or jwks-url"},
		{"together/certificate of HTTPS without key", "", nil, []string{"--tls-cert=config.go"},
			"configuration: tls-cert and tls-key: only one of them is set, and they need each other"},
		{"together/certificate without key", "", nil, []string{"--nats-url=tls://a", "--nats-tls-cert=config.go"},
			"configuration: nats-tls-cert and nats-tls-key: only one of them is set, and they need each other"},
		{"together/credentials for the embedded server", "", nil, []string{"--nats-creds=config.go"},
			"configuration: nats-creds is set without nats-url: it is for an external NATS server"},
		{"together/CA for the embedded server", "", nil, []string{"--nats-tls-ca=config.go"},
			"configuration: nats-tls-* is set without nats-url: it is for an external NATS server"},
		{"together/mirror in the embedded server", "", nil, []string{"--mirror-domain=west"},
			"configuration: mirror-domain is set without nats-url: the embedded NATS server knows no other"},
		{"together/filter outside", "", nil, []string{"--filter=events.a,other.b"},
			`configuration: filter: subject "other.b" lies outside the subjects served here: ["events.>"]`},
		{"together/answers outside the filter", "", nil, []string{"--filter=events.room.>", "--answers=events.answers"},
			`configuration: answers: subject "events.answers.*" lies outside the subjects served here: ["events.room.>"]`},
		{"together/presence outside the filter", "", nil, []string{"--filter=events.room.>", "--presence=events.room.*"},
			`configuration: presence: that of "events.room.*" would be told where nothing is stored: subject "events.$presence.room.*" lies outside the subjects served here: ["events.room.>"]`},
		{"together/replicas of the embedded server", "", nil, []string{"--stream-replicas=3"},
			"configuration: stream-replicas is above 1 without nats-url: the embedded NATS server is a single one"},
		{"together/more than the embedded server takes", "", nil, []string{"--publish-max-bytes=9MiB"},
			"configuration: publish-max-bytes is above 8MiB without nats-url: the embedded NATS server takes no more"},
		{"together/one address for clients and the operator", "", nil, []string{"--admin-listen=127.0.0.1:8080"},
			"configuration: listen and admin-listen are both 127.0.0.1:8080: they need addresses of their own"},
		{"together/one address for both", "", nil, []string{"--listen=127.0.0.1:4222"},
			"configuration: listen and nats-listen are both 127.0.0.1:4222: they need addresses of their own"},
	}
	filePath := regexp.MustCompile(`/[^ ]*/ringcast\.yaml`)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.file, tt.env, tt.args)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.Join(strings.Fields(filePath.ReplaceAllString(err.Error(), "FILE")), " ")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("message differs (-want +got):\n%s", diff)
			}
		})
	}
}

// Kubernetes sets variables for a service named ringcast in every pod of its
// namespace: a pod that refused to start over them could not be deployed.
func TestLoad_UnknownVariable(t *testing.T) {
	tests := []struct {
		name, entry string
		want        []string
	}{
		{"near a setting", "RINGCAST_HARTBEAT=5s", []string{"RINGCAST_HARTBEAT: unknown setting, ignored: did you mean RINGCAST_HEARTBEAT?"}},
		{"near none", "RINGCAST_COLOUR=red", []string{"RINGCAST_COLOUR: unknown setting, ignored"}},
		{"empty", "RINGCAST_COLOUR=", nil},
		{"other prefix", "RING_COLOUR=red", nil},
		{"service host", "RINGCAST_SERVICE_HOST=10.0.0.1", nil},
		{"service port", "RINGCAST_SERVICE_PORT_HTTP=80", nil},
		{"link", "RINGCAST_PORT=tcp://10.0.0.1:80", nil},
		{"link, parts", "RINGCAST_PORT_80_TCP_ADDR=10.0.0.1", nil},
		{"the clients' URL", "RINGCAST_URL=http://127.0.0.1:8080", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := load(t, "", []string{tt.entry}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Warnings); diff != "" {
				t.Errorf("warnings differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNATSURL_Secrets(t *testing.T) {
	tests := []struct{ name, url, want string }{
		{"none", "nats://a:4222", "nats://a:4222"},
		{"password", "nats://me:hunter2@a:4222", "nats://me:xxxxx@a:4222"},
		{"token", "nats://hunter2@a:4222", "nats://xxxxx@a:4222"},
		{"several", "nats://me:hunter2@a,tls://hunter2@b", "nats://me:xxxxx@a,tls://xxxxx@b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := load(t, "", []string{"RINGCAST_NATS_URL=" + tt.url}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.NATSURL.String(); got != tt.want {
				t.Errorf("String is %s, want %s", got, tt.want)
			}
			if got := l.NATSURL.Reveal(); got != tt.url {
				t.Errorf("Reveal is %s, want %s", got, tt.url)
			}
			encoded, err := json.Marshal(l.Config)
			if err != nil {
				t.Fatal(err)
			}
			var logged bytes.Buffer
			slog.New(slog.NewJSONHandler(&logged, nil)).Info("start", "url", l.NATSURL, "config", l.Config)
			slog.New(slog.NewTextHandler(&logged, nil)).Info("start", "url", l.NATSURL, "config", l.Config)
			for _, text := range []string{string(encoded), logged.String(), written(t, l), fmt.Sprint(l.NATSURL), fmt.Sprintf("%+v", l.Config)} {
				if strings.Contains(text, "hunter2") {
					t.Errorf("a secret in %s", text)
				}
			}
		})
	}
}

// What Write writes can be read back as a file and gives the same configuration.
func TestLoaded_Write(t *testing.T) {
	for _, args := range [][]string{nil, {
		"--subjects=a.*,b.>", "--cors-origins=*", "--data-dir=a folder", "--stream-max-age=90m30s",
		"--publish-max-bytes=1500", "--manage-stream", "--nats-url=nats://a:4222,nats://b", "--nats-listen=[::1]:0",
	}} {
		first, err := load(t, "", nil, args)
		if err != nil {
			t.Fatal(err)
		}
		second, err := load(t, written(t, first), nil, nil)
		if err != nil {
			t.Fatalf("read back: %v\n%s", err, written(t, first))
		}
		if diff := cmp.Diff(first.Config, second.Config, cmp.Comparer(func(a, b config.NATSURL) bool { return a == b })); diff != "" {
			t.Errorf("configuration differs (-written +read):\n%s", diff)
		}
	}
}

func written(t *testing.T, l *config.Loaded) string {
	t.Helper()
	var b strings.Builder
	if err := l.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNearest(t *testing.T) {
	names := []string{"listen", "nats-listen", "ring-max-age", "stream-max-age"}
	tests := []struct {
		given, want string
	}{
		{"listn", "listen"},
		{"LISTEN", "listen"},
		{"nats_listen", "nats-listen"},
		{"ring.max.age", "ring-max-age"},
		{"steam-max-age", "stream-max-age"},
		{"x", ""},
		{"", ""},
		{"entirely-other", ""},
	}
	for _, tt := range tests {
		if got, ok := config.Nearest(tt.given, names); got != tt.want || ok != (tt.want != "") {
			t.Errorf("Nearest(%q) = %q, %v, want %q", tt.given, got, ok, tt.want)
		}
	}
}

// The configuration reference of README.md is written by this test: run it with
// -update after a change of a setting.
func TestReference_README(t *testing.T) {
	const path, begin, end = "../../../README.md", "<!-- config:begin -->\n", "<!-- config:end -->\n"
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(readme), begin)
	have, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the lines %q and %q around the configuration reference", path, begin, end)
	}
	var want strings.Builder
	if err := config.WriteReference(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+want.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), have); diff != "" {
		t.Errorf("the reference is out of date; run: go test ./cmd/internal/config -run Reference -update\n(-want +have):\n%s", diff)
	}
}
