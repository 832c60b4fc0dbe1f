package file

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

var sample = rejected.Record{
	Reason: "gone", Condemned: 1_772_366_400_000, Since: 1_772_366_300_000,
	FirstSeen: time.UnixMilli(1_772_366_400_001), LastSeen: time.UnixMilli(1_772_366_400_002), ProbeAt: time.UnixMilli(1_772_370_000_000),
	Verdicts: 3,
}

func TestARecordComesBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	long, absurd, truncated := sample, sample, sample
	long.Reason = strings.Repeat("x", 1000)
	truncated.Reason = strings.Repeat("x", maxReason)
	absurd.Condemned, absurd.Since = 1<<62, -1
	bounded := sample
	bounded.Condemned, bounded.Since = maxMillis, 0
	tests := []struct {
		name     string
		in, want rejected.Record
	}{
		{"an ordinary record", sample, sample},
		{"a record of one verdict", rejected.Record{Verdicts: 1}, rejected.Record{Verdicts: 1}},
		{"a reason that is too long is cut off", long, truncated},
		{"absurd times are bounded", absurd, bounded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := decode(key(1), encode(key(1), tt.in))
			if err != nil || got != tt.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
	if n := len(encode(key(1), sample)); n > 48 {
		t.Errorf("a record takes %d bytes, want at most 48", n)
	}
}

func TestGarbageIsNoRecord(t *testing.T) {
	t.Parallel()
	good := encode(key(1), sample)
	if _, err := decode(key(2), good); err == nil {
		t.Error("a record was read under another key")
	}
	for n := range good {
		if _, err := decode(key(1), good[:n]); err == nil {
			t.Errorf("the first %d bytes were read as a record", n)
		}
	}
	for i := range len(good) * 8 {
		flipped := append([]byte(nil), good...)
		flipped[i/8] ^= 1 << (i % 8)
		if _, err := decode(key(1), flipped); err == nil {
			t.Errorf("a record was read with bit %d flipped", i)
		}
	}
	for name, body := range map[string][]byte{
		"no verdict":                  {version, 0, 0, 0, 0, 0, 0, 0},
		"a reason that is too short":  {version, 0, 0, 0, 0, 0, 1, 2, 'x'},
		"bytes after the reason":      {version, 0, 0, 0, 0, 0, 1, 0, 'x'},
		"no reason":                   {version, 0, 0, 0, 0, 0, 1},
		"another version":             {version + 1, 0, 0, 0, 0, 0, 1, 0},
		"a number that does not end":  {version, 0x80},
		"a number that is too large":  append(binary.AppendUvarint([]byte{version}, maxMillis+1), 0, 0, 0, 0, 1, 0),
		"a number beyond all bounds":  {version, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0, 0, 0, 1, 0},
		"an absurd count of verdicts": append(binary.AppendUvarint([]byte{version, 0, 0, 0, 0, 0}, maxVerdicts+1), 0),
	} {
		if r, err := decode(key(1), signed(key(1), body)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

// signed puts the checksum behind a body, so that it is the body that is judged.
func signed(k rejected.Key, body []byte) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), body...), checksum(k, body))
}

func FuzzDecode(f *testing.F) {
	good := encode(key(1), sample)
	f.Add(good[:len(good)-4], true)
	f.Add(good, false)
	f.Add([]byte{}, true)
	f.Add([]byte{version, 0, 0, 0, 0, 0, 1, 0}, true)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign {
			b = signed(key(1), b)
		}
		r, err := decode(key(1), b)
		if err != nil {
			return
		}
		again, err := decode(key(1), encode(key(1), r))
		if err != nil || again != r {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
		r.Mark().Rejects(0, time.Now())
	})
}
