package apns

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// maxToken is the most bytes a device token can have, since a pushkey has at most 512 characters,
// https://spec.matrix.org/v1.15/client-server-api/#post_matrixclientv3pushersset. Apple fixes no length and asks for none to be
// assumed; 32 is the usual one.
const maxToken = 384

// errBadToken does not quote the pushkey, nor do the errors of the decoders that it stands for get out.
var errBadToken = errors.New("the pushkey is no device token: neither 64 hexadecimal digits nor base64")

// deviceToken is the device token in a pushkey as the path of a request has it: in lower-case hexadecimal digits.
//
// Matrix asks for base64, https://spec.matrix.org/v1.15/push-gateway-api/#recommendations-for-apns, which clients write in each of
// its forms. 64 hexadecimal digits are base64 as well, but then of 48 bytes: they are a token of the usual length, written as
// Apple's own examples write it.
func deviceToken(pushkey string) (string, error) {
	if len(pushkey) == 64 {
		if token, err := hex.DecodeString(pushkey); err == nil {
			return hex.EncodeToString(token), nil
		}
	}
	digits := strings.TrimRight(pushkey, "=")
	if padding := len(pushkey) - len(digits); padding != 0 && padding != (4-len(digits)%4)%4 {
		return "", errBadToken
	}
	if strings.ContainsAny(digits, "\r\n") { // package base64 would skip them
		return "", errBadToken
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(digits, "-_") {
		encoding = base64.RawURLEncoding
	}
	if encoding.DecodedLen(len(digits)) > maxToken {
		return "", errBadToken
	}
	token, err := encoding.DecodeString(digits)
	if err != nil || len(token) == 0 {
		return "", errBadToken
	}
	return hex.EncodeToString(token), nil
}
