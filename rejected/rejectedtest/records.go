package rejectedtest

import (
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func unknownKey(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.expectGone(keyA)
	f.expect(keyA, ts(0), false)
	f.expect(keyA, 0, false)
}

func everyRequest(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(-10)))
	for range 5 {
		f.expect(keyA, ts(-10), true)
		f.expect(keyA, ts(-11), true)
		f.expect(keyA, 0, true)
		f.elapse(time.Minute)
	}
}

func scope(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(-10)))
	f.expect(keyA, ts(-10), true)
	f.expectGone(keyB)
	f.expectGone(keyC)
}

func newerPushkeyTS(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(-10)))
	f.expect(keyA, ts(-9), false)
	f.expect(keyA, ts(-10), true) // another homeserver may hold the stale registration
	f.reject(keyA, f.verdict(ts(-9)))
	f.expect(keyA, ts(-9), true)
	f.expect(keyA, ts(-8), false)
}

func probing(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(0))
	f.expect(keyA, ts(-10), false)
	for _, interval := range []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour} {
		f.elapse(interval - time.Second)
		f.expect(keyA, 0, true)
		f.elapse(time.Second)
		f.expect(keyA, 0, false)
		f.reject(keyA, f.verdict(0))
		f.expect(keyA, 0, true)
	}
}

func timeOfDeath(t *testing.T, h Harness) {
	f := newFixture(t, h)
	v := f.verdict(0)
	v.Since = time.UnixMilli(ts(-5))
	f.reject(keyA, v)
	f.expect(keyA, ts(-6), true)
	f.expect(keyA, ts(-5), false)
}

func merge(t *testing.T, h Harness) {
	f := newFixture(t, h)
	var want rejected.Record
	add := func(v rejected.Verdict) {
		t.Helper()
		f.reject(keyA, v)
		want = want.Add(v)
		f.expectRecord(keyA, want)
	}
	add(rejected.Verdict{Reason: "gone", PushkeyTS: ts(-10), At: f.clock.Now()})
	f.elapse(time.Second)
	add(rejected.Verdict{App: "org.example.app", Reason: "unregistered", PushkeyTS: ts(-20), Since: time.UnixMilli(ts(-30)), At: f.clock.Now()})
	f.elapse(2 * time.Hour)
	add(rejected.Verdict{App: "*", Reason: "gone", PushkeyTS: ts(10), Since: time.UnixMilli(ts(-40)), At: f.clock.Now()})
	f.elapse(time.Second)
	add(rejected.Verdict{Reason: "gone", At: f.clock.Now()})
	if want.Verdicts != 2 || want.Condemned != ts(10) {
		t.Errorf("the record is %+v", want)
	}
}

func forget(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	f.reject(keyB, f.verdict(ts(0)))
	f.forget(keyA)
	f.expectGone(keyA)
	f.expect(keyB, ts(0), true)
	f.forget(keyA) // nothing to forget is not an error

	f.reject(keyA, f.verdict(ts(-10)))
	f.expect(keyA, ts(-10), true)
	f.expect(keyA, ts(0), false) // nothing of the old record is left
	f.expectRecord(keyA, rejected.Record{}.Add(f.verdict(ts(-10))))
}

func order(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(1)))
	f.reject(keyC, f.verdict(ts(3)))
	for _, keys := range [][]rejected.Key{{keyA, keyB, keyC}, {keyC, keyB, keyA}, {keyB, keyA, keyA, keyC}} {
		for i, m := range f.lookup(keys...) {
			want := map[rejected.Key]uint32{keyA: uint32(ts(1) / 1000), keyC: uint32(ts(3) / 1000)}[keys[i]]
			if m.Condemned != want {
				t.Errorf("mark %d of %v condemns %d, want %d", i, keys, m.Condemned, want)
			}
		}
	}
}

func overwrite(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	marks := []rejected.Mark{{Condemned: 7, ProbeAt: 7}, {Condemned: 8, ProbeAt: 8}}
	if err := f.s.Lookup(t.Context(), []rejected.Key{keyA, keyB}, marks); err != nil {
		t.Fatal(err)
	}
	if marks[0] == (rejected.Mark{Condemned: 7, ProbeAt: 7}) || marks[1] != (rejected.Mark{}) {
		t.Errorf("marks %+v", marks)
	}
}

func noKeys(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.lookup()
}
