package file

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// stored is the JSON of an entry on disk, without its push. A checksum precedes it: 4 bytes, CRC-32C of the sequence number and everything
// that follows. bbolt has no checksum for its data pages, and a flipped bit must not send a push to another device. After the JSON come a
// newline, which the JSON never contains, and the push unchanged.
type stored struct {
	ID        string `json:"id"`
	App       string `json:"app"`
	Device    []byte `json:"device"`
	Event     []byte `json:"event,omitempty"` // older entries have neither event nor host
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

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errGarbage = errors.New("unreadable entry")
)

const checksumSize = 4

func encode(seq uint64, e *outbox.Entry) ([]byte, error) {
	s := stored{
		ID: e.ID, App: e.App, Device: e.Device[:], Host: e.Host, Group: e.Group, Replace: e.Replace, PushkeyTS: e.PushkeyTS,
		Standing: &e.Standing, Accepted: max(0, e.Accepted.UnixMilli()), Expires: e.Expires.UnixMilli(),
	}
	if e.Event != ([16]byte{}) {
		s.Event = e.Event[:]
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	body = append(append(body, '\n'), e.Push...)
	return append(binary.BigEndian.AppendUint32(nil, checksum(seq, body)), body...), nil
}

// decode returns errGarbage for anything that encode does not write. The entry shares no memory with b.
func decode(seq uint64, b []byte) (*outbox.Entry, error) {
	if len(b) < checksumSize || binary.BigEndian.Uint32(b) != checksum(seq, b[checksumSize:]) {
		return nil, errGarbage
	}
	head, push, found := bytes.Cut(b[checksumSize:], []byte{'\n'})
	var s stored
	if !found || json.Unmarshal(head, &s) != nil || len(s.Device) != len(outbox.Entry{}.Device) {
		return nil, errGarbage
	}
	e := &outbox.Entry{
		ID: s.ID, App: s.App, Device: [16]byte(s.Device), Host: s.Host, Group: s.Group, Replace: s.Replace, PushkeyTS: s.PushkeyTS,
		Standing: outbox.Guest, Expires: time.UnixMilli(s.Expires), Push: bytes.Clone(push),
	}
	if s.Badge && s.Replace == "" {
		e.Replace = outbox.ReplaceBadge
	}
	if s.Standing != nil {
		e.Standing = *s.Standing
	}
	if len(s.Event) == len(e.Event) {
		e.Event = [16]byte(s.Event)
	}
	if s.Accepted > 0 {
		e.Accepted = time.UnixMilli(s.Accepted)
	}
	return e, nil
}

func checksum(seq uint64, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(sequence(seq), castagnoli), castagnoli, body)
}

// sequence returns an entry's key: keys sort in the order in which entries were accepted.
func sequence(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }
