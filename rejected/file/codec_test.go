package file

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

var sample = rejected.Record{
	App: "org.example.*", Reason: "gone", Condemned: 1_772_366_400_000, Since: 1_772_366_300_000,
	FirstSeen: time.UnixMilli(1_772_366_400_001), LastSeen: time.UnixMilli(1_772_366_400_002), ProbeAt: time.UnixMilli(1_772_370_000_000),
	Verdicts: 3,
}

// suspected returns the record with a suspicion.
func suspected(r rejected.Record) rejected.Record {
	r.Suspicion = rejected.Suspicion{Since: time.UnixMilli(1_772_366_500_000), Looks: 4, LookAt: time.UnixMilli(1_772_368_900_000)}
	return r
}

func TestARecordComesBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	long, absurd, truncated := sample, sample, sample
	long.App, long.Reason = strings.Repeat("a", 256), strings.Repeat("x", 1000)
	truncated.App, truncated.Reason = strings.Repeat("a", maxText), strings.Repeat("x", maxText)
	absurd.Condemned, absurd.Since = 1<<62, -1
	bounded := sample
	bounded.Condemned, bounded.Since = maxMillis, 0
	tests := []struct {
		name     string
		in, want rejected.Record
	}{
		{"an ordinary record", sample, sample},
		{"a record of one verdict", rejected.Record{Verdicts: 1}, rejected.Record{Verdicts: 1}},
		{"an app and a reason that are too long are cut off", long, truncated},
		{"an app and a reason of the greatest length", truncated, truncated},
		{"absurd times are bounded", absurd, bounded},
		{"a suspicion beside verdicts", suspected(sample), suspected(sample)},
		{"a suspicion without a verdict", suspected(rejected.Record{Reason: "not_found"}), suspected(rejected.Record{Reason: "not_found"})},
		{
			"the absurd times of a suspicion are bounded",
			rejected.Record{Suspicion: rejected.Suspicion{Since: time.Unix(-5, 0), LookAt: time.Unix(1<<40, 0), Looks: -1}},
			rejected.Record{Suspicion: rejected.Suspicion{Since: time.UnixMilli(1), LookAt: time.UnixMilli(maxMillis), Looks: 1}},
		},
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
	if n := len(encode(key(1), sample)); n > 64 {
		t.Errorf("a record takes %d bytes, want at most 64", n)
	}
}

// An earlier gateway, which does not know suspicions, reads all records without one.
func TestARecordWithoutASuspicionIsWrittenAsVersion2(t *testing.T) {
	t.Parallel()
	if b := encode(key(1), sample); b[0] != 2 {
		t.Errorf("version %d", b[0])
	}
	if b := encode(key(1), suspected(sample)); b[0] != 3 {
		t.Errorf("version %d of a suspicion", b[0])
	}
	left, _ := suspected(sample).Acquit()
	if b := encode(key(1), left); b[0] != 2 {
		t.Errorf("version %d after an acquittal", b[0])
	}
}

func TestGarbageIsNotARecord(t *testing.T) {
	t.Parallel()
	for _, good := range [][]byte{encode(key(1), sample), encode(key(1), suspected(sample))} {
		expectNoGarbage(t, good)
	}
	for name, body := range map[string][]byte{
		"no verdict":                    {version, 0, 0, 0, 0, 0, 0, 0, 0},
		"an app that is too short":      {version, 0, 0, 0, 0, 0, 1, 3, 'x', 0},
		"a reason that is too short":    {version, 0, 0, 0, 0, 0, 1, 0, 2, 'x'},
		"bytes after the reason":        {version, 0, 0, 0, 0, 0, 1, 0, 0, 'x'},
		"no reason":                     {version, 0, 0, 0, 0, 0, 1, 0},
		"neither app nor reason":        {version, 0, 0, 0, 0, 0, 1},
		"an app in version 1":           {withoutApp, 0, 0, 0, 0, 0, 1, 1, 'a', 1, 'x'},
		"no reason in version 1":        {withoutApp, 0, 0, 0, 0, 0, 1},
		"a later version":               {withSuspicion + 1, 0, 0, 0, 0, 0, 1, 0, 0},
		"a version before the first":    {0, 0, 0, 0, 0, 0, 1, 0},
		"a number that does not end":    {version, 0x80},
		"a number that is too large":    append(binary.AppendUvarint([]byte{version}, maxMillis+1), 0, 0, 0, 0, 1, 0, 0),
		"a number beyond all bounds":    {version, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0, 0, 0, 1, 0, 0},
		"neither verdict nor suspicion": {withSuspicion, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0},
		"a verdict without a suspicion": {withSuspicion, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0},
		"a suspicion of no look":        {withSuspicion, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0},
		"a suspicion in version 2":      {version, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0},
		"a suspicion that is cut off":   {withSuspicion, 0, 0, 0, 0, 0, 0, 1, 1},
		"an absurd count of looks":      append(binary.AppendUvarint([]byte{withSuspicion, 0, 0, 0, 0, 0, 0, 1, 1}, maxCount+1), 0, 0),
		"an absurd count of verdicts":   append(binary.AppendUvarint([]byte{version, 0, 0, 0, 0, 0}, maxCount+1), 0, 0),
	} {
		if r, err := decode(key(1), signed(key(1), body)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

// expectNoGarbage expects that a record is read only if it is unchanged.
func expectNoGarbage(t *testing.T, good []byte) {
	t.Helper()
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
}

// version1 is the sample as version 1 wrote it, with its checksum, under a key whose first byte is 1 and whose last is 2.
const version1 = "01809494caca33e0868ecaca33819494caca33829494caca3380f1efcbca330304676f6e651fcde08d"

func TestARecordOfVersion1HasNoApp(t *testing.T) {
	t.Parallel()
	want := sample
	want.App = ""
	old, err := hex.DecodeString(version1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decode(rejected.Key{0: 1, 15: 2}, old); err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

// signed puts the checksum after a body, so the test is about the body.
func signed(k rejected.Key, body []byte) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), body...), checksum(k, body))
}

func FuzzDecode(f *testing.F) {
	good := encode(key(1), sample)
	f.Add(good[:len(good)-4], true)
	f.Add(good, false)
	f.Add([]byte{}, true)
	f.Add([]byte{version, 0, 0, 0, 0, 0, 1, 0, 0}, true)
	f.Add([]byte{withoutApp, 0, 0, 0, 0, 0, 1, 0}, true)
	f.Add([]byte{withSuspicion, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0}, true)
	f.Add(encode(key(1), suspected(sample)), false)
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
