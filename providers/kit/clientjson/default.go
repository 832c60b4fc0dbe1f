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
	if d == nil || !lenient.MayHave(d.Data, "default_payload") {
		return nil
	}
	var pusher struct {
		Default json.RawMessage `json:"default_payload"`
	}
	_ = Unmarshal(d.Data, &pusher) // data that are not an object have no default_payload
	return DefaultPayloadIn(pusher.Default, d, faults)
}

// DefaultPayloadIn is [DefaultPayload] for a provider that has already decoded the data. The argument value is the value of
// default_payload.
func DefaultPayloadIn(value json.RawMessage, d *providers.Device, faults *Faults) map[string]json.RawMessage {
	if len(value) == 0 || value[0] == 'n' { // null
		return nil
	}
	members, ok := Members(value)
	if !ok {
		faults.LeftOut(d, "default_payload", "a JSON object")
	}
	return members
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
