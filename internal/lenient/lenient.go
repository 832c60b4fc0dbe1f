// Package lenient decodes the JSON of homeservers and clients. All code that reads such JSON uses it, so JSON that a request was
// accepted with is read the same way afterwards.
package lenient

import (
	"bytes"
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Options accept a member that occurs twice, of which the last counts, and a string with a lone surrogate. Unknown members are ignored,
// and null counts as absent. Names are case-sensitive: with encoding/json, an empty "P256DH" would replace a key.
//
// The decoder is the one that Go has as encoding/json/v2 in an experiment. With encoding/json, the answer to a known dead pushkey took
// 10 % more CPU.
var Options = jsonv2.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Unmarshal decodes JSON of a homeserver or a client into v. After an error, v may be partly filled.
func Unmarshal(data []byte, v any) error { return jsonv2.Unmarshal(data, v, Options) }

// Members returns all members of the notification in the body of a request; nil if there is none.
func Members(body json.RawMessage) map[string]json.RawMessage {
	var request struct {
		Notification map[string]json.RawMessage `json:"notification"`
	}
	if Unmarshal(body, &request) != nil {
		return nil
	}
	return request.Notification
}

// MayHave reports whether a JSON value may have members with these names, and so is worth decoding. It is false only if none of them is
// there. An escape sequence may represent any letter of a name.
func MayHave(data []byte, names ...string) bool {
	for _, name := range names {
		if bytes.Contains(data, []byte(name)) {
			return true
		}
	}
	return bytes.IndexByte(data, '\\') >= 0
}
