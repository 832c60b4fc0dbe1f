package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/sideshow/apns2/token"
	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/pooled"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// key is a key for provider tokens.
type key struct {
	keyID, teamID string
	signer        *pooled.Follower[*ecdsa.PrivateKey, *signer]
}

// identifier matches Apple's key IDs and team IDs.
var identifier = regexp.MustCompile(`^[A-Z0-9]{10}$`)

func newKey(p *Provider, logger *zap.Logger) (*key, error) {
	k := &key{}
	var err error
	if k.keyID, err = resolveID("key_id", p.KeyID); err != nil {
		return nil, err
	}
	if k.teamID, err = resolveID("team_id", p.TeamID); err != nil {
		return nil, err
	}
	path, err := keyfile.Resolve(p.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	options := keyfile.Options[*ecdsa.PrivateKey]{Paths: []string{path}, Parse: parseKey, Logger: logger}
	if k.signer, err = pooled.Follow(options, func(private *ecdsa.PrivateKey) (*pooled.Share[*signer], error) {
		return takeSigner(private, k.keyID, k.teamID)
	}); err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	return k, nil
}

func resolveID(option, raw string) (string, error) {
	id, err := keyfile.Resolve(raw)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", option, err)
	case id == "":
		return "", fmt.Errorf("%s is missing: key_file needs key_id and team_id", option)
	case !identifier.MatchString(id):
		return "", fmt.Errorf("%s: %q is not 10 capital letters and digits", option, id)
	}
	return id, nil
}

// parseKey reads a .p8 file. Its errors do not show the content.
func parseKey(contents [][]byte) (*ecdsa.PrivateKey, error) {
	private, err := token.AuthKeyFromBytes(contents[0])
	switch {
	case errors.Is(err, token.ErrAuthKeyNotPem):
		return nil, errors.New("the file is not PEM: use AuthKey_<key id>.p8 as Apple issued it")
	case errors.Is(err, token.ErrAuthKeyNotECDSA), err == nil && private.Curve != elliptic.P256():
		return nil, errors.New("the key is not an ECDSA key on the curve P-256: use AuthKey_<key id>.p8 as Apple issued it")
	case err != nil:
		return nil, errors.New("the PEM block contains no readable PKCS#8 private key: use AuthKey_<key id>.p8 as Apple issued it")
	}
	return private, nil
}

func (k *key) bearer() (string, error) { return k.signer.Current().token() }

func (k *key) renewed(expired string) (string, error) { return k.signer.Current().renew(expired) }

func (k *key) close() error { return k.signer.Close() }

func (k *key) clientCertificate() func() *tls.Certificate { return nil }
func (k *key) topics() []string                           { return nil }
func (k *key) expiry() time.Time                          { return time.Time{} }

// identity is that of the key: APNs requires a connection to carry the tokens of only one team,
// https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns.
func (k *key) identity() string { return "key " + k.teamID + " " + k.keyID }

// fingerprint distinguishes keys without showing them.
func fingerprint(private *ecdsa.PrivateKey) (string, error) {
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	return string(public), err
}
