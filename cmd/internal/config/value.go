package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ringcast/broker"
	"ringcast/transport/access"
)

// The types of this file read one value each. UnmarshalText returns what is
// wrong with a text; what would be right is said by allowed, and the value and
// its setting by the caller.

// Address is a host and port to listen on. Port 0 stands for any free one.
type Address struct {
	Host string
	Port int
}

func (Address) allowed() string { return "host:port" }

// UnmarshalText reads host:port. As NATS does it takes the port -1 for a free
// one, and -1 alone for that on the loopback interface.
func (a *Address) UnmarshalText(b []byte) error {
	text := string(b)
	if text == "-1" {
		*a = Address{Host: "127.0.0.1"}
		return nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return errors.New("is not an address")
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < -1 || n > math.MaxUint16 {
		return errors.New("has no port from 0 to 65535")
	}
	*a = Address{Host: host, Port: max(n, 0)}
	return nil
}

func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// OptionalAddress is an Address, or none.
type OptionalAddress struct {
	Address
	Set bool
}

func (OptionalAddress) allowed() string { return "host:port, or nothing" }

// UnmarshalText reads what Address does, and nothing as none.
func (a *OptionalAddress) UnmarshalText(b []byte) error {
	*a = OptionalAddress{Set: len(b) > 0}
	if !a.Set {
		return nil
	}
	return a.Address.UnmarshalText(b)
}

func (a OptionalAddress) String() string {
	if !a.Set {
		return ""
	}
	return a.Address.String()
}

// NATSURL is a comma-separated list of server URLs, whose user information is a
// secret: only Reveal returns it.
type NATSURL struct{ raw string }

var natsSchemes = []string{"nats", "tls", "ws", "wss"}

func (NATSURL) allowed() string {
	return "nats://host:port, also tls://, ws://, wss://; several separated by commas"
}

// UnmarshalText checks every URL of the list. Its errors do not repeat any part
// of it, since a malformed URL may have its password anywhere.
func (u *NATSURL) UnmarshalText(b []byte) error {
	urls := splitList(string(b))
	for _, text := range urls {
		parsed, err := url.Parse(text)
		switch {
		case err != nil:
			return errors.New("is not a URL")
		case !slices.Contains(natsSchemes, parsed.Scheme):
			return errors.New("is not the URL of a NATS server")
		case parsed.Hostname() == "":
			return errors.New("has no host")
		}
	}
	u.raw = strings.Join(urls, ",")
	return nil
}

// Empty reports whether no server is named.
func (u NATSURL) Empty() bool { return u.raw == "" }

// Reveal returns the URLs with their secrets, to connect with.
func (u NATSURL) Reveal() string { return u.raw }

// String returns the URLs without their secrets.
func (u NATSURL) String() string { return RedactURLs(u.raw) }

// MarshalText returns what String does, so that no encoder reveals more.
func (u NATSURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// RedactURLs returns the comma-separated URLs with their passwords, and tokens
// given in place of a user, replaced.
func RedactURLs(urls string) string {
	list := splitList(urls)
	for i, text := range list {
		list[i] = redactURL(text)
	}
	return strings.Join(list, ",")
}

func redactURL(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return "(unreadable URL)"
	}
	if _, hasPassword := parsed.User.Password(); parsed.User != nil && !hasPassword {
		parsed.User = url.User("xxxxx") // nats://token@host
	}
	return parsed.Redacted()
}

// File is the path of a file that can be read, or empty.
type File string

func (File) allowed() string { return "a file that can be read" }

// UnmarshalText reads the file, to find out now rather than at a reconnect.
func (f *File) UnmarshalText(b []byte) error {
	*f = File(b)
	if *f == "" {
		return nil
	}
	_, err := os.ReadFile(string(b))
	if err != nil {
		return fmt.Errorf("cannot be read (%w)", cause(err))
	}
	return nil
}

// minKey is the least length of a key in bytes: that of the hash it is used with.
const minKey = 32

// KeyFile is the path of a file with a secret key: all its bytes but a line end
// after them.
type KeyFile string

func (KeyFile) allowed() string {
	return fmt.Sprintf("a file that can be read, with %d bytes or more", minKey)
}

// UnmarshalText reads the file, to find out now what is wrong with it.
func (f *KeyFile) UnmarshalText(b []byte) error {
	*f = KeyFile(b)
	_, err := f.Key()
	return err
}

// Key reads the key; it is nil where no file is configured.
func (f KeyFile) Key() ([]byte, error) {
	if f == "" {
		return nil, nil
	}
	key, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("cannot be read (%w)", cause(err))
	}
	if key = bytes.TrimRight(key, "\r\n"); len(key) < minKey {
		return nil, fmt.Errorf("has %d bytes in it, which are too few", len(key))
	}
	return key, nil
}

// StreamName is the name of a JetStream stream.
type StreamName string

func (StreamName) allowed() string {
	return `a name of up to 255 bytes without white space and without any of . * > / \`
}

// UnmarshalText applies JetStream's rule for stream names
// (https://docs.nats.io/running-a-nats-service/nats_admin/jetstream_admin/naming).
func (s *StreamName) UnmarshalText(b []byte) error {
	text := string(b)
	forbidden := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r) }
	switch {
	case text == "":
		return errors.New("is empty")
	case len(text) > 255:
		return fmt.Errorf("has %d bytes", len(text))
	case strings.ContainsFunc(text, forbidden):
		return errors.New("is not the name of a stream")
	}
	*s = StreamName(text)
	return nil
}

// Domain is the name of a JetStream domain, or empty.
type Domain string

func (Domain) allowed() string {
	return "the name of a JetStream domain, without dots, wildcards and white space"
}

// UnmarshalText checks that the name can stand in a subject, which is where the server
// has it.
func (d *Domain) UnmarshalText(b []byte) error {
	text := string(b)
	if text != "" && (broker.ValidateSubject(text) != nil || strings.Contains(text, ".")) {
		return errors.New("is no such name")
	}
	*d = Domain(text)
	return nil
}

// Subjects are NATS subjects, wildcards allowed, none covered by another.
type Subjects []string

func (Subjects) allowed() string {
	return "NATS subjects, with the wildcards * and >"
}

// UnmarshalText reads a comma-separated list of subjects.
func (s *Subjects) UnmarshalText(b []byte) error {
	f, err := broker.NewFilter(splitList(string(b)), nil)
	if err != nil {
		return fmt.Errorf("cannot be used (%w)", err)
	}
	*s = f.Subjects()
	return nil
}

// Filter are NATS subjects of which none overlaps another, as JetStream wants them; there
// may be none.
type Filter []string

func (Filter) allowed() string {
	return "NATS subjects that do not overlap, with the wildcards * and >"
}

// UnmarshalText reads a comma-separated list of subjects.
func (f *Filter) UnmarshalText(b []byte) error {
	*f = nil
	list := splitList(string(b))
	if len(list) == 0 {
		return nil
	}
	if _, err := broker.NewFilter(list, nil); err != nil {
		return fmt.Errorf("cannot be used (%w)", err)
	}
	for i, pattern := range list {
		for _, other := range list[:i] {
			if broker.Overlap(pattern, other) {
				return fmt.Errorf("cannot be used (%q and %q overlap)", other, pattern)
			}
		}
	}
	*f = list
	return nil
}

func (f Filter) String() string { return strings.Join(f, ",") }

// outside returns what is wrong where one of the subjects is none of those of the stream.
func (f Filter) outside(subjects Subjects) error {
	for _, pattern := range f {
		if err := broker.SubjectWithin(pattern, subjects); err != nil {
			return err
		}
	}
	return nil
}

// Subject is one NATS subject without wildcards, or empty.
type Subject string

func (Subject) allowed() string { return "a NATS subject without wildcards" }

// UnmarshalText checks the subject.
func (s *Subject) UnmarshalText(b []byte) error {
	*s = Subject(b)
	if *s == "" {
		return nil
	}
	if err := broker.ValidateSubject(string(b)); err != nil {
		return fmt.Errorf("cannot be used (%w)", err)
	}
	return nil
}

// Patterns are NATS subjects, of which there may be none.
type Patterns []string

func (Patterns) allowed() string {
	return "NATS subjects, with the wildcards * and >, without " + broker.PresenceToken
}

// UnmarshalText reads a comma-separated list of subjects.
func (p *Patterns) UnmarshalText(b []byte) error {
	*p = nil
	list := splitList(string(b))
	if len(list) == 0 {
		return nil
	}
	f, err := broker.NewFilter(list, nil)
	if err != nil {
		return fmt.Errorf("cannot be used (%w)", err)
	}
	if slices.ContainsFunc(list, broker.NamesPresence) {
		return errors.New("names subjects on which presence itself is told")
	}
	*p = f.Subjects()
	return nil
}

func (p Patterns) String() string { return strings.Join(p, ",") }

// outside returns what is wrong where one of the patterns, or the subjects on which its
// presence is told, are none that are served.
func (p Patterns) outside(served Subjects) error {
	for _, pattern := range p {
		if err := broker.SubjectWithin(pattern, served); err != nil {
			return err
		}
		if err := broker.SubjectWithin(broker.PresenceSubject(pattern), served); err != nil {
			return fmt.Errorf("that of %q would be told where nothing is stored: %w", pattern, err)
		}
	}
	return nil
}

// Name is what something is called, or empty.
type Name string

const maxName = 64

func (Name) allowed() string {
	return fmt.Sprintf("a name of up to %d bytes without white space", maxName)
}

// UnmarshalText checks the name.
func (n *Name) UnmarshalText(b []byte) error {
	text := string(b)
	if len(text) > maxName || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("is no such name")
	}
	*n = Name(text)
	return nil
}

// Origins are web origins (https://html.spec.whatwg.org/#origin), or "*".
type Origins []string

func (Origins) allowed() string {
	return "origins such as https://example.com, https://*.example.com for its subdomains, or *"
}

// UnmarshalText reads a comma-separated list of origins. A browser sends an
// origin without a path and without a trailing slash, and it is compared as a
// text: with either it would never match, so it is refused.
func (o *Origins) UnmarshalText(b []byte) error {
	list := splitList(string(b))
	for _, origin := range list {
		if origin == "*" {
			continue
		}
		exact := strings.Replace(origin, "://*.", "://", 1)
		u, err := url.Parse(exact)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Contains(u.Host, "*") || u.Scheme+"://"+u.Host != exact {
			return fmt.Errorf("contains %q, which is not an origin", origin)
		}
	}
	*o = list
	return nil
}

// HTTPURL is the URL of something that is fetched, or empty.
type HTTPURL string

func (HTTPURL) allowed() string { return "a URL that begins with https:// or http://" }

// UnmarshalText checks the URL.
func (u *HTTPURL) UnmarshalText(b []byte) error {
	*u = HTTPURL(b)
	if *u == "" {
		return nil
	}
	parsed, err := url.Parse(string(b))
	if err != nil || (parsed.Scheme != "https" && parsed.Scheme != "http") || parsed.Host == "" {
		return errors.New("is not such a URL")
	}
	if parsed.User != nil {
		return errors.New("has user information, which would be logged")
	}
	return nil
}

// Algorithms are names of algorithms that tokens are signed with (RFC 7518).
type Algorithms []string

func (Algorithms) allowed() string { return strings.Join(access.Algorithms(), ", ") }

// UnmarshalText reads a comma-separated list of names.
func (a *Algorithms) UnmarshalText(b []byte) error {
	list := splitList(string(b))
	for _, name := range list {
		if !slices.Contains(access.Algorithms(), name) {
			return fmt.Errorf("contains %q, which is no such algorithm", name)
		}
	}
	*a = list
	return nil
}

// Rules are rules of access.
type Rules []access.Rule

func (Rules) allowed() string {
	return "subscribe, publish, ask or admin, a space, and a NATS subject"
}

// UnmarshalText reads a comma-separated list of rules.
func (r *Rules) UnmarshalText(b []byte) error {
	var rules Rules
	for _, text := range splitList(string(b)) {
		rule, err := access.ParseRule(text)
		if err != nil {
			return fmt.Errorf("cannot be used (%w)", err)
		}
		rules = append(rules, rule)
	}
	*r = rules
	return nil
}

// Prefixes are ranges of IP addresses.
type Prefixes []netip.Prefix

func (Prefixes) allowed() string { return "addresses and ranges such as 10.0.0.0/8, 192.0.2.1" }

// UnmarshalText reads a comma-separated list of ranges and addresses.
func (p *Prefixes) UnmarshalText(b []byte) error {
	var list Prefixes
	for _, text := range splitList(string(b)) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil {
				return fmt.Errorf("contains %q, which is neither an address nor a range", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		list = append(list, prefix.Masked())
	}
	*p = list
	return nil
}

func (p Prefixes) String() string {
	texts := make([]string, len(p))
	for i, prefix := range p {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, ",")
}

// Text is any text, also an empty one.
type Text string

func (Text) allowed() string { return "a text" }

// UnmarshalText takes the text as it is.
func (t *Text) UnmarshalText(b []byte) error {
	*t = Text(b)
	return nil
}

// Size is a number of bytes.
type Size int64

// units from the largest, binary before decimal, so that String finds the
// shortest exact form first.
var units = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
}

func (Size) allowed() string { return "a whole number of bytes, or with a unit as in 64KiB or 1GB" }

// UnmarshalText reads a whole number with an optional unit in any letter case.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	digits := strings.TrimRight(text, "BbIiKkMmGgTt ")
	unit := strings.TrimSpace(text[len(digits):])
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return errors.New("is not a size")
	}
	factor, ok := unitBytes(unit)
	switch {
	case !ok:
		return fmt.Errorf("has the unknown unit %q", unit)
	case n > math.MaxInt64/factor:
		return errors.New("is too large")
	}
	*s = Size(n * factor)
	return nil
}

func unitBytes(name string) (bytes int64, ok bool) {
	if name == "" {
		return 1, true
	}
	for _, u := range units {
		if strings.EqualFold(u.name, name) {
			return u.bytes, true
		}
	}
	return 0, false
}

func (s Size) String() string {
	for _, u := range units {
		if n := int64(s); n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

func (Level) allowed() string { return "debug, info, warn or error" }

// UnmarshalText reads one of the four names; slog itself would take "info+3" too.
func (l *Level) UnmarshalText(b []byte) error {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(level.String(), string(b)) {
			l.Level = level
			return nil
		}
	}
	return errors.New("is not a log level")
}

func (l Level) String() string { return strings.ToLower(l.Level.String()) }

func (Format) allowed() string { return "text or json" }

// UnmarshalText reads one of the formats.
func (f *Format) UnmarshalText(b []byte) error {
	switch Format(b) {
	case FormatText, FormatJSON:
		*f = Format(b)
		return nil
	}
	return errors.New("is not a log format")
}

// splitList splits at commas, and drops white space around the parts and empty
// ones.
func splitList(text string) []string {
	var list []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
