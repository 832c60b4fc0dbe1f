package payload

import (
	"encoding/json"
	"sync"

	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Default returns the default_payload of a pusher's data: what the client wants in every message. What is not an object is left out and
// reported: the client gets its messages, if not quite as it wants them.
func Default(d *providers.Device, faults *Faults) map[string]json.RawMessage {
	if !lenient.MayHave(d.Data, "default_payload") {
		return nil
	}
	var pusher struct {
		Default json.RawMessage `json:"default_payload"`
	}
	_ = lenient.Unmarshal(d.Data, &pusher) // what is not an object has no default_payload
	return DefaultIn(pusher.Default, d, faults)
}

// DefaultIn returns the default_payload in the member of the data that is named so.
func DefaultIn(value json.RawMessage, d *providers.Device, faults *Faults) map[string]json.RawMessage {
	if len(value) == 0 || value[0] == 'n' { // null
		return nil
	}
	members, ok := Members(value)
	if !ok {
		faults.LeftOut(d, "default_payload", "a JSON object")
	}
	return members
}

// Members returns the members of a JSON object, and false if it is something else.
func Members(value json.RawMessage) (map[string]json.RawMessage, bool) {
	var members map[string]json.RawMessage
	if len(value) == 0 || lenient.Unmarshal(value, &members) != nil || members == nil {
		return nil, false
	}
	return members, true
}

// Faults reports a pusher's data that a provider left out: once for each app and load of its configuration, since the client sends them
// with every push. A nil Faults reports nothing.
type Faults struct {
	logger *zap.Logger
	once   sync.Once
}

// NewFaults reports to the logger.
func NewFaults(logger *zap.Logger) *Faults { return &Faults{logger: logger} }

// LeftOut reports that a member of the device's data was left out, since it is not what it must be.
func (f *Faults) LeftOut(d *providers.Device, member, must string) {
	if f == nil {
		return
	}
	f.once.Do(func() {
		f.logger.Warn("part of a pusher's data left out",
			zap.String("app_id", d.AppID), zap.String("field", "data."+member), zap.String("hint", "the client must register "+must+" as "+member))
	})
}
