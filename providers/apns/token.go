package apns

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// maxPushkey is the most characters a pushkey can have,
	// https://spec.matrix.org/v1.15/client-server-api/#post_matrixclientv3pushersset.
	maxPushkey = 512
	// maxToken is the most bytes a device token can have, given the maximum length of a pushkey. Apple fixes no length and asks developers
	// not to assume one; 32 is usual, and a Live Activity's has 80: https://developer.apple.com/forums/thread/712499.
	maxToken = maxPushkey / 4 * 3
	// usualToken is how many hexadecimal digits the usual token has.
	usualToken = 64

	// undecodable is the reason for a pushkey that is not a device token.
	undecodable = "undecodable_token"
)

// errBadToken does not quote the pushkey. It replaces the decoders' errors, which might.
var errBadToken = errors.New("the pushkey is not a device token: neither hexadecimal (an even number of digits, 64 or more) nor base64")

// Usable returns an error if the pushkey is not a device token.
func (*Provider) Usable(d *providers.Device, _ providers.Site) error {
	var token [maxToken]byte
	if _, err := decodeToken(&token, d.Pushkey); err != nil {
		return &providers.UnusableError{Reason: undecodable, Err: err}
	}
	return nil
}

// deviceToken returns the device token in a pushkey as the path of a request needs it: in lower-case hexadecimal digits.
func deviceToken(pushkey string) (string, error) {
	var token [maxToken]byte
	n, err := decodeToken(&token, pushkey)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(token[:n]), nil
}

// decodeToken decodes the device token in a pushkey, and returns how many bytes it has. It allocates nothing: it is called for each device
// of each request.
//
// Matrix asks for base64, https://spec.matrix.org/v1.15/push-gateway-api/#recommendations-for-apns, which clients write in all its forms.
// Hexadecimal digits are also valid base64. An even number of them, at least as many as the usual token has, is taken as hexadecimal, as in
// Apple's own examples. Each character of a base64 token is such a digit with a probability of 22 in 64, so fewer than one in 10^29 tokens
// look like this. Fewer digits, an odd number, or trailing padding are taken as base64.
func decodeToken(token *[maxToken]byte, pushkey string) (n int, err error) {
	digits := strings.TrimRight(pushkey, "=")
	padding := len(pushkey) - len(digits)
	if padding != 0 && padding != (4-len(digits)%4)%4 {
		return 0, errBadToken
	}
	if len(digits) > maxPushkey || strings.ContainsAny(digits, "\r\n") { // package base64 would skip them
		return 0, errBadToken
	}
	var characters [maxPushkey]byte
	encoded := characters[:copy(characters[:], digits)]
	if padding == 0 && len(encoded) >= usualToken && len(encoded)%2 == 0 {
		if n, err := hex.Decode(token[:], encoded); err == nil {
			return n, nil
		}
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(digits, "-_") {
		encoding = base64.RawURLEncoding
	}
	n, err = encoding.Decode(token[:], encoded)
	if err != nil || n == 0 {
		return 0, errBadToken
	}
	return n, nil
}
