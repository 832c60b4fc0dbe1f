package file

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// A record on disk, under its 16 bytes of key:
//
//	version    1 byte
//	condemned, since, first seen, last seen, probe at   uvarint each, milliseconds, 0 for none
//	verdicts   uvarint
//	app        1 byte of length, bytes; not in version 1
//	reason     1 byte of length, bytes
//	checksum   4 bytes, CRC-32C of the key and all of the above
//
// The checksum is there because bbolt has none of its data pages, and a flipped bit must not condemn a living pushkey.
const (
	version     = 2
	withoutApp  = 1 // the version that is still read
	maxText     = 255
	maxMillis   = 1 << 48 // the year 10889
	maxVerdicts = 1 << 31
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errGarbage = errors.New("unreadable record")
)

func encode(k rejected.Key, r rejected.Record) []byte {
	b := make([]byte, 0, 96)
	b = append(b, version)
	for _, v := range [...]int64{r.Condemned, r.Since, millis(r.FirstSeen), millis(r.LastSeen), millis(r.ProbeAt)} {
		b = binary.AppendUvarint(b, uint64(min(max(v, 0), maxMillis)))
	}
	b = binary.AppendUvarint(b, uint64(min(max(r.Verdicts, 1), maxVerdicts)))
	for _, text := range [...]string{r.App, r.Reason} {
		text = text[:min(len(text), maxText)]
		b = append(b, byte(len(text)))
		b = append(b, text...)
	}
	return binary.BigEndian.AppendUint32(b, checksum(k, b))
}

// decode returns errGarbage for whatever encode does not write, and never did.
func decode(k rejected.Key, b []byte) (rejected.Record, error) {
	if len(b) < 5 || b[0] != version && b[0] != withoutApp {
		return rejected.Record{}, errGarbage
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if checksum(k, body) != sum {
		return rejected.Record{}, errGarbage
	}
	var fields [6]int64
	rest := body[1:]
	for i := range fields {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > maxMillis {
			return rejected.Record{}, errGarbage
		}
		fields[i], rest = int64(v), rest[n:]
	}
	var app, reason string
	ok := true
	if b[0] != withoutApp {
		app, rest, ok = cutText(rest)
	}
	if ok {
		reason, rest, ok = cutText(rest)
	}
	if !ok || len(rest) > 0 || fields[5] < 1 || fields[5] > maxVerdicts {
		return rejected.Record{}, errGarbage
	}
	return rejected.Record{
		App:       app,
		Reason:    reason,
		Condemned: fields[0],
		Since:     fields[1],
		FirstSeen: fromMillis(fields[2]),
		LastSeen:  fromMillis(fields[3]),
		ProbeAt:   fromMillis(fields[4]),
		Verdicts:  int(fields[5]),
	}, nil
}

// cutText cuts off a text with its length before it.
func cutText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return "", nil, false
	}
	end := 1 + int(b[0])
	return string(b[1:end]), b[end:], true
}

func checksum(k rejected.Key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(k[:], castagnoli), castagnoli, body)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
