package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ringcast/broker"
)

var (
	// ErrToken is wrapped by what is wrong with a token. Its text is for the client.
	ErrToken = errors.New("the token is not valid here")
	// ErrNoKeys says that tokens cannot be verified now: the key set could not be
	// fetched yet. It may be tried again.
	ErrNoKeys = errors.New("the keys that tokens are verified with cannot be read now")
)

// Options configures a Policy. The zero value lets nobody do anything.
type Options struct {
	// Keys verify tokens. Without them no token is accepted.
	Keys KeySource
	// Algorithms are those that tokens may be signed with. Default: those of Keys.
	Algorithms []string
	// Issuer and Audience are what a token's iss and aud have to be, where not empty.
	Issuer, Audience string
	// Leeway is how far the clocks of issuer and gateway may differ.
	Leeway time.Duration
	// Cookie is the name of a cookie with a token, for requests without the header
	// Authorization. Empty: none.
	Cookie string
	// Rules are what every valid token grants beside its own claim.
	Rules Rules
	// Anonymous are what is granted to everybody, without a token too.
	Anonymous Rules
	// Callout is asked about each subscription that the grants allow. Default: nobody is.
	Callout Callout
	// Refresh is how often the keys are read again. Default: 1 min.
	Refresh time.Duration
	// Logger gets one record when the keys cannot be read any more. Default:
	// slog.Default().
	Logger *slog.Logger
}

// Policy decides who may do what.
type Policy struct {
	opts      Options
	keys      *keyring // nil without Keys
	parser    *jwt.Parser
	anonymous *Identity
	callouts  *callouts // nil without Callout
}

// maxToken bounds a token in bytes.
const maxToken = 16 << 10

// New checks the options and returns a policy. Files with keys have to be readable
// now; a key set that cannot be fetched yet is tried again.
func New(ctx context.Context, opts Options) (*Policy, error) {
	if opts.Refresh <= 0 {
		opts.Refresh = time.Minute
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	p := &Policy{opts: opts, callouts: newCallouts(opts.Callout, opts.Logger)}
	granted, err := anonymousGrants(opts.Anonymous)
	if err != nil {
		return nil, err
	}
	p.anonymous = &Identity{grants: granted}
	if opts.Keys == nil {
		return p, nil
	}
	algorithms, err := pinned(opts)
	if err != nil {
		return nil, err
	}
	p.parser = newParser(opts, algorithms)
	p.keys = &keyring{source: opts.Keys, log: opts.Logger}
	if _, remote := opts.Keys.(JWKS); !remote {
		return p, p.keys.read(ctx)
	}
	_ = p.keys.read(ctx) // the keyring has logged it
	return p, nil
}

// Everybody returns a policy that lets everybody do everything.
func Everybody() *Policy {
	presence := broker.PresenceToken
	all := grants{Subscribe: {">", "*." + presence, "*." + presence + ".>"}, Publish: {">"}, Ask: {">"}, Admin: {">"}}
	return &Policy{anonymous: &Identity{grants: all}}
}

func anonymousGrants(rules Rules) (grants, error) {
	patterns := make(map[Action][]string)
	for _, r := range rules {
		if r.Personal() {
			return nil, fmt.Errorf("anonymous rule %q names a claim: without a token there is none", r)
		}
	}
	rules.grant(nil, patterns)
	return newGrants(patterns)
}

// pinned returns the algorithms that tokens may have. Secrets and public keys are
// never mixed: a public key that is taken for a secret lets anybody sign.
func pinned(opts Options) ([]string, error) {
	usual := opts.Keys.algorithms()
	if len(opts.Algorithms) == 0 {
		return usual, nil
	}
	_, secret := opts.Keys.(SecretFile)
	for _, alg := range opts.Algorithms {
		if jwt.GetSigningMethod(alg) == nil || alg == jwt.SigningMethodNone.Alg() {
			return nil, fmt.Errorf("algorithm %q is none of HS256, RS256, PS256, ES256 (and their 384 and 512), EdDSA", alg)
		}
		if secret != strings.HasPrefix(alg, "HS") {
			return nil, fmt.Errorf("algorithm %q does not go with the keys from %s", alg, opts.Keys)
		}
	}
	return opts.Algorithms, nil
}

func newParser(opts Options, algorithms []string) *jwt.Parser {
	checks := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(opts.Leeway),
	}
	if opts.Issuer != "" {
		checks = append(checks, jwt.WithIssuer(opts.Issuer))
	}
	if opts.Audience != "" {
		checks = append(checks, jwt.WithAudience(opts.Audience))
	}
	return jwt.NewParser(checks...)
}

// Run reads the keys again now and then, until ctx is done.
func (p *Policy) Run(ctx context.Context) {
	if p.keys == nil {
		return
	}
	ticker := time.NewTicker(p.opts.Refresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = p.keys.read(ctx) // the keyring has logged it
		}
	}
}

// Ready returns why no token can be verified now, nil where tokens can, or are not
// used.
func (p *Policy) Ready() error {
	if p.keys == nil {
		return nil
	}
	return p.keys.unread()
}

// Identify returns who makes the request. The error wraps ErrToken where its token
// is not valid, and ErrNoKeys where that cannot be told.
func (p *Policy) Identify(r *http.Request) (*Identity, error) {
	token := p.token(r)
	if token == "" {
		return p.anonymous, nil
	}
	if p.keys == nil {
		if len(p.anonymous.grants) > 0 {
			return p.anonymous, nil // whatever is sent along
		}
		return nil, fmt.Errorf("%w: this gateway takes none", ErrToken)
	}
	claims, key, err := p.verify(r.Context(), token)
	if err != nil {
		return nil, err
	}
	return p.identity(claims, key)
}

// token returns the request's token, empty where there is none. A token in the URL is
// not taken: URLs are logged on the way.
func (p *Policy) token(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	if p.opts.Cookie != "" {
		if c, err := r.Cookie(p.opts.Cookie); err == nil {
			return c.Value
		}
	}
	return ""
}

// verify returns the claims of a valid token, and the key that verified it.
func (p *Policy) verify(ctx context.Context, token string) (jwt.MapClaims, *verifyKey, error) {
	if len(token) > maxToken {
		return nil, nil, fmt.Errorf("%w: it has %d bytes, %d are allowed", ErrToken, len(token), maxToken)
	}
	unverified, _, err := p.parser.ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: it is no JSON Web Token", ErrToken)
	}
	if _, extended := unverified.Header["crit"]; extended {
		// None of its extensions is understood here (RFC 7515, section 4.1.11).
		return nil, nil, fmt.Errorf("%w: it has critical header extensions", ErrToken)
	}
	id, _ := unverified.Header["kid"].(string)
	keys := p.keys.find(ctx, id, unverified.Method.Alg())
	if len(keys) == 0 && p.keys.unread() != nil {
		return nil, nil, ErrNoKeys
	}
	err = jwt.ErrTokenSignatureInvalid
	for _, key := range keys {
		claims := jwt.MapClaims{}
		_, err = p.parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key.value, nil })
		if err == nil {
			return claims, key, nil
		}
		if !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			break // it was this key's
		}
	}
	return nil, nil, fmt.Errorf("%w: %s", ErrToken, tellable(err))
}

// tellable returns what a client may hear of a token that was refused: what its owner
// can mend, and nothing that would help a forger.
func tellable(err error) string {
	for _, known := range []struct {
		err  error
		says string
	}{
		{jwt.ErrTokenExpired, "it has expired"},
		{jwt.ErrTokenNotValidYet, "it is not valid yet"},
		{jwt.ErrTokenRequiredClaimMissing, "it lacks a claim that is needed"},
		{jwt.ErrTokenInvalidAudience, "it is for another audience"},
		{jwt.ErrTokenInvalidIssuer, "it is from another issuer"},
	} {
		if errors.Is(err, known.err) {
			return known.says
		}
	}
	return "its signature cannot be verified"
}

// ownClaim is the claim with what a token grants by itself.
const ownClaim = "ringcast"

func (p *Policy) identity(claims jwt.MapClaims, key *verifyKey) (*Identity, error) {
	patterns, err := ownGrants(claims)
	if err != nil {
		return nil, fmt.Errorf("%w: its claim %s %w", ErrToken, ownClaim, err)
	}
	p.opts.Rules.grant(claims, patterns)
	p.opts.Anonymous.grant(nil, patterns)
	granted, err := newGrants(patterns)
	if err != nil {
		return nil, fmt.Errorf("%w: its grants cannot be used: %w", ErrToken, err)
	}
	subject, err := claims.GetSubject()
	if err != nil {
		return nil, fmt.Errorf("%w: its claim sub is no text", ErrToken)
	}
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return nil, fmt.Errorf("%w: its claim exp is no time", ErrToken)
	}
	return &Identity{Subject: subject, Expires: expires.Add(p.opts.Leeway), key: key, grants: granted}, nil
}

// ownGrants reads {"subscribe":[…],"publish":[…]}.
func ownGrants(claims jwt.MapClaims) (map[Action][]string, error) {
	patterns := make(map[Action][]string)
	claim, there := claims[ownClaim]
	if !there {
		return patterns, nil
	}
	object, ok := claim.(map[string]any)
	if !ok {
		return nil, errors.New("is no object")
	}
	for name, list := range object {
		action := Action(name)
		if !slices.Contains(actions, action) {
			return nil, fmt.Errorf("has %q: want some of %s", name, actions)
		}
		values, ok := list.([]any)
		if !ok {
			return nil, fmt.Errorf("has a %s that is no list", name)
		}
		for _, v := range values {
			pattern, ok := v.(string)
			if !ok {
				return nil, fmt.Errorf("has a %s that is no list of texts", name)
			}
			patterns[action] = append(patterns[action], pattern)
		}
	}
	return patterns, nil
}

// Revoked reports whether the identity's token is no longer good though it has not
// expired: the key that it was signed with has been taken away.
func (p *Policy) Revoked(id *Identity) bool {
	return id.key != nil && (p.keys == nil || !p.keys.holds(id.key.print))
}

// Algorithms returns the names of the algorithms that Options take.
func Algorithms() []string {
	names := slices.Sorted(slices.Values(jwt.GetAlgorithms()))
	return slices.DeleteFunc(names, func(alg string) bool { return alg == jwt.SigningMethodNone.Alg() })
}
