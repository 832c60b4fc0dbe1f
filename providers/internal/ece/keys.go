package ece

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"strings"
)

const authSize = 16 // RFC 8291 section 3.2

// Keys encrypt messages for one subscription: the subscriber's public key and authentication secret. [ParseKeys] makes them. They are
// immutable.
type Keys struct {
	public *ecdh.PublicKey
	auth   [authSize]byte
}

// The errors only name the field: both values are the subscriber's secrets.
var (
	errP256dhEncoding = errors.New("p256dh is not base64url")
	errP256dhSize     = errors.New("p256dh is not 65 bytes, an uncompressed P-256 point")
	errP256dhPoint    = errors.New("p256dh is not a point on the curve P-256")
	errAuthEncoding   = errors.New("auth is not base64url")
	errAuthSize       = errors.New("auth is not 16 bytes")
)

// ParseKeys reads the keys of a PushSubscription as browsers provide them: base64url without padding of a 65-byte point and of 16 bytes
// (Push API, section 8.2). It also accepts padding and the other alphabet of base64, since clients use both. An error names the field and
// never shows its value.
func ParseKeys(p256dh, auth string) (Keys, error) {
	point, err := Decode(p256dh)
	if err != nil {
		return Keys{}, errP256dhEncoding
	}
	if len(point) != pointSize {
		return Keys{}, errP256dhSize
	}
	public, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return Keys{}, errP256dhPoint
	}
	secret, err := Decode(auth)
	if err != nil {
		return Keys{}, errAuthEncoding
	}
	if len(secret) != authSize {
		return Keys{}, errAuthSize
	}
	return Keys{public: public, auth: [authSize]byte(secret)}, nil
}

var toURLAlphabet = strings.NewReplacer("+", "-", "/", "_")

// Decode reads base64 in either alphabet, padded or not. It ignores line breaks, as Go always does: Android's encoder adds one.
func Decode(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(toURLAlphabet.Replace(strings.TrimRight(s, "=\r\n")))
}
