// Package payload is what the providers' messages have in common.
package payload

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"

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

// ErrBadDefault says that a pusher's data cannot be what its app registered.
var ErrBadDefault = errors.New("data.default_payload is not an object")

// Default is the default_payload of a pusher's data: what the client wants in every message. It is nil if there is none, and an
// error if it is there and no object, null included: no message would be what the client expects.
func Default(data json.RawMessage) (map[string]json.RawMessage, error) {
	if !bytes.Contains(data, []byte("default_payload")) {
		return nil, nil
	}
	var pusher struct {
		Default object `json:"default_payload"`
	}
	_ = json.Unmarshal(data, &pusher) // what is no object has no default_payload
	if !pusher.Default.given {
		return nil, nil
	}
	if pusher.Default.members == nil {
		return nil, ErrBadDefault
	}
	return pusher.Default.members, nil
}

// object is a JSON object, if what is given is one.
type object struct {
	given   bool
	members map[string]json.RawMessage
}

// UnmarshalJSON is no error for what is no object.
func (o *object) UnmarshalJSON(value []byte) error {
	o.given = true
	if json.Unmarshal(value, &o.members) != nil {
		o.members = nil
	}
	return nil
}

// Topic names what belongs together, so that a push service can let one message take the place of an earlier one: 32 characters of
// base64url. The device's data are part of it, since two accounts may share one pushkey.
func Topic(what string, d *providers.Device) string {
	sum := sha256.Sum256(append([]byte(what+"\x00"), d.Data...))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}
