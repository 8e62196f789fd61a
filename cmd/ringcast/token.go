package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/spf13/cobra"

	"ringcast/broker"
	"ringcast/cmd/internal/config"
)

// mint is what the flags of `ringcast token` say.
type mint struct {
	secretFile, privateKeyFile string
	subject, issuer            string
	audience                   string
	ttl                        time.Duration
	grants                     map[string]*[]string
	claims                     map[string]string
}

// grantFlags are the members of the claim ringcast, and what its flags say.
var grantFlags = map[string]string{
	"subscribe": "a pattern of subjects that the token may subscribe to; repeat it for more",
	"publish":   "a pattern of subjects that the token may publish to; repeat it for more",
	"ask":       "a pattern of subjects that the token may ask questions on; repeat it for more",
	"admin":     "an operator's call that the token may make (status, subscriptions, metrics), or >; repeat it for more",
}

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token for development",
		Long: "Make a JSON Web Token that a gateway with the same secret, or with the public key of the private one,\n" +
			"accepts, and print it. In production an identity provider makes the tokens.",
		Example: "  ringcast token --new-secret > secret\n" +
			"  ringcast serve --jwt-secret-file secret\n" +
			"  ringcast token --secret-file secret --sub 42 --subscribe 'events.notify.42.>' --ttl 1h",
		Args: args(0, 0),
	}
	m := mint{grants: map[string]*[]string{}}
	var newSecret bool
	flags := cmd.Flags()
	flags.BoolVar(&newSecret, "new-secret", false, "print a new random secret instead, for --jwt-secret-file")
	flags.StringVar(&m.secretFile, "secret-file", "", "file with the secret to sign with (HS256)")
	flags.StringVar(&m.privateKeyFile, "private-key-file", "", "file with the private key to sign with (PEM, PKCS #8: RSA, P-256, P-384, P-521 or Ed25519)")
	flags.StringVar(&m.subject, "sub", "", "who the token is for: the claim sub")
	flags.StringVar(&m.issuer, "issuer", "", "the claim iss")
	flags.StringVar(&m.audience, "audience", "", "the claim aud")
	flags.DurationVar(&m.ttl, "ttl", time.Hour, "how long the token is good for")
	for _, action := range slices.Sorted(maps.Keys(grantFlags)) {
		m.grants[action] = flags.StringSlice(action, nil, grantFlags[action])
	}
	flags.StringToStringVar(&m.claims, "claim", nil, "a claim of your own, name=text; repeat it for more")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		produce := m.token
		if newSecret {
			produce = randomSecret
		}
		text, err := produce()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
		return err
	}
	return cmd
}

// randomSecret returns 256 random bits in hexadecimal digits.
func randomSecret() (string, error) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b), nil
}

// token returns the token that the flags ask for.
func (m *mint) token() (string, error) {
	claims, err := m.allClaims(time.Now())
	if err != nil {
		return "", err
	}
	method, key, err := m.key()
	if err != nil {
		return "", err
	}
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

func (m *mint) allClaims(now time.Time) (jwt.MapClaims, error) {
	if m.ttl <= 0 {
		return nil, usagef("--ttl %s: allowed is more than 0s", m.ttl)
	}
	claims := jwt.MapClaims{"iat": now.Unix(), "exp": now.Add(m.ttl).Unix()}
	for name, text := range m.claims {
		claims[name] = text
	}
	for name, text := range map[string]string{"sub": m.subject, "iss": m.issuer, "aud": m.audience} {
		if text != "" {
			claims[name] = text
		}
	}
	granted := map[string][]string{}
	for action, patterns := range m.grants {
		if len(*patterns) == 0 {
			continue
		}
		if _, err := broker.NewFilter(*patterns, nil); err != nil {
			return nil, usagef("--%s: %w", action, err)
		}
		granted[action] = *patterns
	}
	if len(granted) > 0 {
		claims["ringcast"] = granted
	}
	return claims, nil
}

// ecMethods are the algorithms of the curves, by their size in bits.
var ecMethods = map[int]jwt.SigningMethod{256: jwt.SigningMethodES256, 384: jwt.SigningMethodES384, 521: jwt.SigningMethodES512}

// key returns what to sign with, and how.
func (m *mint) key() (jwt.SigningMethod, any, error) {
	if (m.secretFile == "") == (m.privateKeyFile == "") {
		return nil, nil, usagef("one of --secret-file and --private-key-file is needed")
	}
	if m.secretFile != "" {
		secret, err := config.KeyFile(m.secretFile).Key()
		if err != nil {
			return nil, nil, usagef("--secret-file %s %w", m.secretFile, err)
		}
		return jwt.SigningMethodHS256, secret, nil
	}
	pem, err := os.ReadFile(m.privateKeyFile)
	if err != nil {
		return nil, nil, usagef("--private-key-file: %w", err)
	}
	if key, err := jwt.ParseRSAPrivateKeyFromPEM(pem); err == nil {
		return jwt.SigningMethodRS256, key, nil
	}
	if key, err := jwt.ParseECPrivateKeyFromPEM(pem); err == nil && ecMethods[key.Params().BitSize] != nil {
		return ecMethods[key.Params().BitSize], key, nil
	}
	if key, err := jwt.ParseEdPrivateKeyFromPEM(pem); err == nil {
		return jwt.SigningMethodEdDSA, key, nil
	}
	return nil, nil, usageError{errors.New("--private-key-file has no private key that can be read: want PEM of RSA, P-256, P-384, P-521 or Ed25519")}
}
