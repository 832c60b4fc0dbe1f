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
	// maxToken is the most bytes a device token can have, since a pushkey can have no more. Apple fixes no length and asks for none to be
	// assumed; 32 is the usual one.
	maxToken = maxPushkey / 4 * 3

	// undecodable is the reason for a pushkey that is not a device token.
	undecodable = "undecodable_token"
)

// errBadToken does not quote the pushkey, nor do the errors of the decoders that it stands for get out.
var errBadToken = errors.New("the pushkey is no device token: neither 64 hexadecimal digits nor base64")

// Usable returns an error if the pushkey is not a device token.
func (*Provider) Usable(d *providers.Device, _ providers.Site) error {
	var token [maxToken]byte
	if _, err := decodeToken(&token, d.Pushkey); err != nil {
		return &providers.UnusableError{Reason: undecodable, Err: err}
	}
	return nil
}

// deviceToken is the device token in a pushkey as the path of a request has it: in lower-case hexadecimal digits.
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
// Matrix asks for base64, https://spec.matrix.org/v1.15/push-gateway-api/#recommendations-for-apns, which clients write in each of
// its forms. 64 hexadecimal digits are base64 as well, but then of 48 bytes: they are a token of the usual length, written as
// Apple's own examples write it.
func decodeToken(token *[maxToken]byte, pushkey string) (n int, err error) {
	digits := strings.TrimRight(pushkey, "=")
	if padding := len(pushkey) - len(digits); padding != 0 && padding != (4-len(digits)%4)%4 {
		return 0, errBadToken
	}
	if len(digits) > maxPushkey || strings.ContainsAny(digits, "\r\n") { // package base64 would skip them
		return 0, errBadToken
	}
	var characters [maxPushkey]byte
	encoded := characters[:copy(characters[:], digits)]
	if len(encoded) == 64 {
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
