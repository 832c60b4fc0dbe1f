package rejected

import (
	"math"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ms returns the pushkey_ts of a time some seconds after noon.
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

		{"a pushkey_ts a day ahead is one of a clock that is", []Verdict{{PushkeyTS: ms(24 * hour), At: noon}}, ms(24 * hour), at(1), true},
		{"a pushkey_ts further ahead condemns until now", []Verdict{{PushkeyTS: ms(24*hour + 1), At: noon}}, ms(0), at(1), true},
		{"a pushkey_ts further ahead condemns nothing beyond now", []Verdict{{PushkeyTS: ms(24*hour + 1), At: noon}}, ms(1), at(1), false},
		{"a pushkey_ts of the end of time condemns nothing beyond now", []Verdict{{PushkeyTS: math.MaxInt64, At: noon}}, ms(1), at(1), false},
		{"an honest verdict stands after one from the end of time", []Verdict{withTS, {PushkeyTS: math.MaxInt64, At: at(9)}}, ms(10), at(9), false},

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

// Earlier versions accepted any pushkey_ts: stores still have their records with 2106.
func TestARecordThatCondemnsTheFutureIsReadAsOneThatDoesNot(t *testing.T) {
	t.Parallel()
	old := Record{Reason: "gone", Condemned: math.MaxInt64, FirstSeen: noon, LastSeen: noon, ProbeAt: at(7200 + 3600), Verdicts: 2} // learned at at(3600)
	for _, tt := range []struct {
		name      string
		r         Record
		condemned int64
	}{
		{"as it is", old, ms(3600)},
		{"beside a suspicion", old.Suspect(Verdict{At: at(4000)}), ms(3600)},
		{"after a verdict without pushkey_ts", old.Add(Verdict{At: at(4000)}), ms(3600)},
		{"after one with an older pushkey_ts", old.Add(Verdict{PushkeyTS: ms(-9), At: at(4000)}), ms(3600)},
		{"after one with a newer pushkey_ts", old.Add(Verdict{PushkeyTS: ms(3900), At: at(4000)}), ms(3900)},
		{"after a probe", old.Add(Verdict{At: at(20_000)}), ms(3600)},
		{"with an honest pushkey_ts of a push in flight", Record{Condemned: ms(9000), ProbeAt: at(3600), Verdicts: 1}, ms(9000)},
	} {
		if got := int64(tt.r.Mark().Condemned) * 1000; got != tt.condemned {
			t.Errorf("%s: condemned up to %d, want %d", tt.name, got-ms(0), tt.condemned-ms(0))
		}
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
			Record{
				App: "app", Reason: "gone", Condemned: ms(-10), Since: ms(-5),
				FirstSeen: noon, LastSeen: noon, ProbeAt: probe, Verdicts: 1,
			},
		},
		{
			"a verdict of a push in flight is not another probe",
			[]Verdict{first, {App: "app", Reason: "unregistered", At: at(2)}},
			Record{
				App: "app", Reason: "unregistered", Condemned: ms(-10), Since: ms(-5),
				FirstSeen: noon, LastSeen: at(2), ProbeAt: probe, Verdicts: 1,
			},
		},
		{
			"a verdict of a probe counts",
			[]Verdict{first, {App: "app", Reason: "gone", At: probe}},
			Record{
				App: "app", Reason: "gone", Condemned: ms(-10), Since: ms(-5),
				FirstSeen: noon, LastSeen: probe, ProbeAt: probe.Add(2 * time.Hour), Verdicts: 2,
			},
		},
		{
			"newer times replace older ones",
			[]Verdict{first, {App: "app", Reason: "gone", PushkeyTS: ms(1), Since: at(2), At: at(3)}},
			Record{
				App: "app", Reason: "gone", Condemned: ms(1), Since: ms(2),
				FirstSeen: noon, LastSeen: at(3), ProbeAt: probe, Verdicts: 1,
			},
		},
		{
			"older times change nothing",
			[]Verdict{first, {App: "app", Reason: "gone", PushkeyTS: ms(-99), Since: at(-98), At: at(3)}},
			Record{
				App: "app", Reason: "gone", Condemned: ms(-10), Since: ms(-5),
				FirstSeen: noon, LastSeen: at(3), ProbeAt: probe, Verdicts: 1,
			},
		},
		{
			"a verdict that comes late does not turn last seen back",
			[]Verdict{first, {App: "app", Reason: "gone", At: at(-3)}},
			Record{
				App: "app", Reason: "gone", Condemned: ms(-10), Since: ms(-5),
				FirstSeen: noon, LastSeen: noon, ProbeAt: probe, Verdicts: 1,
			},
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

func TestAMarkIsZeroOnlyWithoutVerdictAndSuspicionAndFitsItsSeconds(t *testing.T) {
	t.Parallel()
	suspected := func(lookAt time.Time) Suspicion { return Suspicion{Since: noon, Looks: 1, LookAt: lookAt} }
	tests := []struct {
		name string
		r    Record
		want Mark
	}{
		{"nothing has the zero mark", Record{}, Mark{}},
		{"times without a verdict condemn nothing", Record{Condemned: 5000, Since: 7000, ProbeAt: time.Unix(7, 0)}, Mark{}},
		{"a verdict without times has a mark", Record{Verdicts: 1}, Mark{ProbeAt: 1}},
		{"a probe before 1970 is the first second", Record{Verdicts: 1, ProbeAt: time.Unix(-5, 0)}, Mark{ProbeAt: 1}},
		{
			"times beyond 2106 are the last second",
			Record{Verdicts: 1, Condemned: math.MaxInt64, ProbeAt: time.Unix(1<<40, 0), Suspicion: suspected(time.Unix(1<<40, 0))},
			Mark{Condemned: maxSecond, ProbeAt: maxSecond, LookAt: maxSecond},
		},
		{
			"milliseconds are cut off",
			Record{Verdicts: 1, Condemned: 5999, ProbeAt: time.UnixMilli(7999)},
			Mark{Condemned: 5, ProbeAt: 7},
		},
		{
			"the second of death itself is not condemned",
			Record{Verdicts: 1, Since: 5999, ProbeAt: time.Unix(7, 0)},
			Mark{Condemned: 4, ProbeAt: 7},
		},
		{"a suspicion has a mark without a verdict", Record{Suspicion: suspected(time.Unix(7, 0))}, Mark{LookAt: 7}},
		{"the time of a look is rounded up", Record{Suspicion: suspected(time.UnixMilli(6001))}, Mark{LookAt: 7}},
		{"a look before 1970 is the first second", Record{Suspicion: suspected(time.Unix(-5, 0))}, Mark{LookAt: 1}},
		{"a suspicion without a time to look has a mark", Record{Suspicion: suspected(time.Time{})}, Mark{LookAt: 1}},
		{"a look without a suspicion is ignored", Record{Suspicion: Suspicion{LookAt: noon}}, Mark{}},
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
