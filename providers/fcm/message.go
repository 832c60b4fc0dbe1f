package fcm

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/matrix-push/caddy-matrix-push/internal/fcmmessage"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// slot is a place in a message for a value that differs from push to push.
type slot int

const (
	slotNone slot = iota
	slotToken
	slotFID
	slotData
	slotTTL
	slotExpiration
	slotBadge
)

// member returns the name of the message's member that a target's slot is in.
func (s slot) member() string {
	if s == slotFID {
		return "fid"
	}
	return "token"
}

// skeleton is a message's JSON with slots.
type skeleton []piece

// piece is constant JSON, and the slot behind it.
type piece struct {
	constant []byte
	slot     slot
}

// newSkeleton writes a message.
func newSkeleton(m object) skeleton {
	s := &skeleton{{}}
	s.write(m)
	return *s
}

func (s *skeleton) write(v any) {
	last := &(*s)[len(*s)-1]
	switch v := v.(type) {
	case slot:
		last.slot = v
		*s = append(*s, piece{})
	case object:
		s.writeObject(v)
	default:
		last.constant = append(last.constant, clientjson.Marshal(v)...)
	}
}

func (s *skeleton) writeObject(o object) {
	separator := "{"
	if len(o) == 0 {
		s.text("{")
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		s.text(separator)
		s.write(name)
		s.text(":")
		s.write(o[name])
		separator = ","
	}
	s.text("}")
}

func (s *skeleton) text(text string) {
	last := &(*s)[len(*s)-1]
	last.constant = append(last.constant, text...)
}

// size returns how many bytes the constant parts have.
func (s skeleton) size() (size int) {
	for _, p := range s {
		size += len(p.constant)
	}
	return size
}

const (
	sending    = `{"message":`
	validating = `{"validate_only":true,"message":`
)

// request returns the body of a request for a push with its data.
func (t *template) request(what string, p *providers.Push, data map[string]string, now time.Time) []byte {
	n := p.Notification
	f, counted := formAlert, 0
	switch {
	case n.Badge:
		f = formBadge
	case n.Prio == providers.PrioLow:
		f = formLow
	}
	if n.Counts != (providers.Counts{}) {
		counted = 1
	}
	s := t.messages[f][counted]
	size := len(what) + s.size() + len(p.Device.Pushkey) + 64
	for name, value := range data {
		size += len(name) + len(value) + 8
	}
	body := append(make([]byte, 0, size), what...)
	for _, piece := range s {
		body = append(body, piece.constant...)
		body = piece.slot.append(body, p, data, now)
	}
	return append(body, '}')
}

// append writes the value of a slot.
func (s slot) append(b []byte, p *providers.Push, data map[string]string, now time.Time) []byte {
	switch s {
	case slotToken, slotFID:
		return appendText(b, p.Device.Pushkey)
	case slotData:
		return appendData(b, data)
	case slotTTL:
		b = strconv.AppendInt(append(b, '"'), int64(min(p.TTL(now), int(fcmmessage.MaxTTL/time.Second))), 10)
		return append(b, `s"`...)
	case slotExpiration:
		return append(strconv.AppendInt(append(b, '"'), p.Expires.Unix(), 10), '"')
	case slotBadge:
		return strconv.AppendInt(b, badge(p.Notification.Counts), 10)
	default:
		return b
	}
}

// badge returns the number for an app's icon.
func badge(counts providers.Counts) (number int64) {
	for _, count := range []*int64{counts.Unread, counts.MissedCalls} {
		if count != nil {
			number += min(*count, 1<<30)
		}
	}
	return number
}

// appendData writes data, sorted by name.
func appendData(b []byte, data map[string]string) []byte {
	names := make([]string, 0, 16)
	for name := range data {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		b = appendText(b, data[name])
	}
	return append(b, '}')
}

// appendText writes a string. Invalid UTF-8 becomes U+FFFD: FCM only accepts UTF-8.
func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text)
	return b
}
