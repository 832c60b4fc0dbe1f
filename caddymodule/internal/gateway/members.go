package gateway

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// maxMembers is how many members an object of a request may have. Some objects are decoded member by member, which takes a thousand
// times as long as skipping them. An event has at most 64 KiB. The real objects with the most members are lists of users, at about 25
// bytes each.
const maxMembers = 4096

// tooManyMembers returns the first object that has more members, if there is one. Nearly all requests pass by their number of colons.
func tooManyMembers(body []byte) (where string, tooMany bool) {
	if bytes.Count(body, []byte{':'}) <= maxMembers {
		return "", false
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(body), lenient.Options)
	for {
		if _, err := d.ReadToken(); err != nil {
			return "", false // at the end, or at invalid JSON
		}
		// Names count as well as values.
		if kind, n := d.StackIndex(d.StackDepth()); kind == '{' && n > 2*maxMembers {
			return abridge(field(d.StackPointer().Parent())), true
		}
	}
}

// maxField is how much of a field's name is repeated to the sender.
const maxField = 200

// abridge shortens a name that the sender made up.
func abridge(name string) string {
	if len(name) <= maxField {
		return name
	}
	return strings.ToValidUTF8(name[:maxField], "") + "…"
}
