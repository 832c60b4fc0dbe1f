package rejected

import (
	"testing"
	"time"
)

// looked returns a suspicion after looks some minutes after noon.
func looked(minutes ...float64) (s Suspicion) {
	for _, m := range minutes {
		s = s.add(at(60 * m))
	}
	return s
}

// lookedUntil returns a suspicion with a look at each LookAt, up to some hours after noon.
func lookedUntil(hours float64) Suspicion {
	s := looked(0)
	for !s.LookAt.After(at(3600 * hours)) {
		s = s.add(s.LookAt)
	}
	return s
}

func TestASuspicionIsLookedAtAfter1And3And10AndThenEvery30Minutes(t *testing.T) {
	t.Parallel()
	var s Suspicion
	now := noon
	for looks, want := range []time.Duration{1, 3, 10, 40, 70, 100} {
		s = s.add(now)
		if got := s.LookAt.Sub(noon); got != want*time.Minute || !s.Since.Equal(noon) || s.Looks != looks+1 {
			t.Errorf("after %d looks: %+v, to be looked at after %v, want %v minutes", looks+1, s, got, int(want))
		}
		now = s.LookAt
	}
}

func TestLooksMakeASuspicion(t *testing.T) {
	t.Parallel()
	day := 24 * 60.0
	tests := []struct {
		name          string
		looks         []float64 // in minutes after noon
		since, lookAt float64
		want          int
	}{
		{"the first look starts it", []float64{0}, 0, 1, 1},
		{"looks under way together are one", []float64{0, 0, 0.5, 0.999}, 0, 1, 1},
		{"a look that began before the first and came in after it is the same", []float64{0, -0.5}, 0, 1, 1},
		{"gateways whose clocks differ look together", []float64{0, -29}, 0, 1, 1},
		{"a look when it is time counts", []float64{0, 1}, 0, 3, 2},
		{"looks under way together later are one, too", []float64{0, 1, 1, 2.9}, 0, 3, 2},
		{"a late look leaves out those that it makes needless", []float64{0, 4}, 0, 10, 2},
		{"a look at the time of a later one leaves that out", []float64{0, 3}, 0, 10, 2},
		{"once the first looks are over, the next look is half an hour later", []float64{0, 25}, 0, 55, 2},
		{"a look days later counts", []float64{0, 6 * day}, 0, 6*day + 30, 2},
		{"a look a week too late starts from scratch", []float64{0, 1, 3 + 7*day}, 3 + 7*day, 4 + 7*day, 1},
		{"a look a little earlier does not", []float64{0, 1, 2.9 + 7*day}, 0, 32.9 + 7*day, 3},
		{"a clock that starts in 1970 makes no suspicion of decades", []float64{-56 * 365 * day, 0}, 0, 1, 1},
		{"a clock that ran ahead keeps nobody waiting", []float64{365 * day, 0}, 0, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := looked(tt.looks...)
			if !s.Since.Equal(at(60*tt.since)) || !s.LookAt.Equal(at(60*tt.lookAt)) || s.Looks != tt.want || !s.Suspected() {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestASuspicionIsProvedByTheHostOrByTime(t *testing.T) {
	t.Parallel()
	var never time.Time
	minutes := func(m float64) time.Time { return at(60 * m) }
	tests := []struct {
		name          string
		s             Suspicion
		at, delivered time.Time
		want          bool
	}{
		{"without a suspicion nothing is proved", Suspicion{}, minutes(10), minutes(5), false},
		{"the first look proves nothing", looked(0), noon, minutes(-1), false},
		{"10 minutes, and the host took another device's push in between", looked(0, 1, 3, 10), minutes(10), minutes(5), true},
		{"just below 10 minutes", looked(0, 1, 3), minutes(9.999), minutes(5), false},
		{"10 minutes with two looks", looked(0, 10), minutes(10), minutes(5), true},
		{"the host took nothing", looked(0, 1, 3, 10), minutes(10), never, false},
		{"the host took its last push before the first look", looked(0, 1, 3, 10), minutes(10), minutes(-0.001), false},
		{"the host took its last push at the first look", looked(0, 1, 3, 10), minutes(10), noon, false},
		{"the host took a push just after the first look", looked(0, 1, 3, 10), minutes(10), minutes(0.001), true},
		{"the host took a push when the look began", looked(0, 1, 3, 10), minutes(10), minutes(10), true},
		{"the host took its first push after the look began, as at the end of a restart", looked(0, 1, 3, 10), minutes(10), minutes(10.001), false},
		{"the whole host is missing for 30 minutes", looked(0, 1, 3, 10), minutes(30), minutes(-1), false},
		{"it has lasted 24 h with many looks", lookedUntil(24), minutes(24 * 60), never, true},
		{"it has lasted just below 24 h", lookedUntil(24), minutes(24*60 - 0.001), never, false},
		{"it has lasted 24 h with three looks", looked(0, 12*60, 24*60), minutes(24 * 60), never, true},
		{"it has lasted 24 h with two looks", looked(0, 24*60), minutes(24 * 60), never, false},
		{"it has lasted 24 h with two looks that were under way together with others", looked(0, 0.5, 24*60, 24*60), minutes(24 * 60), never, false},
		{"the host's other pushes are from before it, and it has lasted", lookedUntil(24), minutes(24 * 60), minutes(-1), true},
		{"a clock that was set forward proves nothing", looked(-56*365*24*60, 0), noon, minutes(-1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.s.Proved(tt.at, tt.delivered); got != tt.want {
				t.Errorf("Proved = %v, want %v (%+v)", got, tt.want, tt.s)
			}
		})
	}
}

func TestASuspicionWaitsUntilItIsTimeToLook(t *testing.T) {
	t.Parallel()
	lookAt := uint32(noon.Unix())
	tests := []struct {
		name string
		m    Mark
		now  time.Time
		want bool
	}{
		{"what is not suspected does not wait", Mark{Condemned: lookAt, ProbeAt: lookAt}, at(-10), false},
		{"before it is time", Mark{LookAt: lookAt}, at(-0.001), true},
		{"half an hour before", Mark{LookAt: lookAt}, at(-30 * 60), true},
		{"when it is time", Mark{LookAt: lookAt}, noon, false},
		{"afterwards", Mark{LookAt: lookAt}, at(1), false},
		{"a time that is further away than any look keeps nobody waiting", Mark{LookAt: lookAt}, at(-30*60 - 2), false},
		{"nor does the last second there is", Mark{LookAt: maxSecond}, noon, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.m.Waits(tt.now); got != tt.want {
				t.Errorf("Waits = %v, want %v", got, tt.want)
			}
		})
	}
	for looks := range 10 {
		s := lookedUntil(float64(looks) / 10)
		m := Record{Suspicion: s}.Mark()
		if m.Waits(s.LookAt.Add(time.Second)) || !m.Waits(s.LookAt.Add(-time.Millisecond)) {
			t.Errorf("%+v is not looked at when it is time", s)
		}
	}
}

func TestASuspicionStandsBesideVerdicts(t *testing.T) {
	t.Parallel()
	dead := Verdict{App: "app", Reason: "gone", PushkeyTS: ms(-10), Since: at(-20), At: noon}
	look := func(minutes float64) Verdict {
		return Verdict{App: "other", Reason: "not_found", PushkeyTS: ms(-5), Since: at(-5), At: at(60 * minutes)}
	}
	verdict := Record{}.Add(dead)
	tests := []struct {
		name string
		got  Record
		want Record
	}{
		{
			"a look starts a record that condemns nothing", Record{}.Suspect(look(0)).Suspect(look(1)),
			Record{App: "other", Reason: "not_found", FirstSeen: noon, LastSeen: at(60), Suspicion: looked(0, 1)},
		},
		{
			"a look at the same time is seen", Record{}.Suspect(look(0)).Suspect(look(0.5)),
			Record{App: "other", Reason: "not_found", FirstSeen: noon, LastSeen: at(30), Suspicion: looked(0)},
		},
		{
			"a suspicion from scratch is first seen then", Record{}.Suspect(look(-1e6)).Suspect(look(0)),
			Record{App: "other", Reason: "not_found", FirstSeen: noon, LastSeen: noon, Suspicion: looked(0)},
		},
		{
			"a look leaves verdicts as they are", verdict.Suspect(look(1)),
			Record{
				App: "app", Reason: "gone", Condemned: ms(-10), Since: ms(-20), FirstSeen: noon, LastSeen: at(60), ProbeAt: verdict.ProbeAt,
				Verdicts: 1, Suspicion: looked(1),
			},
		},
		{
			"a verdict ends it", verdict.Suspect(look(1)).Add(Verdict{App: "app", Reason: "gone", At: at(60)}),
			Record{
				App: "app", Reason: "gone", Condemned: ms(-10), Since: ms(-20), FirstSeen: noon, LastSeen: at(60), ProbeAt: verdict.ProbeAt,
				Verdicts: 1,
			},
		},
		{
			"a first verdict ends it and is first seen itself", Record{}.Suspect(look(-30)).Add(dead),
			verdict,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.got; !got.FirstSeen.Equal(tt.want.FirstSeen) || !got.LastSeen.Equal(tt.want.LastSeen) ||
				got.Suspicion != tt.want.Suspicion || got.Mark() != tt.want.Mark() || got.App != tt.want.App || got.Reason != tt.want.Reason ||
				got.Verdicts != tt.want.Verdicts || got.Condemned != tt.want.Condemned || got.Since != tt.want.Since {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestAnAcquittalLeavesVerdicts(t *testing.T) {
	t.Parallel()
	look, dead := Verdict{Reason: "not_found", At: noon}, Verdict{Reason: "gone", PushkeyTS: ms(-10), At: noon}
	tests := []struct {
		name string
		r    Record
		want Record
		some bool
	}{
		{"nothing is left of nothing", Record{}, Record{}, false},
		{"nothing is left of a suspicion", Record{}.Suspect(look), Record{}, false},
		{"verdicts are left", Record{}.Add(dead).Suspect(look), Record{}.Add(dead), true},
		{"verdicts without a suspicion are left", Record{}.Add(dead), Record{}.Add(dead), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			left, some := tt.r.Acquit()
			if some != tt.some || some && left != tt.want || left.Suspicion.Suspected() {
				t.Errorf("got %+v, %v; want %+v, %v", left, some, tt.want, tt.some)
			}
		})
	}
}

func TestASuspicionRejectsNobody(t *testing.T) {
	t.Parallel()
	m := Record{}.Suspect(Verdict{Reason: "not_found", PushkeyTS: ms(0), Since: at(0), At: noon}).Mark()
	for _, ts := range []int64{0, 1, ms(-10), ms(0), ms(10)} {
		for _, now := range []time.Time{at(-10), noon, at(59), at(3600)} {
			if m.Rejects(ts, now) {
				t.Errorf("pushkey_ts %d is rejected at %v", ts, now)
			}
		}
	}
}
