package clientjson

import (
	"encoding/json"
	"sync"

	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// DefaultPayload returns the members of the default_payload in a pusher's data: the members that the client wants in every message. If
// default_payload is not an object, it is left out and reported, so the client still gets its messages. A nil faults reports nothing.
func DefaultPayload(d *providers.Device, faults *Faults) map[string]json.RawMessage {
	members, _ := Members(DefaultPayloadValue(d, faults))
	return members
}

// DefaultPayloadIn is [DefaultPayload] for a provider that has already decoded the data. The argument value is the value of
// default_payload.
func DefaultPayloadIn(value json.RawMessage, d *providers.Device, faults *Faults) map[string]json.RawMessage {
	members, _ := Members(objectIn(value, d, faults))
	return members
}

// DefaultPayloadValue is [DefaultPayload] for a provider that copies the JSON without decoding it. It returns a part of the data, so do not
// change it; nil if there is no default_payload that is an object.
func DefaultPayloadValue(d *providers.Device, faults *Faults) json.RawMessage {
	if d == nil || !lenient.MayHave(d.Data, "default_payload") {
		return nil
	}
	return objectIn(lenient.Value(d.Data, "default_payload"), d, faults)
}

// objectIn returns the value of a default_payload if it is an object.
func objectIn(value json.RawMessage, d *providers.Device, faults *Faults) json.RawMessage {
	if len(value) == 0 || value[0] == 'n' { // null
		return nil
	}
	if value[0] != '{' {
		faults.LeftOut(d, "default_payload", "a JSON object")
		return nil
	}
	return value
}

// Faults reports what a provider left out of a pusher's data. It reports only once, because the homeserver sends the data with every
// push. A nil Faults reports nothing.
type Faults struct {
	logger *zap.Logger
	once   sync.Once
}

// NewFaults returns a Faults that reports to the logger. With a nil logger, it reports nothing.
func NewFaults(logger *zap.Logger) *Faults { return &Faults{logger: logger} }

// LeftOut reports that a member of the device's data was left out. The argument must is what the member must be, such as "a JSON
// object".
func (f *Faults) LeftOut(d *providers.Device, member, must string) {
	if f == nil || f.logger == nil || d == nil {
		return
	}
	f.once.Do(func() {
		f.logger.Warn("part of a pusher's data ignored",
			zap.String("app_id", d.AppID), zap.String("field", "data."+member), zap.String("hint", "the client must register "+must+" as "+member))
	})
}
