// Package lenient decodes the JSON of homeservers and clients. All code that reads such JSON uses it: what the decoder of requests accepted
// must be read in the same way afterwards.
package lenient

import (
	"bytes"
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Options accept a member that comes twice, of which the last counts, and a string with a lone surrogate. Unknown members are left out,
// and a null is as good as no member. Names are case-sensitive: with encoding/json, a "P256DH" of nothing would take the place of a key.
//
// The decoder is the one that Go has as encoding/json/v2 in an experiment. With encoding/json, the answer to a pushkey that is known to be
// dead took 10 % more CPU.
var Options = jsonv2.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Unmarshal decodes JSON of a homeserver or a client into v. After an error, v may be half filled.
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

// MayHave reports whether it is worth decoding a JSON value for members of these names: it is false only if none of them is there. An
// escape sequence may stand for any letter of a name.
func MayHave(data []byte, names ...string) bool {
	for _, name := range names {
		if bytes.Contains(data, []byte(name)) {
			return true
		}
	}
	return bytes.IndexByte(data, '\\') >= 0
}
