package apns

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"time"
	"unicode/utf16"
)

// maxAnswer is how much of an answer is read. APNs sends a reason and a timestamp, which are far shorter; a longer answer is not from APNs.
const maxAnswer = 4 << 10

// answer is the part of APNs' answer that the gateway uses.
type answer struct {
	status     int
	reason     string
	timestamp  time.Time
	retryAfter time.Duration
}

// read takes reason and timestamp from an answer's body. Anything else in it did not come from APNs.
func (a *answer) read(body io.Reader) {
	data, _ := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if len(data) > maxAnswer {
		return
	}
	reason, said := reasonIn(data)
	a.reason = reason
	if reason == "" {
		return
	}
	var timestamp float64 // in milliseconds
	if json.Unmarshal(said["timestamp"], &timestamp) == nil && timestamp >= 1 && timestamp < math.MaxInt64 {
		a.timestamp = time.UnixMilli(int64(timestamp))
	}
}

// reasonIn returns the reason in a JSON object as APNs sends it, and all its members. The reason is empty if the data is not such an
// object.
func reasonIn(data []byte) (reason string, members map[string]json.RawMessage) {
	if json.Unmarshal(asUTF8(data), &members) != nil || json.Unmarshal(members["reason"], &reason) != nil {
		return "", nil
	}
	return reason, members
}

// asUTF8 returns text in UTF-8 without a byte order mark. Apple sends UTF-8; a proxy between here and Apple may write JSON in the other
// encodings that it had until RFC 8259. RFC 4627, section 3, distinguishes them: the first two characters of JSON are ASCII.
func asUTF8(data []byte) []byte {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		return fromUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return fromUTF16(data[2:], binary.BigEndian)
	case len(data) >= 4 && data[0] != 0 && data[1] == 0 && data[2] != 0 && data[3] == 0:
		return fromUTF16(data, binary.LittleEndian)
	case len(data) >= 4 && data[0] == 0 && data[1] != 0 && data[2] == 0 && data[3] != 0:
		return fromUTF16(data, binary.BigEndian)
	default:
		return bytes.TrimPrefix(data, []byte("\ufeff"))
	}
}

func fromUTF16(data []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}
