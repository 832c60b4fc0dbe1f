package apns

import (
	"encoding/json"
	"slices"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
)

// defaults is a pusher's default_payload, without the parts that Apple would not accept. It must not be changed.
type defaults struct {
	members object
	aps     object // of the members
	fault   fault  // what was left out; empty if nothing was
}

// fault is a member of the pusher's data that was left out, and what it must be.
type fault struct{ member, must string }

// defaultsOf returns the default_payload of a device. It depends only on the data, which many devices of an app have in common.
func defaultsOf(to *providers.Device, known *readonce.Devices[*defaults]) *defaults {
	if to == nil || !lenient.MayHave(to.Data, "default_payload") {
		return new(defaults)
	}
	from, _ := known.Get(&providers.Device{Data: to.Data}, readDefaults) // which has no errors
	return from
}

func readDefaults(d *providers.Device) (*defaults, error) {
	value := lenient.Value(d.Data, "default_payload")
	switch {
	case isAbsent(value):
		return new(defaults), nil
	case value[0] != '{':
		return &defaults{fault: fault{"default_payload", "a JSON object"}}, nil
	}
	from := &defaults{members: readObject(value)}
	from.members.remove("room_id", "event_id") // only the homeserver may set these
	from.aps, from.fault = readAPS(from.members.get("aps"))
	from.members, from.aps = slices.Clone(from.members), slices.Clone(from.aps) // no larger than needed, since it is remembered
	return from, nil
}

// readAPS returns the members of a pusher's aps that are valid; none if it is not an object.
func readAPS(value json.RawMessage) (object, fault) {
	if isAbsent(value) {
		return nil, fault{}
	}
	if value[0] != '{' {
		return nil, fault{"default_payload.aps", "a JSON object"}
	}
	var wrong fault
	aps := readObject(value)
	alert := aps.get("alert")
	switch {
	case isAbsent(alert):
	case alert[0] == '{', alert[0] == '"':
		return aps, fault{}
	default:
		wrong = fault{"default_payload.aps.alert", "a JSON object or a string"}
	}
	aps.remove("alert")
	return aps, wrong
}

// isAbsent reports whether there is no value, or null.
func isAbsent(value json.RawMessage) bool { return len(value) == 0 || value[0] == 'n' }
