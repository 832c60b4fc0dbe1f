package gateway

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// maxMembers is how many members an object of a request may have. Some objects are decoded member by member, which takes a thousand times
// as long as to skip them. An event has at most 64 KiB; the objects of real ones that have most members are lists of users, with some 25
// bytes for each.
const maxMembers = 4096

// tooManyMembers returns the first object that has more, if there is one. Nearly all requests are passed for their number of colons.
func tooManyMembers(body []byte) (where string, tooMany bool) {
	if bytes.Count(body, []byte{':'}) <= maxMembers {
		return "", false
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(body), lenient.Options)
	for {
		if _, err := d.ReadToken(); err != nil {
			return "", false // at the end, or of what is no JSON
		}
		// Names count as well as values.
		if kind, n := d.StackIndex(d.StackDepth()); kind == '{' && n > 2*maxMembers {
			return abridge(field(d.StackPointer().Parent())), true
		}
	}
}

// maxField is how much of a field's name is told to who sent it.
const maxField = 200

// abridge cuts a name that the sender made up.
func abridge(name string) string {
	if len(name) <= maxField {
		return name
	}
	return strings.ToValidUTF8(name[:maxField], "") + "…"
}
