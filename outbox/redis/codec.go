package redis

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// stored is the JSON of an entry in Redis, without its push. After it come a newline, which the JSON never contains, and the push
// unchanged.
type stored struct {
	ID        string `json:"id"`
	App       string `json:"app"`
	Device    []byte `json:"device"`
	Host      string `json:"host,omitempty"`
	Group     string `json:"group,omitempty"`
	Replace   string `json:"replace,omitempty"`
	Badge     bool   `json:"badge,omitempty"` // older entries have it instead of replace
	PushkeyTS int64  `json:"pushkey_ts,omitempty"`
	Accepted  int64  `json:"accepted,omitempty"` // in milliseconds, like the next; older entries don't have it
	Expires   int64  `json:"expires"`
	// Older entries don't have it; they count as guests.
	Standing *outbox.Standing `json:"standing,omitempty"`
}

var errGarbage = errors.New("unreadable entry")

func encode(e *outbox.Entry) ([]byte, error) {
	head, err := json.Marshal(stored{
		ID: e.ID, App: e.App, Device: e.Device[:], Host: e.Host, Group: e.Group, Replace: e.Replace, PushkeyTS: e.PushkeyTS,
		Standing: &e.Standing, Accepted: max(0, e.Accepted.UnixMilli()), Expires: e.Expires.UnixMilli(),
	})
	if err != nil {
		return nil, err
	}
	return append(append(head, '\n'), e.Push...), nil
}

// decode returns errGarbage for anything that encode does not write.
func decode(value string) (*outbox.Entry, error) {
	head, push, found := strings.Cut(value, "\n")
	if !found {
		return nil, errGarbage
	}
	e, err := decodeHead(head)
	if err == nil {
		e.Push = []byte(push)
	}
	return e, err
}

// decodeHead reads an entry without its push.
func decodeHead(head string) (*outbox.Entry, error) {
	var s stored
	if json.Unmarshal([]byte(head), &s) != nil || len(s.Device) != len(outbox.Entry{}.Device) {
		return nil, errGarbage
	}
	e := &outbox.Entry{
		ID: s.ID, App: s.App, Device: [16]byte(s.Device), Host: s.Host, Group: s.Group, Replace: s.Replace, PushkeyTS: s.PushkeyTS,
		Standing: outbox.Guest, Expires: time.UnixMilli(s.Expires),
	}
	if s.Badge && s.Replace == "" {
		e.Replace = outbox.ReplaceBadge
	}
	if s.Standing != nil {
		e.Standing = *s.Standing
	}
	if s.Accepted > 0 {
		e.Accepted = time.UnixMilli(s.Accepted)
	}
	return e, nil
}
