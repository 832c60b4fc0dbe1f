package stanza

import (
	"encoding/base64"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
)

const (
	// maxToken limits a token, which becomes part of a header.
	maxToken = 4096
	// maxTime is a time far in the future that no calculation overflows with.
	maxTime = 1 << 40
)

// JWT is the token with which a sender identifies itself at a push service, RFC 8292. Its signature is not checked: the push service does
// that, with the key that the subscription was made for. A forged token delivers nothing, and proves nothing to the gateway.
type JWT struct {
	// Token is the token as it was received, and can be part of a header: it has only letters, digits, '-', '_' and '.'.
	Token string
	// Key is the public key as base64url without padding, as RFC 8292 section 3.2 wants it.
	Key string
}

// parseJWT reads a token that a push service could accept. Whether it is for the right one, and still valid, is checked when it is sent.
func parseJWT(token, key string) (*JWT, Fault) {
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return nil, FaultJWT
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		// The decoder ignores line ends, which must not get into a header.
		if decoded[i], err = base64.RawURLEncoding.DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return nil, FaultJWT
		}
	}
	var claims struct {
		Audience audience `json:"aud"`
		Expires  float64  `json:"exp"` // NumericDate, RFC 7519 section 2
	}
	if jsonv2.Unmarshal(decoded[1], &claims) != nil || len(claims.Audience) == 0 || claims.Expires <= 0 || claims.Expires > maxTime {
		return nil, FaultJWT
	}
	point, ok := decodeKey(key)
	if !ok {
		return nil, FaultJWTKey
	}
	return &JWT{Token: token, Key: base64.RawURLEncoding.EncodeToString(point)}, ""
}

// decodeKey reads an uncompressed point of P-256 in any kind of base64: mod_push2 sends the standard alphabet with padding.
func decodeKey(key string) ([]byte, bool) {
	key = strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(strings.TrimSpace(key))
	point, err := base64.RawURLEncoding.DecodeString(key)
	return point, err == nil && len(point) == 65 && point[0] == 4
}

// audience is a claim that is a string or a list, RFC 7519 section 4.1.3.
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if jsonv2.Unmarshal(data, &one) == nil {
		*a = audience{one}
		return nil
	}
	return jsonv2.Unmarshal(data, (*[]string)(a))
}
