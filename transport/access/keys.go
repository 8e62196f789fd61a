package access

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/MicahParks/jwkset"
)

// verifyKey is one key that tokens are verified with.
type verifyKey struct {
	id  string // the kid that tokens name it by; empty matches any
	alg string // the only algorithm that it is for; empty: any that its type allows
	// value is what the jwt package takes: []byte, *rsa.PublicKey, *ecdsa.PublicKey
	// or ed25519.PublicKey.
	value any
	// print identifies the key, whatever it is called.
	print [sha256.Size]byte
}

// fits reports whether the key can verify the algorithm. The jwt package would not
// take another type either; this is so that a mistake there lets nobody in.
func (k *verifyKey) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch v := k.value.(type) {
	case []byte:
		return strings.HasPrefix(alg, "HS")
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return alg == curveAlgorithms[v.Params().Name]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// curveAlgorithms are the algorithms of the curves (RFC 7518, section 3.4).
var curveAlgorithms = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}

// KeySource is where the keys come from. It is read again now and then, so that
// keys can be exchanged while the gateway runs.
type KeySource interface {
	load(ctx context.Context) ([]*verifyKey, error)
	// algorithms are those that its tokens are signed with unless others are pinned.
	algorithms() []string
	// String names the source for the log; no key is in it.
	String() string
}

// minSecret is the length of a secret in bytes below which HMAC-SHA256 would be
// weaker than its hash (RFC 7518, section 3.2).
const minSecret = 32

// SecretFile is a file with the secret that tokens are signed with by HMAC: all its
// bytes but a line end after them.
type SecretFile string

func (f SecretFile) String() string     { return string(f) }
func (SecretFile) algorithms() []string { return []string{"HS256"} }

func (f SecretFile) load(context.Context) ([]*verifyKey, error) {
	secret, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if secret = bytes.TrimRight(secret, "\r\n"); len(secret) < minSecret {
		return nil, fmt.Errorf("read secret: %s has %d bytes, %d are needed", f, len(secret), minSecret)
	}
	return []*verifyKey{{value: secret, print: sha256.Sum256(secret)}}, nil
}

// PublicKeyFile is a file with one public key or several, of RSA, of the curves
// P-256, P-384 and P-521, or Ed25519, in PEM: PUBLIC KEY or CERTIFICATE. Several are
// for the time in which one takes the place of another.
type PublicKeyFile string

func (f PublicKeyFile) String() string { return string(f) }
func (PublicKeyFile) algorithms() []string {
	return []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"}
}

func (f PublicKeyFile) load(context.Context) ([]*verifyKey, error) {
	rest, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	var keys []*verifyKey
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		public, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("read public key: %s: %w", f, err)
		}
		key, err := newPublicKey(public)
		if err != nil {
			return nil, fmt.Errorf("read public key: %s: %w", f, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read public key: %s has no PEM block", f)
	}
	return keys, nil
}

func publicKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	}
	return nil, fmt.Errorf("has a block %q: want PUBLIC KEY or CERTIFICATE", block.Type)
}

// minRSA is the least size of an RSA key in bits (RFC 7518, section 3.3).
const minRSA = 2048

func newPublicKey(public any) (*verifyKey, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return nil, fmt.Errorf("has an RSA key of %d bits: %d are needed", k.N.BitLen(), minRSA)
		}
	case *ecdsa.PublicKey:
		if curveAlgorithms[k.Params().Name] == "" {
			return nil, fmt.Errorf("has a key of the curve %s: want P-256, P-384 or P-521", k.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return nil, fmt.Errorf("has a key of type %T: want RSA, ECDSA or Ed25519", public)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	return &verifyKey{value: public, print: sha256.Sum256(der)}, nil
}

// JWKS is the URL of a JSON Web Key Set (RFC 7517), as identity providers publish it.
type JWKS struct {
	URL string
	// Client makes the requests. Default: http.DefaultClient.
	Client *http.Client
}

// maxJWKS bounds the answer in bytes. Providers have a handful of keys of 1 to 4 kB.
const maxJWKS = 1 << 20

func (s JWKS) String() string     { return s.URL }
func (JWKS) algorithms() []string { return PublicKeyFile("").algorithms() }

func (s JWKS) load(ctx context.Context) ([]*verifyKey, error) {
	body, err := s.fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	var keys []*verifyKey
	for _, k := range set.Keys {
		if key := webKey(k); key != nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("read key set: it has no public key to verify signatures with")
	}
	return keys, nil
}

func (s JWKS) fetch(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	client := s.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxJWKS+1))
	if err == nil && len(body) > maxJWKS {
		err = fmt.Errorf("the answer has more than %d bytes", maxJWKS)
	}
	return body, err
}

// webKey returns a key of the set, nil where it is none that tokens are verified
// with: for encryption, of another type, or symmetric, which a published set cannot
// have kept secret.
func webKey(marshalled jwkset.JWKMarshal) *verifyKey {
	if marshalled.USE == jwkset.UseEnc {
		return nil
	}
	jwk, err := jwkset.NewJWKFromMarshal(marshalled, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil
	}
	key, err := newPublicKey(jwk.Key())
	if err != nil {
		return nil
	}
	key.id, key.alg = marshalled.KID, marshalled.ALG.String()
	return key
}
