package file

import (
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

var sample = outbox.Entry{
	ID: "3fa1", App: "org.example.*", Device: deviceOf("a"), PushkeyTS: 1_772_366_400_123, Push: []byte(`{"text":"<&>", "n":1}`),
	Accepted: time.UnixMilli(1_772_366_400_456), Expires: time.UnixMilli(1_772_366_500_000),
}

func encoded(t testing.TB, seq uint64, e outbox.Entry) []byte {
	t.Helper()
	b, err := encode(seq, &e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnEntryComesBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	badge, lines, future := sample, sample, sample
	badge.Replace, badge.PushkeyTS = outbox.ReplaceBadge, 0
	lines.Push = []byte("{\n\"a\":\n1\n}\n")
	future.Expires = time.UnixMilli(1 << 50)
	wake := sample
	wake.Replace = outbox.ReplaceWake
	unknown := sample
	unknown.Accepted = time.Time{}
	tests := []struct {
		name string
		e    outbox.Entry
	}{
		{"an alert", sample},
		{"a badge update", badge},
		{"a wake-up", wake},
		{"a push of several lines", lines},
		{"a push that is not JSON", outbox.Entry{ID: "1", Push: []byte{0, 255, '"'}, Expires: time.UnixMilli(0)}},
		{"a push of nothing", outbox.Entry{ID: "1", Push: []byte{}, Expires: time.UnixMilli(0)}},
		{"one that expires in a far future", future},
		{"one accepted nobody knows when", unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := decode(7, encoded(t, 7, tt.e))
			if err != nil || !reflect.DeepEqual(*got, tt.e) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.e)
			}
		})
	}
}

func TestAnEntryOfAnEarlierVersionCanBeRead(t *testing.T) {
	t.Parallel()
	got, err := decode(1, signed(1, []byte(`{"id":"1","app":"a","device":"AAAAAAAAAAAAAAAAAAAAAA==","expires":1000}`+"\n{}")))
	if err != nil || got.ID != "1" || !got.Accepted.IsZero() || got.Expires.UnixMilli() != 1000 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestGarbageIsNotAnEntry(t *testing.T) {
	t.Parallel()
	good := encoded(t, 1, sample)
	if _, err := decode(2, good); err == nil {
		t.Error("an entry was read under another sequence number")
	}
	for n := range good {
		if _, err := decode(1, good[:n]); err == nil {
			t.Errorf("the first %d bytes were read as an entry", n)
		}
	}
	for i := range len(good) * 8 {
		flipped := append([]byte(nil), good...)
		flipped[i/8] ^= 1 << (i % 8)
		if _, err := decode(1, flipped); err == nil {
			t.Errorf("an entry was read with bit %d flipped", i)
		}
	}
	for name, body := range map[string]string{
		"nothing":            "",
		"no JSON":            "x\n{}",
		"no push":            `{"id":"1","app":"a","device":"AAAAAAAAAAAAAAAAAAAAAA==","expires":1}`,
		"no device":          "{\"id\":\"1\",\"app\":\"a\",\"expires\":1}\n{}",
		"half a device":      "{\"id\":\"1\",\"app\":\"a\",\"device\":\"AAAAAAAAAAA=\",\"expires\":1}\n{}",
		"a time that is one": "{\"device\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"expires\":\"soon\"}\n{}",
	} {
		if e, err := decode(1, signed(1, []byte(body))); err == nil {
			t.Errorf("%s: read as %+v", name, e)
		}
	}
}

func TestADecodedEntrySharesNoMemory(t *testing.T) {
	t.Parallel()
	b := encoded(t, 1, sample)
	got, err := decode(1, b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !reflect.DeepEqual(*got, sample) {
		t.Errorf("got %+v", got)
	}
}

// signed puts the checksum before a body, so the test is about the body.
func signed(seq uint64, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, checksum(seq, body)), body...)
}

func FuzzDecode(f *testing.F) {
	good := encoded(f, 1, sample)
	f.Add(good[checksumSize:], true)
	f.Add(good, false)
	f.Add([]byte{}, true)
	f.Add([]byte("{\"device\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}\n"), true)
	f.Add([]byte("{\"device\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"accepted\":-62135596800000}\n"), true)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign {
			b = signed(1, b)
		}
		e, err := decode(1, b)
		if err != nil {
			return
		}
		again, err := decode(1, encoded(t, 1, *e))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%+v came back as %+v, %v", e, again, err)
		}
	})
}
