package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// dedupWindow is for how long a repeated Nats-Msg-Id is noticed.
const dedupWindow = 2 * time.Minute

// StreamConfig is the stream as Ringcast wants it.
type StreamConfig struct {
	Name     string
	Subjects []string
	// MaxAge, MaxBytes and MaxEvents bound what the stream holds; the oldest goes
	// first. 0 means no bound.
	MaxAge    time.Duration
	MaxBytes  int64
	MaxEvents int64
	// Replicas is for a clustered server. Default: 1 for a new stream, as found
	// for an existing one.
	Replicas int
	// MirrorDomain, unless empty, is a JetStream domain: a missing stream is made as a
	// mirror of the one of the same name there.
	MirrorDomain string
	// Manage allows changing an existing stream to fit. Otherwise it is checked
	// only, and its limits are its own.
	Manage bool
}

// MismatchError is one reason why an existing stream cannot be used. It matches
// ErrConfig.
type MismatchError struct {
	Stream, Field string
	Found, Wanted any
	Reason        string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("stream %s: %s is %v, want %v: %s", e.Stream, e.Field, e.Found, e.Wanted, e.Reason)
}

func (e *MismatchError) Is(target error) bool { return target == ErrConfig }

// EnsureStream makes the stream when it is missing. An existing one is checked,
// and changed where it does not fit only if cfg says so. An error that matches
// ErrConfig stays until an operator acts; any other is worth another try. It
// also fixes the stream that Publish expects to store its messages.
func (c *Client) EnsureStream(ctx context.Context, cfg StreamConfig) error {
	if err := cfg.validate(); err != nil {
		return permanent(fmt.Errorf("ensure stream %q: %w", cfg.Name, err))
	}
	ctx, cancel := c.whileConnected(ctx)
	defer cancel()
	switch err := c.ensureStream(ctx, cfg); {
	case err != nil && disconnected(ctx, err):
		return fmt.Errorf("ensure stream %s: %w: %s", cfg.Name, ErrDisconnected, c.Status().LastError)
	case err != nil:
		return fmt.Errorf("ensure stream %s: %w", cfg.Name, c.redact.err(err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = cfg.Name
	return nil
}

func (cfg StreamConfig) validate() error {
	if cfg.Name == "" {
		return errors.New("the stream has no name")
	}
	_, err := broker.NewFilter(cfg.Subjects, nil)
	return err
}

func (c *Client) ensureStream(ctx context.Context, cfg StreamConfig) error {
	stream, err := c.js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if err := c.createStream(ctx, cfg); !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return err
		}
		// Another instance made it in between, with a configuration of its own.
		stream, err = c.js.Stream(ctx, cfg.Name)
	}
	if err != nil {
		return startupError(err)
	}
	found := stream.CachedInfo().Config
	c.noteOrigin(found)
	if cfg.Manage && found.Mirror == nil {
		return c.updateStream(ctx, cfg, found)
	}
	if found.Mirror == nil {
		c.noteLimits(cfg, found)
	}
	return checkStream(cfg, found)
}

func (c *Client) createStream(ctx context.Context, cfg StreamConfig) error {
	if cfg.MirrorDomain == "" && c.wasMirror() {
		return fmt.Errorf("%w, and was a mirror: it is for whoever made it to make it again", ErrStreamMissing)
	}
	_, err := c.js.CreateStream(ctx, cfg.newStream())
	if err == nil {
		c.log.Info("made the stream", "stream", cfg.Name, "subjects", cfg.Subjects, "mirror_domain", cfg.MirrorDomain)
		return nil
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return err
	}
	return startupError(err)
}

// newStream is the stream that is made when there is none. The oldest events
// give way; nothing else makes holes: no limit by subject, no roll-up, no expiry
// of single messages, no deletion.
func (cfg StreamConfig) newStream() jetstream.StreamConfig {
	s := jetstream.StreamConfig{
		Name:        cfg.Name,
		Subjects:    cfg.Subjects,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		Storage:     jetstream.FileStorage,
		Replicas:    max(cfg.Replicas, 1),
		MaxAge:      cfg.MaxAge,
		MaxBytes:    orUnlimited(cfg.MaxBytes),
		MaxMsgs:     orUnlimited(cfg.MaxEvents),
		Duplicates:  cfg.duplicates(),
		AllowDirect: true,
		DenyDelete:  true,
	}
	if cfg.MirrorDomain != "" {
		s.Mirror = &jetstream.StreamSource{Name: cfg.Name, Domain: cfg.MirrorDomain}
		s.Subjects, s.Duplicates = nil, 0 // both are the origin's business
	}
	return s
}

// duplicates returns the window for repeated ids, which the server wants within
// MaxAge.
func (cfg StreamConfig) duplicates() time.Duration {
	if cfg.MaxAge > 0 {
		return min(dedupWindow, cfg.MaxAge)
	}
	return dedupWindow
}

// orUnlimited spells "no bound" as the server does, which stores 0 as -1.
func orUnlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// checkStream returns every reason why the stream as found cannot be used.
func checkStream(cfg StreamConfig, found jetstream.StreamConfig) error {
	var errs []error
	refuse := func(field string, found, wanted any, reason string) {
		errs = append(errs, &MismatchError{Stream: cfg.Name, Field: field, Found: found, Wanted: wanted, Reason: reason})
	}
	if found.Mirror == nil && !coversAll(found.Subjects, cfg.Subjects) {
		refuse("subjects", found.Subjects, cfg.Subjects, "they do not cover the configured ones")
	}
	if m := found.Mirror; m != nil && (m.FilterSubject != "" || len(m.SubjectTransforms) > 0) {
		refuse("mirror", "of a part", "of a whole stream", "what it leaves out could not be told from what it lacks")
	}
	if found.Retention != jetstream.LimitsPolicy {
		refuse("retention", found.Retention, jetstream.LimitsPolicy, "events would go as soon as one instance had read them")
	}
	if found.MaxMsgsPerSubject > 0 {
		refuse("max_msgs_per_subject", found.MaxMsgsPerSubject, "no limit", "it removes events between others, of which nobody could be told")
	}
	if found.AllowRollup {
		refuse("allow_rollup_hdrs", true, false, "a publisher could remove events between others")
	}
	if found.AllowMsgTTL {
		refuse("allow_msg_ttl", true, false, "single events between others would expire")
	}
	return errors.Join(errs...)
}

// noteLimits says where a stream that may not be changed has other limits than
// configured: whoever changed the configuration expects an effect.
func (c *Client) noteLimits(cfg StreamConfig, found jetstream.StreamConfig) {
	if found.MaxAge != cfg.MaxAge || found.MaxBytes != orUnlimited(cfg.MaxBytes) || found.MaxMsgs != orUnlimited(cfg.MaxEvents) {
		c.log.Info("the stream exists with other limits than configured, and keeps them unless it is to be managed", "stream", cfg.Name,
			"max_age", found.MaxAge, "max_bytes", found.MaxBytes, "max_events", found.MaxMsgs)
	}
}

// coversAll reports whether every pattern lies within one of those found.
func coversAll(found, patterns []string) bool {
	return !slices.ContainsFunc(patterns, func(p string) bool { return broker.SubjectWithin(p, found) != nil })
}

// updateStream changes what differs, and nothing else, and checks what came of
// it: not everything can be changed.
func (c *Client) updateStream(ctx context.Context, cfg StreamConfig, found jetstream.StreamConfig) error {
	wanted, changes := cfg.merge(found)
	if len(changes) > 0 {
		stream, err := c.js.UpdateStream(ctx, wanted)
		if err != nil {
			return startupError(fmt.Errorf("change %v: %w", changes, err))
		}
		found = stream.CachedInfo().Config
		c.log.Info("changed the stream", "stream", cfg.Name, "fields", changes)
	}
	return checkStream(cfg, found)
}

// merge returns the stream as found with the configured fields in place, and the
// names of those that differed.
func (cfg StreamConfig) merge(found jetstream.StreamConfig) (wanted jetstream.StreamConfig, changes []string) {
	wanted = found
	if !sameSet(found.Subjects, cfg.Subjects) {
		wanted.Subjects, changes = cfg.Subjects, append(changes, "subjects")
	}
	change(&wanted.MaxAge, cfg.MaxAge, "max_age", &changes)
	change(&wanted.MaxBytes, orUnlimited(cfg.MaxBytes), "max_bytes", &changes)
	change(&wanted.MaxMsgs, orUnlimited(cfg.MaxEvents), "max_msgs", &changes)
	change(&wanted.MaxMsgsPerSubject, min(found.MaxMsgsPerSubject, -1), "max_msgs_per_subject", &changes)
	change(&wanted.Retention, jetstream.LimitsPolicy, "retention", &changes)
	change(&wanted.AllowRollup, false, "allow_rollup_hdrs", &changes)
	change(&wanted.AllowDirect, true, "allow_direct", &changes)
	if cfg.Replicas > 0 {
		change(&wanted.Replicas, cfg.Replicas, "num_replicas", &changes)
	}
	if cfg.MaxAge > 0 && found.Duplicates > cfg.MaxAge {
		change(&wanted.Duplicates, cfg.MaxAge, "duplicate_window", &changes)
	}
	return wanted, changes
}

func change[T comparable](field *T, wanted T, name string, changes *[]string) {
	if *field != wanted {
		*field = wanted
		*changes = append(*changes, name)
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a))), slices.Compact(slices.Sorted(slices.Values(b))))
}
