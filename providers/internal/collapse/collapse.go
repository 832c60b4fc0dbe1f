// Package collapse names related messages for a push service: the apns-collapse-id, the collapse_key of FCM, the Topic of Web Push.
package collapse

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Topic names related messages, so a push service can replace an earlier one: 32 characters of base64url. The device's data is part of it,
// since two accounts may share one pushkey.
func Topic(what string, d *providers.Device) string {
	sum := sha256.Sum256(append([]byte(what+"\x00"), d.Data...))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}
