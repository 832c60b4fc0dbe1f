package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Answer is the answer to a notify request.
type Answer struct {
	// Rejected lists the dead pushkeys, each once, as JSON strings.
	Rejected []json.RawMessage
	// Err is set if the homeserver must send the request again, after RetryAfter.
	Err        *Error
	RetryAfter time.Duration
	// Results counts what became of the devices.
	Results Results
	// Seen is what was seen of the request's probe, if doctor itself sent it.
	Seen *Sightings
}

// answer sums up the decisions about the devices. If any push was neither delivered nor accepted by the outbox, the homeserver must
// send the request again. What was decided about the other devices is remembered, and not done twice.
func (r *Request) answer(deliveries []delivery) Answer {
	var a Answer
	for i := range deliveries {
		d := &deliveries[i].decision
		a.Results[d.result]++
		a.Seen = cmp.Or(a.Seen, deliveries[i].seen)
		if d.result == Unavailable {
			a.Err = errUnavailable()
			a.RetryAfter = max(a.RetryAfter, d.retryAfter, time.Second)
		}
	}
	if a.Err == nil && a.Results[Rejected]+a.Results[RejectedBefore] > 0 {
		a.Rejected = r.rejected(deliveries)
	}
	return a
}

// rejected lists each pushkey whose devices are all dead, because a homeserver drops all its pushers with a listed pushkey.
func (r *Request) rejected(deliveries []delivery) []json.RawMessage {
	var alive map[string]bool
	for i := range deliveries {
		if d := &deliveries[i]; !d.decision.result.dead() {
			if alive == nil {
				alive = make(map[string]bool, len(deliveries))
			}
			alive[d.device.Pushkey] = true
		}
	}
	var list []json.RawMessage
	for i := range deliveries {
		if alive[deliveries[i].device.Pushkey] {
			continue
		}
		key := r.pushkey(i)
		if !slices.ContainsFunc(list, func(listed json.RawMessage) bool { return bytes.Equal(listed, key) }) {
			list = append(list, key)
		}
	}
	return list
}

// pushkey returns a device's pushkey as a JSON string that decodes to exactly what was received.
func (r *Request) pushkey(i int) json.RawMessage {
	if raw, ok := r.verbatim[i]; ok {
		return raw
	}
	key := r.Devices[i].Pushkey
	if !strings.ContainsFunc(key, escaped) {
		return json.RawMessage(`"` + key + `"`)
	}
	b, _ := jsontext.AppendQuote(nil, key) // escapes only what must be escaped, so the answer is no longer than the request
	return b
}

// escaped reports whether a JSON string cannot hold a character without an escape (RFC 8259 section 7).
func escaped(c rune) bool {
	return c < ' ' || c == '"' || c == '\\'
}

// nothingRejected is the body of nearly all answers.
var nothingRejected = []byte(`{"rejected":[]}`)

// Body returns the answer's JSON, which must not be changed.
func (a Answer) Body() []byte {
	switch {
	case a.Err != nil:
		b, _ := json.Marshal(a.Err)
		return b
	case len(a.Rejected) == 0 && a.Seen == nil:
		return nothingRejected
	}
	b := append(make([]byte, 0, 64), `{"rejected":[`...)
	for i, key := range a.Rejected {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, key...)
	}
	b = append(b, ']')
	if a.Seen != nil {
		seen, _ := json.Marshal(a.Seen)
		b = append(append(b, `,"`+ProbeAppID+`":`...), seen...)
	}
	return append(b, '}')
}
