package access_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"ringcast/broker"
	"ringcast/transport/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret that has 32 bytes or more"

// Keys of every kind, made once: RSA takes a moment.
var (
	rsaKey, otherRSA   = newRSA(), newRSA()
	ecKey, otherEC     = newEC(), newEC()
	edPublic, edKey, _ = ed25519.GenerateKey(rand.Reader)
)

func newRSA() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) }

func newEC() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func publicPEM(key any) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))})
}

// file writes a file of the test's own.
func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func secretFile(t *testing.T) access.SecretFile { return access.SecretFile(file(t, secret+"\n")) }

// policy returns a policy, of the secret unless the options have other keys.
func policy(t *testing.T, opts access.Options) *access.Policy {
	t.Helper()
	if opts.Keys == nil {
		opts.Keys = secretFile(t)
	}
	p, err := access.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// claims are those of a good token, with others over them; nil takes one out.
func claims(over ...any) jwt.MapClaims {
	c := jwt.MapClaims{
		"sub":      "42",
		"exp":      time.Now().Add(time.Minute).Unix(),
		"ringcast": map[string]any{"subscribe": []string{"events.notify.42.>"}},
	}
	for i := 0; i < len(over); i += 2 {
		if c[over[i].(string)] = over[i+1]; over[i+1] == nil {
			delete(c, over[i].(string))
		}
	}
	return c
}

// sign returns a token. The header's members come over its own.
func sign(method jwt.SigningMethod, key any, c jwt.MapClaims, header ...any) string {
	token := jwt.NewWithClaims(method, c)
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i].(string)] = header[i+1]
	}
	return must(token.SignedString(key))
}

func signed(c jwt.MapClaims) string { return sign(jwt.SigningMethodHS256, []byte(secret), c) }

func bearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v1/stream", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func filter(t *testing.T, subjects ...string) broker.Filter {
	t.Helper()
	f, err := broker.NewFilter(subjects, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// maySubscribe asks a policy without a callout: the grants decide alone.
func maySubscribe(t *testing.T, id *access.Identity, subjects ...string) error {
	t.Helper()
	return access.Everybody().MaySubscribe(t.Context(), id, "", filter(t, subjects...))
}

// rejected checks that the token is refused, with these words.
func rejected(t *testing.T, p *access.Policy, token, says string) {
	t.Helper()
	id, err := p.Identify(bearer(token))
	if id != nil || !errors.Is(err, access.ErrToken) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %+v, %v; want an error that says %q", id, err, says)
	}
	if err != nil && (strings.Contains(err.Error(), secret) || len(token) > 8 && strings.Contains(err.Error(), token)) {
		t.Errorf("the error repeats a secret: %v", err)
	}
}

func accepted(t *testing.T, p *access.Policy, token string) *access.Identity {
	t.Helper()
	id, err := p.Identify(bearer(token))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPolicy_Identify(t *testing.T) {
	p := policy(t, access.Options{})
	id := accepted(t, p, signed(claims()))
	if id.Subject != "42" || id.Anonymous() || time.Until(id.Expires) > time.Minute || time.Until(id.Expires) < 50*time.Second {
		t.Errorf("%+v", id)
	}
	if err := maySubscribe(t, id, "events.notify.42.*", "events.notify.42.a.b"); err != nil {
		t.Error(err)
	}
	for _, subject := range []string{"events.notify.43.a", "events.notify.*.a", "events.notify.>", "events.>", ">", "*.notify.42.a", "events.notify.42"} {
		var denied *access.DeniedError
		if err := maySubscribe(t, id, "events.notify.42.a", subject); !errors.As(err, &denied) || denied.Subject != subject {
			t.Errorf("%s: %v", subject, err)
		}
	}
	if id.MayPublish("events.notify.42.a") == nil {
		t.Error("may publish what it may subscribe to")
	}
}

// RFC 8725: what is tried on verifiers of tokens.
func TestPolicy_Identify_attacks(t *testing.T) {
	hs := policy(t, access.Options{Issuer: "https://issuer.example", Audience: "ringcast"})
	good := func(over ...any) jwt.MapClaims {
		return claims(append([]any{"iss", "https://issuer.example", "aud", "ringcast"}, over...)...)
	}
	accepted(t, hs, signed(good())) // or none of the below says anything
	accepted(t, hs, signed(good("aud", []string{"other", "ringcast"})))
	b64 := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(signed(good()), ".")
	for name, tc := range map[string]struct{ token, says string }{
		"nothing":            {"", ""},
		"rubbish":            {"a.b.c", "no JSON Web Token"},
		"two parts":          {parts[0] + "." + parts[1], "no JSON Web Token"},
		"without signature":  {parts[0] + "." + parts[1] + ".", "signature"},
		"other claims":       {parts[0] + "." + b64([]byte(`{"sub":"43","exp":9999999999,"iss":"https://issuer.example","aud":"ringcast"}`)) + "." + parts[2], "signature"},
		"none":               {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good()), "signature"},
		"none by other case": {b64([]byte(`{"alg":"nOnE"}`)) + "." + parts[1] + ".", "no JSON Web Token"},
		"another key":        {sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), good()), "signature"},
		"another algorithm":  {sign(jwt.SigningMethodHS512, []byte(secret), good()), "signature"},
		"public key":         {sign(jwt.SigningMethodRS256, rsaKey, good()), "signature"},
		"expired":            {signed(good("exp", time.Now().Add(-time.Minute).Unix())), "expired"},
		"without an end":     {signed(good("exp", nil)), "lacks a claim"},
		"end is text":        {signed(good("exp", "tomorrow")), ""},
		"not valid yet":      {signed(good("nbf", time.Now().Add(time.Minute).Unix())), "not valid yet"},
		"another issuer":     {signed(good("iss", "https://issuer.example.evil")), "another issuer"},
		"without issuer":     {signed(good("iss", nil)), ""},
		"another audience":   {signed(good("aud", "others")), "another audience"},
		"without audience":   {signed(good("aud", nil)), ""},
		"critical extension": {sign(jwt.SigningMethodHS256, []byte(secret), good(), "crit", []string{"b64"}), "critical"},
		"too long":           {signed(good("padding", strings.Repeat("x", 16<<10))), "bytes"},
		"claim is a list":    {signed(good("ringcast", []string{">"})), "no object"},
		"claim has more":     {signed(good("ringcast", map[string]any{"write": []string{}})), `"write"`},
		"grant is no list":   {signed(good("ringcast", map[string]any{"subscribe": ">"})), "no list"},
		"grant is a number":  {signed(good("ringcast", map[string]any{"subscribe": []int{1}})), "texts"},
		"grant is malformed": {signed(good("ringcast", map[string]any{"subscribe": []string{"a..b"}})), "empty token"},
		"subject is a list":  {signed(good("sub", []string{"42"})), "sub"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.token == "" {
				if id, err := hs.Identify(bearer("")); err != nil || !id.Anonymous() || maySubscribe(t, id, "a") == nil {
					t.Errorf("%+v, %v", id, err)
				}
				return
			}
			rejected(t, hs, tc.token, tc.says)
		})
	}
	t.Run("within the leeway", func(t *testing.T) {
		p := policy(t, access.Options{Leeway: 2 * time.Minute})
		accepted(t, p, signed(claims("exp", time.Now().Add(-time.Minute).Unix())))
		rejected(t, p, signed(claims("exp", time.Now().Add(-3*time.Minute).Unix())), "expired")
	})
	t.Run("no keys, no tokens", func(t *testing.T) {
		p, err := access.New(t.Context(), access.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rejected(t, p, signed(good()), "takes none")
	})
}

func TestPolicy_PublicKeys(t *testing.T) {
	keys := publicPEM(rsaKey.Public())
	keys = append(keys, publicPEM(ecKey.Public())...)
	keys = append(keys, publicPEM(edPublic)...)
	p := policy(t, access.Options{Keys: access.PublicKeyFile(file(t, string(keys)))})
	for name, token := range map[string]string{
		"RSA":     sign(jwt.SigningMethodRS256, rsaKey, claims()),
		"EC":      sign(jwt.SigningMethodES256, ecKey, claims()),
		"Ed25519": sign(jwt.SigningMethodEdDSA, edKey, claims()),
	} {
		t.Run(name, func(t *testing.T) { accepted(t, p, token) })
	}
	rejected(t, p, sign(jwt.SigningMethodRS256, otherRSA, claims()), "signature")
	rejected(t, p, sign(jwt.SigningMethodES256, otherEC, claims()), "signature")
	rejected(t, p, sign(jwt.SigningMethodRS512, rsaKey, claims()), "signature")

	// A public key is known to everybody: it must not serve as a secret.
	for _, known := range [][]byte{publicPEM(rsaKey.Public()), must(x509.MarshalPKIXPublicKey(rsaKey.Public())), edPublic, keys} {
		rejected(t, p, sign(jwt.SigningMethodHS256, known, claims()), "signature")
	}
	pinned := policy(t, access.Options{Keys: access.PublicKeyFile(file(t, string(keys))), Algorithms: []string{"RS512"}})
	accepted(t, pinned, sign(jwt.SigningMethodRS512, rsaKey, claims()))
	rejected(t, pinned, sign(jwt.SigningMethodRS256, rsaKey, claims()), "signature")
}

func TestNew_refuses(t *testing.T) {
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	rule := func(text string) access.Rules { return access.Rules{must(access.ParseRule(text))} }
	for name, tc := range map[string]struct {
		opts access.Options
		says string
	}{
		"no file":             {access.Options{Keys: access.SecretFile("no/such/file")}, "no such file"},
		"a short secret":      {access.Options{Keys: access.SecretFile(file(t, "short\n"))}, "5 bytes"},
		"no PEM":              {access.Options{Keys: access.PublicKeyFile(file(t, "x"))}, "no PEM"},
		"a private key":       {access.Options{Keys: access.PublicKeyFile(file(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(rsaKey))}))))}, "PRIVATE KEY"},
		"a small key":         {access.Options{Keys: access.PublicKeyFile(file(t, string(publicPEM(small.Public()))))}, "1024 bits"},
		"another curve":       {access.Options{Keys: access.PublicKeyFile(file(t, string(publicPEM(p224.Public()))))}, "P-224"},
		"none":                {access.Options{Keys: secretFile(t), Algorithms: []string{"none"}}, `"none"`},
		"an unknown name":     {access.Options{Keys: secretFile(t), Algorithms: []string{"HS257"}}, `"HS257"`},
		"RSA with a secret":   {access.Options{Keys: secretFile(t), Algorithms: []string{"HS256", "RS256"}}, `"RS256"`},
		"HMAC with a key set": {access.Options{Keys: access.JWKS{URL: "http://127.0.0.1:1/"}, Algorithms: []string{"HS256"}}, `"HS256"`},
		"a claim of nobody":   {access.Options{Anonymous: rule("subscribe events.{sub}")}, "names a claim"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := access.New(t.Context(), tc.opts); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want an error that says %q", err, tc.says)
			}
		})
	}
}

func TestPolicy_Cookie(t *testing.T) {
	p := policy(t, access.Options{Cookie: "session"})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: "session", Value: signed(claims("sub", "cookie"))})
	if id, err := p.Identify(r); err != nil || id.Subject != "cookie" {
		t.Errorf("%+v, %v", id, err)
	}
	r.Header.Set("Authorization", "bearer "+signed(claims("sub", "header")))
	if id, err := p.Identify(r); err != nil || id.Subject != "header" {
		t.Errorf("%+v, %v", id, err)
	}
	r.Header.Set("Authorization", "Basic dXNlcjpwYXNz") // is somebody else's
	if id, err := p.Identify(r); err != nil || id.Subject != "cookie" {
		t.Errorf("%+v, %v", id, err)
	}
}

// keyServer publishes a key set that the test can exchange.
type keyServer struct {
	URL      string
	requests atomic.Int32
	mu       sync.Mutex
	body     []byte // nil: 503
}

func newKeyServer(t *testing.T) *keyServer {
	s := &keyServer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.requests.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.body == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(s.body)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func (s *keyServer) publish(t *testing.T, keys map[string]crypto.PublicKey) {
	t.Helper()
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for id, key := range keys {
		jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id}, Marshal: jwkset.JWKMarshalOptions{Private: true}})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = must(json.Marshal(set))
}

func (s *keyServer) policy(t *testing.T) *access.Policy {
	return policy(t, access.Options{Keys: access.JWKS{URL: s.URL}})
}

func TestPolicy_JWKS(t *testing.T) {
	s := newKeyServer(t)
	s.publish(t, map[string]crypto.PublicKey{"r": rsaKey.Public(), "e": ecKey.Public(), "d": edPublic, "s": []byte(secret)})
	p := s.policy(t)
	accepted(t, p, sign(jwt.SigningMethodRS256, rsaKey, claims(), "kid", "r"))
	accepted(t, p, sign(jwt.SigningMethodES256, ecKey, claims(), "kid", "e"))
	accepted(t, p, sign(jwt.SigningMethodEdDSA, edKey, claims(), "kid", "d"))
	accepted(t, p, sign(jwt.SigningMethodEdDSA, edKey, claims())) // a kid is optional
	rejected(t, p, sign(jwt.SigningMethodRS256, otherRSA, claims(), "kid", "r"), "signature")
	rejected(t, p, sign(jwt.SigningMethodES256, ecKey, claims(), "kid", "r"), "signature")
	// Symmetric keys of a published set are known to everybody.
	rejected(t, p, sign(jwt.SigningMethodHS256, []byte(secret), claims(), "kid", "s"), "signature")
	// Where a token says that its key is must not be looked at.
	other := newKeyServer(t)
	other.publish(t, map[string]crypto.PublicKey{"o": otherRSA.Public()})
	rejected(t, p, sign(jwt.SigningMethodRS256, otherRSA, claims(), "kid", "o", "jku", other.URL), "signature")
	rejected(t, p, sign(jwt.SigningMethodRS256, otherRSA, claims(), "kid", other.URL), "signature")
	rejected(t, p, sign(jwt.SigningMethodRS256, otherRSA, claims(), "kid", "../../../dev/null"), "signature")
	rejected(t, p, sign(jwt.SigningMethodRS256, otherRSA, claims(), "kid", 7), "signature")
	if n := other.requests.Load(); n > 0 {
		t.Errorf("%d requests to the token's own key server", n)
	}
	// Tokens with unknown key ids, which anybody can make, cause one request.
	if n := s.requests.Load(); n != 2 {
		t.Errorf("%d requests for the key set, want the first and one more", n)
	}
}

func TestPolicy_JWKS_rotation(t *testing.T) {
	s := newKeyServer(t)
	s.publish(t, map[string]crypto.PublicKey{"1": rsaKey.Public()})
	p := s.policy(t)
	first := accepted(t, p, sign(jwt.SigningMethodRS256, rsaKey, claims(), "kid", "1"))
	s.publish(t, map[string]crypto.PublicKey{"1": rsaKey.Public(), "2": otherRSA.Public()})
	second := accepted(t, p, sign(jwt.SigningMethodRS256, otherRSA, claims(), "kid", "2")) // read again at once
	if p.Revoked(first) || p.Revoked(second) {
		t.Error("revoked with its key still there")
	}
	s.publish(t, map[string]crypto.PublicKey{"2": otherRSA.Public()})
	reread(t, p)
	if !p.Revoked(first) || p.Revoked(second) {
		t.Errorf("revoked: %v, %v; want the first alone", p.Revoked(first), p.Revoked(second))
	}
	rejected(t, p, sign(jwt.SigningMethodRS256, rsaKey, claims(), "kid", "1"), "signature")
	// A provider that is away must not lock everybody out.
	s.mu.Lock()
	s.body = nil
	s.mu.Unlock()
	reread(t, p)
	accepted(t, p, sign(jwt.SigningMethodRS256, otherRSA, claims(), "kid", "2"))
}

// reread has the keys read again, as Run does in its time.
func reread(t *testing.T, p *access.Policy) {
	t.Helper()
	access.Reread(t.Context(), p)
}

func TestPolicy_JWKS_away(t *testing.T) {
	s := newKeyServer(t)
	p := s.policy(t)
	token := sign(jwt.SigningMethodRS256, rsaKey, claims(), "kid", "1")
	if _, err := p.Identify(bearer(token)); !errors.Is(err, access.ErrNoKeys) || p.Ready() == nil {
		t.Errorf("got %v, ready %v; want ErrNoKeys", err, p.Ready())
	}
	s.publish(t, map[string]crypto.PublicKey{"1": rsaKey.Public()})
	reread(t, p)
	if accepted(t, p, token); p.Ready() != nil {
		t.Error(p.Ready())
	}
}

// A secret or key file can be exchanged while the gateway runs; one that cannot be
// read leaves the keys as they are.
func TestPolicy_SecretFile_exchanged(t *testing.T) {
	keys := secretFile(t)
	p := policy(t, access.Options{Keys: keys})
	id := accepted(t, p, signed(claims()))
	if err := os.WriteFile(string(keys), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	reread(t, p)
	accepted(t, p, signed(claims()))
	if err := os.WriteFile(string(keys), []byte(strings.Repeat("n", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	reread(t, p)
	rejected(t, p, signed(claims()), "signature")
	accepted(t, p, sign(jwt.SigningMethodHS256, []byte(strings.Repeat("n", 32)), claims()))
	if !p.Revoked(id) {
		t.Error("not revoked though its secret is gone")
	}
}
