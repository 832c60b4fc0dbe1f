package rejected

import (
	"math"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ms is the pushkey_ts of a time some seconds after noon.
func ms(seconds float64) int64 { return noon.UnixMilli() + int64(seconds*1000) }

func at(seconds float64) time.Time { return time.UnixMilli(ms(seconds)) }

func TestARecordDecidesWhatIsRejected(t *testing.T) {
	t.Parallel()
	hour := time.Hour.Seconds()
	withTS := Verdict{Reason: "gone", PushkeyTS: ms(-100), At: noon}
	withoutTS := Verdict{Reason: "gone", At: noon}
	tests := []struct {
		name      string
		verdicts  []Verdict
		pushkeyTS int64
		now       time.Time
		want      bool
	}{
		{"an unknown pushkey is delivered", nil, ms(0), noon, false},
		{"an unknown pushkey without pushkey_ts is delivered", nil, 0, noon, false},
		{"the condemned pushkey_ts is rejected", []Verdict{withTS}, ms(-100), noon, true},
		{"the condemned pushkey_ts is rejected for ever", []Verdict{withTS}, ms(-100), at(1000 * hour), true},
		{"an older pushkey_ts is rejected", []Verdict{withTS}, ms(-101), noon, true},
		{"a newer pushkey_ts is delivered", []Verdict{withTS}, ms(-99), noon, false},
		{"a pushkey_ts in the condemned second is the same in whole seconds", []Verdict{withTS}, ms(-99.5), noon, true},
		{"a pushkey_ts from the future of our clock is delivered", []Verdict{withTS}, ms(9999), noon, false},
		{"the newest condemned pushkey_ts stands after an older verdict", []Verdict{withTS, {PushkeyTS: ms(-300), At: at(9)}}, ms(-100), at(9), true},
		{"a newer verdict condemns the newer pushkey_ts too", []Verdict{withTS, {PushkeyTS: ms(-50), At: at(9)}}, ms(-50), at(9), true},
		{"a verdict without pushkey_ts condemns none", []Verdict{withoutTS}, ms(-100), noon, false},
		{"a verdict without pushkey_ts condemns not even the first second", []Verdict{withoutTS}, 999, noon, false},

		{"without pushkey_ts it is rejected for the first hour", []Verdict{withoutTS}, 0, at(hour - 1), true},
		{"without pushkey_ts it is probed after an hour", []Verdict{withoutTS}, 0, at(hour), false},
		{"without pushkey_ts it is rejected too if the verdict had one", []Verdict{withTS}, 0, at(1), true},
		{"a second verdict doubles the interval", []Verdict{withoutTS, {At: at(hour)}}, 0, at(3*hour - 1), true},
		{"after the doubled interval it is probed", []Verdict{withoutTS, {At: at(hour)}}, 0, at(3 * hour), false},

		{"older than the push service's time of death is rejected", []Verdict{{Since: at(0), At: noon}}, ms(-1), noon, true},
		{"within the second of the time of death is delivered", []Verdict{{Since: at(0.9), At: noon}}, ms(0), noon, false},
		{"newer than the time of death is delivered", []Verdict{{Since: at(0), At: noon}}, ms(1), noon, false},
		{"the newer of condemned and time of death counts", []Verdict{{PushkeyTS: ms(-9), Since: at(-20), At: noon}}, ms(-9), noon, true},
		{"a time of death after the condemned one widens it", []Verdict{{PushkeyTS: ms(-9), Since: at(-2), At: noon}}, ms(-3), noon, true},
		{"a time of death in the first second of 1970 condemns nothing", []Verdict{{Since: time.UnixMilli(500), At: noon}}, ms(0), noon, false},

		{"a senseless pushkey_ts fails open", []Verdict{{PushkeyTS: math.MaxInt64, At: noon}}, math.MaxInt64, noon, false},
		{"a negative verdict condemns nothing", []Verdict{{PushkeyTS: math.MinInt64, At: noon}}, ms(0), noon, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var m Mark
			if len(tt.verdicts) > 0 {
				var r Record
				for _, v := range tt.verdicts {
					r = r.Add(v)
				}
				m = r.Mark()
			}
			if got := m.Rejects(tt.pushkeyTS, tt.now); got != tt.want {
				t.Errorf("Rejects = %v, want %v (mark %+v)", got, tt.want, m)
			}
		})
	}
}

func TestProbesAreTwiceAsFarApartUpToAWeek(t *testing.T) {
	t.Parallel()
	var r Record
	now := noon
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 168, 168} {
		r = r.Add(Verdict{Reason: "gone", At: now})
		if got := r.ProbeAt.Sub(now); got != want*time.Hour {
			t.Errorf("verdict %d: probed after %v, want %v", i+1, got, want*time.Hour)
		}
		now = r.ProbeAt
	}
	if d := probeInterval(math.MaxInt); d != lastProbe {
		t.Errorf("after ever so many verdicts: %v, want %v", d, lastProbe)
	}
}

func TestAVerdictMergesIntoARecord(t *testing.T) {
	t.Parallel()
	first := Verdict{App: "app", Reason: "gone", PushkeyTS: ms(-10), Since: at(-5), At: noon}
	probe := noon.Add(time.Hour)
	tests := []struct {
		name     string
		verdicts []Verdict
		want     Record
	}{
		{
			"the first verdict starts the record",
			[]Verdict{first},
			Record{"app", "gone", ms(-10), ms(-5), noon, noon, probe, 1},
		},
		{
			"a verdict of a push in flight is no further probe",
			[]Verdict{first, {App: "app", Reason: "unregistered", At: at(2)}},
			Record{"app", "unregistered", ms(-10), ms(-5), noon, at(2), probe, 1},
		},
		{
			"a verdict of a probe counts",
			[]Verdict{first, {App: "app", Reason: "gone", At: probe}},
			Record{"app", "gone", ms(-10), ms(-5), noon, probe, probe.Add(2 * time.Hour), 2},
		},
		{
			"newer times replace older ones",
			[]Verdict{first, {App: "app", Reason: "gone", PushkeyTS: ms(1), Since: at(2), At: at(3)}},
			Record{"app", "gone", ms(1), ms(2), noon, at(3), probe, 1},
		},
		{
			"older times change nothing",
			[]Verdict{first, {App: "app", Reason: "gone", PushkeyTS: ms(-99), Since: at(-98), At: at(3)}},
			Record{"app", "gone", ms(-10), ms(-5), noon, at(3), probe, 1},
		},
		{
			"a verdict that comes late does not turn last seen back",
			[]Verdict{first, {App: "app", Reason: "gone", At: at(-3)}},
			Record{"app", "gone", ms(-10), ms(-5), noon, noon, probe, 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r Record
			for _, v := range tt.verdicts {
				r = r.Add(v)
			}
			same := r.App == tt.want.App && r.Reason == tt.want.Reason && r.Condemned == tt.want.Condemned && r.Since == tt.want.Since &&
				r.FirstSeen.Equal(tt.want.FirstSeen) && r.LastSeen.Equal(tt.want.LastSeen) &&
				r.ProbeAt.Equal(tt.want.ProbeAt) && r.Verdicts == tt.want.Verdicts
			if !same {
				t.Errorf("got  %+v\nwant %+v", r, tt.want)
			}
		})
	}
}

func TestAMarkIsNeverZeroAndFitsItsSeconds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		r    Record
		want Mark
	}{
		{"a record of nothing still has a mark", Record{}, Mark{0, 1}},
		{"a probe before 1970 is the first second", Record{ProbeAt: time.Unix(-5, 0)}, Mark{0, 1}},
		{"times beyond 2106 are the last second", Record{Condemned: math.MaxInt64, ProbeAt: time.Unix(1<<40, 0)}, Mark{maxSecond, maxSecond}},
		{"milliseconds are cut off", Record{Condemned: 5999, ProbeAt: time.UnixMilli(7999)}, Mark{5, 7}},
		{"the second of death itself is not condemned", Record{Since: 5999, ProbeAt: time.Unix(7, 0)}, Mark{4, 7}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.r.Mark(); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
