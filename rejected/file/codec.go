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
	r, app, reason, err := parse(k, b)
	r.App, r.Reason = string(app), string(reason)
	return r, err
}

// parse is decode without the texts, which are still those of b: loading millions of records makes no garbage.
func parse(k rejected.Key, b []byte) (r rejected.Record, app, reason []byte, err error) {
	if len(b) < 5 || b[0] != version && b[0] != withoutApp {
		return r, nil, nil, errGarbage
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if checksum(k, body) != sum {
		return r, nil, nil, errGarbage
	}
	var fields [6]int64
	rest := body[1:]
	for i := range fields {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > maxMillis {
			return r, nil, nil, errGarbage
		}
		fields[i], rest = int64(v), rest[n:]
	}
	ok := true
	if b[0] != withoutApp {
		app, rest, ok = cutText(rest)
	}
	if ok {
		reason, rest, ok = cutText(rest)
	}
	if !ok || len(rest) > 0 || fields[5] < 1 || fields[5] > maxVerdicts {
		return r, nil, nil, errGarbage
	}
	return rejected.Record{
		Condemned: fields[0],
		Since:     fields[1],
		FirstSeen: fromMillis(fields[2]),
		LastSeen:  fromMillis(fields[3]),
		ProbeAt:   fromMillis(fields[4]),
		Verdicts:  int(fields[5]),
	}, app, reason, nil
}

// cutText cuts off a text with its length before it.
func cutText(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return nil, nil, false
	}
	end := 1 + int(b[0])
	return b[1:end], b[end:], true
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
