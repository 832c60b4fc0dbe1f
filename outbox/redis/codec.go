package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// stored is an entry in Redis but for its push, as JSON. Behind it are a newline, which JSON has none of, and the push as it is.
type stored struct {
	ID        string `json:"id"`
	App       string `json:"app"`
	Device    []byte `json:"device"`
	Badge     bool   `json:"badge,omitempty"`
	PushkeyTS int64  `json:"pushkey_ts,omitempty"`
	Expires   int64  `json:"expires"` // in milliseconds
}

var errGarbage = errors.New("unreadable entry")

func encode(e *outbox.Entry) ([]byte, error) {
	head, err := json.Marshal(stored{
		ID: e.ID, App: e.App, Device: e.Device[:], Badge: e.Badge, PushkeyTS: e.PushkeyTS, Expires: e.Expires.UnixMilli(),
	})
	if err != nil {
		return nil, err
	}
	return append(append(head, '\n'), e.Push...), nil
}

// decode returns errGarbage for whatever encode does not write.
func decode(value string) (*outbox.Entry, error) {
	head, push, found := bytes.Cut([]byte(value), []byte{'\n'})
	var s stored
	if !found || json.Unmarshal(head, &s) != nil || len(s.Device) != len(outbox.Entry{}.Device) {
		return nil, errGarbage
	}
	return &outbox.Entry{
		ID: s.ID, App: s.App, Device: [16]byte(s.Device), Badge: s.Badge, PushkeyTS: s.PushkeyTS,
		Expires: time.UnixMilli(s.Expires), Push: push,
	}, nil
}
