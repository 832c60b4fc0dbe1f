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
//	verdicts   uvarint; 0 only in version 3
//	suspected since, look at   uvarint each, milliseconds; only in version 3
//	looks      uvarint; only in version 3
//	app        1 byte of length, bytes; not in version 1
//	reason     1 byte of length, bytes
//	checksum   4 bytes, CRC-32C of the key and all of the above
//
// Suspected pushkeys are written in version 3, and all others in version 2, which an earlier gateway can read. Version 1 is still read.
//
// There is a checksum because bbolt has none for its data pages, and a flipped bit must not condemn a living pushkey.
const (
	withoutApp    = 1
	version       = 2
	withSuspicion = 3
	maxText       = 255
	maxMillis     = 1 << 48 // the year 10889
	maxCount      = 1 << 31
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errGarbage = errors.New("unreadable record")
)

func encode(k rejected.Key, r rejected.Record) []byte {
	b := make([]byte, 0, 112)
	suspected, fewest := r.Suspicion.Suspected(), 1
	if suspected {
		b, fewest = append(b, withSuspicion), 0
	} else {
		b = append(b, version)
	}
	for _, v := range [...]int64{r.Condemned, r.Since, millis(r.FirstSeen), millis(r.LastSeen), millis(r.ProbeAt)} {
		b = binary.AppendUvarint(b, uint64(min(max(v, 0), maxMillis)))
	}
	b = binary.AppendUvarint(b, uint64(min(max(r.Verdicts, fewest), maxCount)))
	if suspected {
		b = binary.AppendUvarint(b, uint64(min(max(millis(r.Suspicion.Since), 1), maxMillis)))
		b = binary.AppendUvarint(b, uint64(min(max(millis(r.Suspicion.LookAt), 0), maxMillis)))
		b = binary.AppendUvarint(b, uint64(min(max(r.Suspicion.Looks, 1), maxCount)))
	}
	for _, text := range [...]string{r.App, r.Reason} {
		text = text[:min(len(text), maxText)]
		b = append(b, byte(len(text)))
		b = append(b, text...)
	}
	return binary.BigEndian.AppendUint32(b, checksum(k, b))
}

// decode returns errGarbage for anything that encode does not write and never wrote.
func decode(k rejected.Key, b []byte) (rejected.Record, error) {
	r, app, reason, err := parse(k, b)
	r.App, r.Reason = string(app), string(reason)
	return r, err
}

// parse is decode, but the texts are still parts of b: loading millions of records makes no garbage.
func parse(k rejected.Key, b []byte) (r rejected.Record, app, reason []byte, err error) {
	if len(b) < 5 || b[0] < withoutApp || b[0] > withSuspicion {
		return r, nil, nil, errGarbage
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if checksum(k, body) != sum {
		return r, nil, nil, errGarbage
	}
	var fields [9]int64
	rest, numbers := body[1:], fields[:6]
	if b[0] == withSuspicion {
		numbers = fields[:]
	}
	for i := range numbers {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > maxMillis {
			return r, nil, nil, errGarbage
		}
		numbers[i], rest = int64(v), rest[n:]
	}
	ok := plausible(b[0], fields)
	if ok && b[0] != withoutApp {
		app, rest, ok = cutText(rest)
	}
	if ok {
		reason, rest, ok = cutText(rest)
	}
	if !ok || len(rest) > 0 {
		return r, nil, nil, errGarbage
	}
	return rejected.Record{
		Condemned: fields[0],
		Since:     fields[1],
		FirstSeen: fromMillis(fields[2]),
		LastSeen:  fromMillis(fields[3]),
		ProbeAt:   fromMillis(fields[4]),
		Verdicts:  int(fields[5]),
		Suspicion: rejected.Suspicion{Since: fromMillis(fields[6]), LookAt: fromMillis(fields[7]), Looks: int(fields[8])},
	}, app, reason, nil
}

// plausible reports whether encode could have written the numbers: there is a verdict or, in version 3, a suspicion.
func plausible(version byte, fields [9]int64) bool {
	verdicts, suspected, looks := fields[5], fields[6], fields[8]
	if verdicts > maxCount || looks > maxCount {
		return false
	}
	if version == withSuspicion {
		return suspected > 0 && looks > 0
	}
	return verdicts > 0
}

// cutText cuts off a text that follows its length.
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
