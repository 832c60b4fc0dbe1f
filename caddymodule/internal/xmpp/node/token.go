package node

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"strings"
)

// The ways to pack a token.
const (
	plain byte = iota
	hexadecimal
	sixBits // and 1 to 3 more for as many characters of filling
	ways    = sixBits + 4
)

var errToken = errors.New("the token cannot be unpacked")

// packToken makes a token shorter. The tokens of APNs are hexadecimal. Those of FCM have a colon, and otherwise only characters of
// base64url.
func packToken(token string) (way byte, packed []byte) {
	if b, err := hex.DecodeString(token); err == nil && token == strings.ToLower(token) {
		return hexadecimal, b
	}
	colon := strings.IndexByte(token, ':') + 1 // 0 for none
	rest := token
	if colon > 0 {
		rest = token[:colon-1] + token[colon:]
	}
	filling := (4 - len(rest)%4) % 4
	b, err := base64.RawURLEncoding.DecodeString(rest + "AAA"[:filling])
	if err != nil || colon > math.MaxUint8 || strings.ContainsAny(rest, "\r\n") { // the decoder ignores line ends
		return plain, []byte(token)
	}
	return sixBits + byte(filling), append([]byte{byte(colon)}, b...)
}

func unpackToken(way byte, packed []byte) (string, error) {
	switch {
	case way == plain:
		return string(packed), nil
	case way == hexadecimal:
		return hex.EncodeToString(packed), nil
	case way >= ways || len(packed) == 0:
		return "", errToken
	}
	colon, rest := int(packed[0]), base64.RawURLEncoding.EncodeToString(packed[1:])
	filling := int(way - sixBits)
	if filling > len(rest) {
		return "", errToken
	}
	rest = rest[:len(rest)-filling]
	switch {
	case colon == 0:
		return rest, nil
	case colon-1 > len(rest):
		return "", errToken
	}
	return rest[:colon-1] + ":" + rest[colon-1:], nil
}
