// Package clientjson is for providers that read JSON from clients, such as a pusher's data, and write JSON for them.
//
// Use it for [providers.Device.Data], Tweaks and a notification's Content. encoding/json also accepts member names with different
// capitals. An unrelated member could then make a subscription look broken, and the pusher would be deleted.
//
// As long as the gateway's version is v0, the API may change between minor versions. The changelog describes each change.
package clientjson

import (
	"bytes"
	"encoding/json"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// Unmarshal is json.Unmarshal for JSON from clients. Member names must match exactly. Of two members with the same name, the last one
// counts. Invalid UTF-8 is replaced. As with json.Unmarshal, a value whose type does not fit into is an error.
func Unmarshal(data []byte, into any) error { return lenient.Unmarshal(data, into) }

// Members returns the members of a JSON object. It returns false if the value is not an object.
func Members(value json.RawMessage) (map[string]json.RawMessage, bool) {
	var members map[string]json.RawMessage
	if len(value) == 0 || Unmarshal(value, &members) != nil || members == nil {
		return nil, false
	}
	return members, true
}

// String returns a member of a JSON object, such as a message's body. It returns an empty string if there is no such member, or if the
// member is not a string.
func String(object json.RawMessage, member string) (text string) {
	members, _ := Members(object)
	_ = Unmarshal(members[member], &text)
	return text
}

// Marshal is json.Marshal, but it does not escape <, > and &, which would take six bytes each. It returns nil for a value that cannot
// be JSON, such as a channel or an invalid [json.RawMessage].
func Marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil // never for strings, numbers and JSON that was decoded before
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
