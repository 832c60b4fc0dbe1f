package gateway

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// wireRequest is the body as homeservers send it.
type wireRequest struct {
	Notification wireNotification `json:"notification"`

	one [1]wireDevice // room for the device of most requests
}

type wireNotification struct {
	ID                string `json:"id"`
	EventID           string `json:"event_id"`
	RoomID            string `json:"room_id"`
	Type              string `json:"type"`
	Sender            string `json:"sender"`
	SenderDisplayName string `json:"sender_display_name"`
	RoomName          string `json:"room_name"`
	RoomAlias         string `json:"room_alias"`
	Membership        string `json:"membership"`
	UserIsTarget      bool   `json:"user_is_target"`
	Prio              string `json:"prio"`
	Content           extent `json:"content"`
	Counts            struct {
		Unread      *integer `json:"unread"`
		MissedCalls *integer `json:"missed_calls"`
	} `json:"counts"`
	Ciphertext string       `json:"ciphertext"`
	Ephemeral  string       `json:"ephemeral"`
	MAC        string       `json:"mac"`
	Devices    []wireDevice `json:"devices"`
}

type wireDevice struct {
	AppID     string  `json:"app_id"`
	Pushkey   string  `json:"pushkey"`
	PushkeyTS integer `json:"pushkey_ts"`
	Data      extent  `json:"data"`
	Tweaks    extent  `json:"tweaks"`
}

// wires has empty wireRequests for the next requests.
var wires = sync.Pool{New: func() any { return new(wireRequest) }}

// newWireRequest returns an empty wireRequest. Call release when it is no longer used.
func newWireRequest() *wireRequest {
	w := wires.Get().(*wireRequest)
	w.Notification.Devices = w.one[:0]
	return w
}

// release forgets what was decoded.
func (w *wireRequest) release() {
	*w = wireRequest{}
	wires.Put(w)
}

// missingMember returns the required member that a body without devices lacks, or an empty string if its list of devices is empty.
func missingMember(body []byte) string {
	var w struct {
		Notification *struct {
			Devices *[]struct{} `json:"devices"`
		} `json:"notification"`
	}
	_ = lenient.Unmarshal(body, &w) // the body was already decoded once
	switch {
	case w.Notification == nil:
		return "notification"
	case w.Notification.Devices == nil:
		return "notification.devices"
	default:
		return ""
	}
}

// extent is where a JSON value is in the body; it is empty if the value is absent.
type extent struct{ start, end int64 }

// UnmarshalJSONFrom notes where the next value is.
func (e *extent) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	e.end = d.InputOffset()
	e.start = e.end - int64(len(value))
	return err
}

// smallBody is the size of the largest body of which a device's data are a part and not a copy. A push may keep its device for longer
// than its request's Hand counts the body, and would keep the whole body with it.
const smallBody = deviceInHand

// in returns the value in the body that it was found in. It must not be changed.
func (e extent) in(body []byte) json.RawMessage {
	value := body[e.start:e.end:e.end]
	if len(body) > smallBody {
		return bytes.Clone(value)
	}
	return value
}
