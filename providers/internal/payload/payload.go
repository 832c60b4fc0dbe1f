// Package payload is what the providers' messages have in common.
package payload

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Marshal is json.Marshal that leaves <, > and & alone: they would take six bytes each of the few there are.
func Marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil // what is marshalled here are strings, numbers and JSON that was decoded before
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// Topic names what belongs together, so that a push service can let one message take the place of an earlier one: 32 characters of
// base64url. The device's data are part of it, since two accounts may share one pushkey.
func Topic(what string, d *providers.Device) string {
	sum := sha256.Sum256(append([]byte(what+"\x00"), d.Data...))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}
