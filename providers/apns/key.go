package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/sideshow/apns2/token"
	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// key is a key for provider tokens.
type key struct {
	keyID, teamID string
	file          *keyfile.File[*ecdsa.PrivateKey]

	mu     sync.Mutex
	signer *signer // also after close, for pushes that are still on their way
	closed bool
}

// identifier is what Apple's key and team IDs look like.
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
	k.file, err = keyfile.Open(keyfile.Options[*ecdsa.PrivateKey]{
		Paths: []string{path}, Parse: parseKey, Changed: func(private *ecdsa.PrivateKey) { _ = k.use(private) }, Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	return k, k.use(k.file.Get())
}

func resolveID(option, raw string) (string, error) {
	id, err := keyfile.Resolve(raw)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", option, err)
	case id == "":
		return "", fmt.Errorf("%s is missing: a key needs key_id and team_id", option)
	case !identifier.MatchString(id):
		return "", fmt.Errorf("%s: %q is not 10 capital letters and digits", option, id)
	}
	return id, nil
}

// parseKey reads a .p8 file. Its errors do not show what was read.
func parseKey(contents [][]byte) (*ecdsa.PrivateKey, error) {
	private, err := token.AuthKeyFromBytes(contents[0])
	switch {
	case errors.Is(err, token.ErrAuthKeyNotPem):
		return nil, errors.New("it is not PEM: Apple's file AuthKey_<key id>.p8 is")
	case errors.Is(err, token.ErrAuthKeyNotECDSA), err == nil && private.Curve != elliptic.P256():
		return nil, errors.New("the key is not an ECDSA key on the curve P-256, as Apple's are")
	case err != nil:
		return nil, errors.New("the PEM block holds no readable PKCS#8 private key")
	}
	return private, nil
}

// use takes the signer of a key, and lets go of that of the key before.
func (k *key) use(private *ecdsa.PrivateKey) error {
	next, err := takeSigner(private, k.keyID, k.teamID)
	if err != nil {
		return err
	}
	k.mu.Lock()
	before, closed := k.signer, k.closed
	k.signer = next
	k.mu.Unlock()
	if closed {
		return next.release()
	}
	return before.release()
}

func (k *key) current() *signer {
	k.file.Get() // which calls use if the file was replaced
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signer
}

func (k *key) bearer() (string, error) { return k.current().token() }

func (k *key) renewed(expired string) (string, error) { return k.current().renew(expired) }

func (k *key) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	return k.signer.release()
}

func (k *key) clientCertificate() func() *tls.Certificate { return nil }
func (k *key) topics() []string                           { return nil }
func (k *key) expiry() time.Time                          { return time.Time{} }

// identity is the key's: APNs wants one connection to carry the tokens of one team only,
// https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns.
func (k *key) identity() string { return "key " + k.teamID + " " + k.keyID }

// fingerprint tells keys apart without showing them.
func fingerprint(private *ecdsa.PrivateKey) (string, error) {
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	return string(public), err
}
