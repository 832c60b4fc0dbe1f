package rejectedtest

import (
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// expectLook looks at a key, and expects the new record everywhere.
func (f *fixture) expectLook(k rejected.Key, before rejected.Record) (after rejected.Record) {
	f.Helper()
	after = before.Suspect(f.look())
	if got := f.suspect(k); !sameSuspicion(got, after.Suspicion) {
		f.Errorf("Suspect returns\n     %+v\nwant %+v", got, after.Suspicion)
	}
	f.expectRecord(k, after)
	f.expectMark(k, after)
	return after
}

func suspected(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.expectLook(keyA, rejected.Record{})
	for _, pushkeyTS := range []int64{0, 1, ts(-1000), ts(0), ts(1000), ts(2000)} {
		f.expect(keyA, pushkeyTS, false)
	}
	f.expectGone(keyB)
	f.expectGone(keyC)
	if r := f.get(keyA); r.Verdicts != 0 || r.Condemned != 0 || r.Since != 0 || !r.ProbeAt.IsZero() {
		t.Errorf("a mere suspicion condemns: %+v", r)
	}
}

func looks(t *testing.T, h Harness) {
	f := newFixture(t, h)
	var r rejected.Record
	for _, after := range []time.Duration{0, 59 * time.Second, time.Second, time.Second, 119 * time.Second, 7 * time.Minute, 8 * time.Hour} {
		f.elapse(after)
		r = f.expectLook(keyA, r)
	}
	if r.Suspicion.Looks != 5 || !r.Suspicion.Since.Equal(newClock().now) {
		t.Errorf("the looks gave %+v", r.Suspicion)
	}
}

func suspectedBesideVerdicts(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(-10)))
	dead := rejected.Record{}.Add(f.verdict(ts(-10)))
	f.elapse(time.Minute)
	f.expectLook(keyA, dead)
	f.expect(keyA, ts(-10), true)
	f.expect(keyA, ts(-9), false)
	f.expect(keyA, 0, true)
	f.acquit(keyA)
	dead.LastSeen = f.clock.Now()
	f.expectRecord(keyA, dead)
	f.expectMark(keyA, dead)
	f.expectLook(keyA, dead)
	f.forget(keyA)
	f.expectGone(keyA)
}

func verdictEndsSuspicion(t *testing.T, h Harness) {
	f := newFixture(t, h)
	r := f.expectLook(keyA, rejected.Record{})
	f.elapse(time.Hour)
	v := f.verdict(ts(-10))
	f.reject(keyA, v)
	r = r.Add(v)
	f.expectRecord(keyA, r)
	f.expectMark(keyA, r)
	f.expectLook(keyA, r) // starts from scratch
}

func acquittal(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.acquit(keyA) // of nothing
	f.expectGone(keyA)

	f.expectLook(keyA, rejected.Record{})
	f.suspect(keyB)
	f.elapse(time.Hour)
	f.acquit(keyA)
	f.expectGone(keyA)
	f.acquit(keyA) // once more
	f.expectGone(keyA)
	f.expectLook(keyA, rejected.Record{}) // nothing of the old one is left
	if r := f.get(keyB); r.Suspicion.Looks != 1 {
		t.Errorf("another pushkey's suspicion is %+v", r.Suspicion)
	}

	v := f.verdict(ts(-10))
	f.reject(keyC, v)
	f.acquit(keyC) // of verdicts only
	f.expectRecord(keyC, rejected.Record{}.Add(v))
	f.expect(keyC, ts(-10), true)
}

func suspicionExpires(t *testing.T, h Harness) {
	f := newFixture(t, h)
	for _, k := range []rejected.Key{keyA, keyB, keyC} {
		f.suspect(k)
	}
	f.elapse(h.Expire - time.Minute)
	f.get(keyA)
	f.suspect(keyB) // a look counts as seeing it
	f.lookup(keyC)
	f.elapse(2 * time.Minute)
	f.expectGone(keyA)
	f.acquit(keyA)
	f.expectGone(keyA)
	for _, k := range []rejected.Key{keyB, keyC} {
		if r := f.get(k); !r.Suspicion.Suspected() {
			t.Errorf("a recently seen record is %+v", r)
		}
	}
}

func suspicionAfterExpiry(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.suspect(keyA)
	f.reject(keyB, f.verdict(ts(0)))
	f.clock.add(h.Expire + time.Minute) // the store does not notice
	f.expectLook(keyA, rejected.Record{})
	f.expectLook(keyB, rejected.Record{}) // nothing of a verdict that expired comes back
	f.expect(keyB, ts(0), false)
}

func suspicionListed(t *testing.T, h Harness) {
	l := newLister(t, h)
	l.suspect(keyA)
	l.reject(keyB, l.verdict(ts(0)))
	l.suspect(keyB)
	l.reject(keyC, l.verdict(ts(0)))
	l.expectOnce(rejected.Query{}, keyA, keyB, keyC)
	l.expectOnce(rejected.Query{Prefix: keyA.String()[:5]}, keyA)
	l.expectLen(3)
	page, _ := l.page(rejected.Query{})
	for _, e := range page {
		if want := l.get(e.Key); !sameRecord(e.Record, want) {
			t.Errorf("the record differs from that of Get\n got %+v\nwant %+v", e.Record, want)
		}
	}
	for _, k := range []rejected.Key{keyA, keyB, keyC} {
		l.acquit(k)
	}
	l.expectOnce(rejected.Query{}, keyB, keyC)
	l.expectLen(2)
}

func restartWithSuspicion(t *testing.T, h Harness) {
	f := newFixture(t, h)
	r := f.expectLook(keyA, rejected.Record{})
	v := f.verdict(ts(-10))
	f.reject(keyB, v)
	beside := f.expectLook(keyB, rejected.Record{}.Add(v))
	f.suspect(keyC)
	f.acquit(keyC)
	f.elapse(3 * time.Minute)
	f.reopen()
	f.expectRecord(keyA, r)
	f.expectMark(keyA, r)
	f.expectLook(keyA, r) // goes on
	f.expectRecord(keyB, beside)
	f.expectMark(keyB, beside)
	f.expectGone(keyC)
	f.acquit(keyA)
	f.acquit(keyB)
	f.reopen()
	f.expectGone(keyA)
	f.expect(keyB, ts(-10), true)
	if r := f.get(keyB); r.Suspicion.Suspected() {
		t.Errorf("after an acquittal and a restart: %+v", r)
	}
}

func witness(t *testing.T, h Harness) {
	f := newFixture(t, h)
	w, ok := f.s.(rejected.Witness)
	if !ok {
		t.Skip("the store is not a rejected.Witness")
	}
	expect := func(host rejected.Key, want time.Time) {
		t.Helper()
		got, err := w.LastDelivered(t.Context(), host)
		if err != nil || got.IsZero() != want.IsZero() || got.UnixMilli() != want.UnixMilli() {
			t.Errorf("last delivered %v, %v; want %v", got, err, want)
		}
	}
	deliver := func(host rejected.Key, at time.Time) {
		t.Helper()
		if err := w.Delivered(t.Context(), host, at); err != nil {
			t.Errorf("Delivered: %v", err)
		}
	}
	now := f.clock.Now()
	expect(keyA, time.Time{})
	deliver(keyA, now)
	expect(keyA, now)
	expect(keyB, time.Time{})
	deliver(keyA, now.Add(-time.Minute)) // an older one changes nothing
	expect(keyA, now)
	deliver(keyA, now.Add(time.Minute))
	expect(keyA, now.Add(time.Minute))
	f.expectGone(keyA) // a host is not a pushkey
	if l, ok := f.s.(rejected.Lister); ok {
		(&lister{f, l}).expectOnce(rejected.Query{})
	}
	f.forget(keyA)
	expect(keyA, now.Add(time.Minute))
}
