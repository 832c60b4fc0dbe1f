// Package clientjson reads JSON that a client wrote, its pusher's data above all, and writes JSON for it.
//
// Use it wherever a provider looks into [providers.Device.Data], Tweaks or a notification's Content: encoding/json takes a member in other
// capitals for the one that was asked for, so that what a client writes beside could have its pusher deleted.
//
// As long as the gateway's version is v0, the API may change between minor versions; the changelog says how.
package clientjson

import (
	"bytes"
	"encoding/json"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// Unmarshal is json.Unmarshal for what clients write: member names count as they are written, of two members of one name the last counts,
// and invalid UTF-8 is replaced. Numbers, strings and objects of another type than into has are errors, as ever.
func Unmarshal(data []byte, into any) error { return lenient.Unmarshal(data, into) }

// Members returns the members of a JSON object, and false if it is something else.
func Members(value json.RawMessage) (map[string]json.RawMessage, bool) {
	var members map[string]json.RawMessage
	if len(value) == 0 || Unmarshal(value, &members) != nil || members == nil {
		return nil, false
	}
	return members, true
}

// String returns the text that a JSON object has as a member, such as a message's body; empty if it has none, or something else.
func String(object json.RawMessage, member string) (text string) {
	members, _ := Members(object)
	_ = Unmarshal(members[member], &text)
	return text
}

// Marshal is json.Marshal that leaves <, > and & alone: they would take six bytes each of the few there are in a message. It returns nil for
// what cannot be JSON, such as a channel or a [json.RawMessage] that is none.
func Marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil // what is marshalled here are strings, numbers and JSON that was decoded before
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
