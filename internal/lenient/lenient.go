// Package lenient is how JSON of homeservers and clients is read, wherever it is: what the decoder of requests took has to be read in the
// same way afterwards.
package lenient

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Options let a member come twice and a string have a lone surrogate. Nor are unknown members errors, which are left out, or a null, which is
// as good as no member. Names are read in their case: with encoding/json, a "P256DH" of nothing would take the place of a key.
//
// The decoder is what Go has as encoding/json/v2 in an experiment. With encoding/json, the answer to a pushkey that is known to be dead took 10 % more CPU.
var Options = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Unmarshal reads JSON of a homeserver or a client.
func Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v, Options) }
