// Package clientjson is for providers that read JSON of clients, such as a pusher's data, and write JSON for them.
//
// Use it for [providers.Device.Data], Tweaks and a notification's Content. encoding/json also accepts member names in other capitals, so an
// unrelated member could make a subscription look broken, and have the pusher deleted.
//
// As long as the gateway's version is v0, the API may change between minor versions; the changelog says how.
package clientjson

import (
	"bytes"
	"encoding/json"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// Unmarshal is json.Unmarshal for JSON of clients. Member names must match exactly, the last of two members with the same name counts, and
// invalid UTF-8 is replaced. A value of another type than into has is an error, as with json.Unmarshal.
func Unmarshal(data []byte, into any) error { return lenient.Unmarshal(data, into) }

// Members returns the members of a JSON object. It returns false if the value is not an object.
func Members(value json.RawMessage) (map[string]json.RawMessage, bool) {
	var members map[string]json.RawMessage
	if len(value) == 0 || Unmarshal(value, &members) != nil || members == nil {
		return nil, false
	}
	return members, true
}

// String returns a member of a JSON object, such as a message's body. It is empty if there is no such member, or if it is not a string.
func String(object json.RawMessage, member string) (text string) {
	members, _ := Members(object)
	_ = Unmarshal(members[member], &text)
	return text
}

// Marshal is json.Marshal, but it does not escape <, > and &, which would take six bytes each. It returns nil for a value that cannot be
// JSON, such as a channel or an invalid [json.RawMessage].
func Marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil // what is marshalled here are strings, numbers and JSON that was decoded before
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
