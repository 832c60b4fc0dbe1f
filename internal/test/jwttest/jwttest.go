// Package jwttest signs and verifies JWTs, also those of VAPID (RFC 8292), for the fakes of push services and their tests. It shares no
// code with the providers, so a mistake there isn't repeated here.
package jwttest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
)

// ErrSignature means that another key signed the token, or that the token was changed.
var ErrSignature = errors.New("the signature is wrong")

// Sign makes a JWT of any header and claims, right or wrong, with the signature of ES256.
func Sign(t testing.TB, key *ecdsa.PrivateKey, header, claims string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode([]byte(claims))
	hash := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encode(signature)
}

// Verify verifies a JWT (RFC 7519) that is signed with ES256 (RFC 7518 section 3.4) and returns its claims.
func Verify(token string, public *ecdsa.PublicKey) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("t is not a JWT")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return nil, errors.New("t is not base64url")
		}
	}
	var header struct {
		Alg string `json:"alg"`
		Typ string `json:"typ"`
	}
	if err := json.Unmarshal(decoded[0], &header); err != nil {
		return nil, errors.New("the token's header is not JSON")
	}
	if header.Alg != "ES256" {
		return nil, errors.New("alg is not ES256")
	}
	if header.Typ != "" && header.Typ != "JWT" {
		return nil, errors.New("typ is not JWT")
	}
	signature := decoded[2]
	if len(signature) != 64 {
		return nil, errors.New("the signature is not 64 bytes")
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(public, hash[:], r, s) {
		return nil, ErrSignature
	}
	return decoded[1], nil
}
