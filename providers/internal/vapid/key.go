// Package vapid identifies the gateway to Web Push services by RFC 8292: with a signed token and the public key that subscriptions were
// made for.
package vapid

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	webpush "github.com/SherClockHolmes/webpush-go"
)

// Key is a VAPID key pair. It is immutable and safe for concurrent use.
type Key struct {
	private *ecdsa.PrivateKey
	public  string
}

// The errors never show the content: it is, or might be, a private key.
var (
	errEmpty     = errors.New("the key is empty")
	errUnknown   = errors.New("the key is neither PEM nor the base64url of a 32-byte private key")
	errScalar    = errors.New("the base64url is not a private key of the curve P-256")
	errNoPrivate = errors.New("the PEM contains no block PRIVATE KEY or EC PRIVATE KEY")
	errEncrypted = errors.New("the private key is encrypted with a passphrase, which is unsupported: decrypt it first")
	errBroken    = errors.New("the PEM block contains no readable private key")
	errCurve     = errors.New("the key is not an ECDSA key on the curve P-256, which VAPID requires")
)

// Parse reads a private key: PEM as openssl writes it (SEC1 or PKCS#8), or the base64url of 32 bytes as `web-push generate-vapid-keys` and
// similar tools print it. An error never shows the content.
func Parse(data []byte) (*Key, error) {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0:
		return nil, errEmpty
	case bytes.Contains(data, []byte("-----BEGIN")):
		return parsePEM(data)
	default:
		return parseRaw(string(data))
	}
}

// parseRaw reads web-push's format.
func parseRaw(s string) (*Key, error) {
	scalar, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || len(scalar) != 32 {
		return nil, errUnknown
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		return nil, errScalar
	}
	return newKey(private)
}

// parsePEM reads the first private key; `openssl ecparam -genkey` writes the curve's parameters before it.
func parsePEM(data []byte) (*Key, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errEncrypted
		case block.Type == "EC PRIVATE KEY":
			private, err := x509.ParseECPrivateKey(block.Bytes)
			if err != nil {
				return nil, errBroken
			}
			return newKey(private)
		case block.Type == "PRIVATE KEY":
			parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, errBroken
			}
			private, ok := parsed.(*ecdsa.PrivateKey)
			if !ok {
				return nil, errCurve
			}
			return newKey(private)
		}
	}
	return nil, errNoPrivate
}

func newKey(private *ecdsa.PrivateKey) (*Key, error) {
	if private.Curve != elliptic.P256() {
		return nil, errCurve
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	return &Key{private: private, public: base64.RawURLEncoding.EncodeToString(point)}, nil
}

// Generate returns a new key.
func Generate() (*Key, error) {
	private, _, err := webpush.GenerateVAPIDKeys()
	if err != nil {
		return nil, fmt.Errorf("making a VAPID key: %w", err)
	}
	return parseRaw(private)
}

// PublicKey returns the public half as browsers need it in applicationServerKey and as RFC 8292 section 3.2 sends it: unpadded base64url of
// the 65-byte uncompressed point.
func (k *Key) PublicKey() string { return k.public }

// PEM returns the private key as PKCS#8, which [Parse] and openssl read.
func (k *Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("encoding the VAPID key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
