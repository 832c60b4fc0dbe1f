package rejectedtest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// fixture is a store under test, with its clock and the helpers of the subtests.
type fixture struct {
	*testing.T
	h     Harness
	s     rejected.Store
	clock *clock
}

func newFixture(t *testing.T, h Harness) *fixture {
	t.Helper()
	c := newClock()
	return &fixture{T: t, h: h, s: h.New(t, c.Now), clock: c}
}

var (
	keyA = rejected.KeyOf("org.example.app", "a")
	keyB = rejected.KeyOf("org.example.app", "b")
	keyC = rejected.KeyOf("org.example.other", "a")
)

// ts returns a pushkey_ts some seconds from the time at which every subtest starts.
func ts(seconds int64) int64 { return newClock().now.UnixMilli() + seconds*1000 }

func (f *fixture) verdict(pushkeyTS int64) rejected.Verdict {
	return rejected.Verdict{App: "org.example.*", Reason: "gone", PushkeyTS: pushkeyTS, At: f.clock.Now()}
}

func (f *fixture) reject(k rejected.Key, v rejected.Verdict) {
	f.Helper()
	if err := f.s.Reject(f.Context(), k, v); err != nil {
		f.Fatalf("Reject: %v", err)
	}
}

// look returns what a look at a key learns now. It has all that a verdict has, but must not condemn.
func (f *fixture) look() rejected.Verdict {
	v := f.verdict(ts(1000))
	v.Reason, v.Since = "not_found", time.UnixMilli(ts(1000))
	return v
}

func (f *fixture) suspect(k rejected.Key) rejected.Suspicion {
	f.Helper()
	s, err := f.s.Suspect(f.Context(), k, f.look())
	if err != nil {
		f.Fatalf("Suspect: %v", err)
	}
	return s
}

func (f *fixture) acquit(k rejected.Key) {
	f.Helper()
	if err := f.s.Acquit(f.Context(), k); err != nil {
		f.Fatalf("Acquit: %v", err)
	}
}

func (f *fixture) forget(k rejected.Key) {
	f.Helper()
	if err := f.s.Forget(f.Context(), k); err != nil {
		f.Fatalf("Forget: %v", err)
	}
}

func (f *fixture) lookup(keys ...rejected.Key) []rejected.Mark {
	f.Helper()
	marks := make([]rejected.Mark, len(keys))
	if err := f.s.Lookup(f.Context(), keys, marks); err != nil {
		f.Fatalf("Lookup: %v", err)
	}
	f.promptly(keys, marks)
	return marks
}

// promptly checks that a store which can answer at once gives the same answer.
func (f *fixture) promptly(keys []rejected.Key, marks []rejected.Mark) {
	f.Helper()
	prompt, ok := f.s.(rejected.Prompt)
	if !ok {
		return
	}
	now := make([]rejected.Mark, len(keys))
	for i := range now {
		now[i] = rejected.Mark{Condemned: 1, ProbeAt: 1, LookAt: 1} // LookupNow must overwrite it
	}
	if prompt.LookupNow(keys, now) && !slices.Equal(now, marks) {
		f.Fatalf("LookupNow: %v, but Lookup: %v", now, marks)
	}
}

// mark is lookup for use in a goroutine.
func (f *fixture) mark(k rejected.Key) rejected.Mark {
	marks := make([]rejected.Mark, 1)
	if err := f.s.Lookup(f.Context(), []rejected.Key{k}, marks); err != nil {
		f.Errorf("Lookup: %v", err)
	}
	return marks[0]
}

func (f *fixture) get(k rejected.Key) rejected.Record {
	f.Helper()
	r, err := f.s.Get(f.Context(), k)
	if err != nil {
		f.Fatalf("Get: %v", err)
	}
	return r
}

// elapse sets the clock forward and lets the store notice.
func (f *fixture) elapse(d time.Duration) {
	f.Helper()
	f.clock.add(d)
	if f.h.Elapsed != nil {
		f.h.Elapsed(f.T, f.s, d)
	}
}

func (f *fixture) reopen() {
	f.Helper()
	f.s = f.h.Reopen(f.T, f.s)
}

// expect checks whether a request for the key with this pushkey_ts is rejected now.
func (f *fixture) expect(k rejected.Key, pushkeyTS int64, want bool) {
	f.Helper()
	if got := f.lookup(k)[0].Rejects(pushkeyTS, f.clock.Now()); got != want {
		f.Errorf("a request with pushkey_ts %d is rejected: %v, want %v", pushkeyTS, got, want)
	}
}

// expectRecord compares in milliseconds, the precision that a store must keep.
func (f *fixture) expectRecord(k rejected.Key, want rejected.Record) {
	f.Helper()
	got := f.get(k)
	if !sameRecord(got, want) {
		f.Errorf("the record differs\n got %+v\nwant %+v", got, want)
	}
}

// expectMark looks a record up, which counts as seeing it, and expects its mark.
func (f *fixture) expectMark(k rejected.Key, want rejected.Record) {
	f.Helper()
	if got := f.lookup(k)[0]; got != want.Mark() {
		f.Errorf("the mark differs\n got %+v\nwant %+v", got, want.Mark())
	}
}

func sameRecord(got, want rejected.Record) bool {
	return got.App == want.App && got.Reason == want.Reason && got.Condemned == want.Condemned && got.Since == want.Since &&
		got.FirstSeen.UnixMilli() == want.FirstSeen.UnixMilli() && got.LastSeen.UnixMilli() == want.LastSeen.UnixMilli() &&
		got.ProbeAt.UnixMilli() == want.ProbeAt.UnixMilli() && got.Verdicts == want.Verdicts && sameSuspicion(got.Suspicion, want.Suspicion)
}

func sameSuspicion(got, want rejected.Suspicion) bool {
	return got.Suspected() == want.Suspected() && got.Since.UnixMilli() == want.Since.UnixMilli() && got.Looks == want.Looks &&
		got.LookAt.UnixMilli() == want.LookAt.UnixMilli()
}

func (f *fixture) expectGone(k rejected.Key) {
	f.Helper()
	if m := f.lookup(k)[0]; m != (rejected.Mark{}) {
		f.Errorf("Lookup: mark %+v, want the zero mark", m)
	}
	if _, err := f.s.Get(f.Context(), k); !errors.Is(err, rejected.ErrNotFound) {
		f.Errorf("Get: error %v, want ErrNotFound", err)
	}
}

// expectNotOpen makes every call to a store that is not open.
func (f *fixture) expectNotOpen() {
	f.Helper()
	marks := []rejected.Mark{{Condemned: 1, ProbeAt: 1}}
	err := f.s.Lookup(f.Context(), []rejected.Key{keyA}, marks)
	f.wantNotOpen("Lookup", err)
	if marks[0] != (rejected.Mark{}) {
		f.Errorf("Lookup: mark %+v together with an error, want the zero mark", marks[0])
	}
	f.wantNotOpen("Reject", f.s.Reject(f.Context(), keyA, f.verdict(0)))
	suspicion, err := f.s.Suspect(f.Context(), keyA, f.look())
	f.wantNotOpen("Suspect", err)
	if suspicion.Suspected() {
		f.Errorf("Suspect: %+v together with an error", suspicion)
	}
	f.wantNotOpen("Acquit", f.s.Acquit(f.Context(), keyA))
	_, err = f.s.Get(f.Context(), keyA)
	f.wantNotOpen("Get", err)
	f.wantNotOpen("Forget", f.s.Forget(f.Context(), keyA))
	if w, ok := f.s.(rejected.Witness); ok {
		f.wantNotOpen("Delivered", w.Delivered(f.Context(), keyA, f.clock.Now()))
		_, err := w.LastDelivered(f.Context(), keyA)
		f.wantNotOpen("LastDelivered", err)
	}
	if m, ok := f.s.(rejected.Migrator); ok {
		_, err := m.Migrated(f.Context(), "a change")
		f.wantNotOpen("Migrated", err)
		f.wantNotOpen("NoteMigrated", m.NoteMigrated(f.Context(), "a change"))
	}
	if l, ok := f.s.(rejected.Lister); ok {
		page, next, err := l.List(f.Context(), rejected.Query{})
		f.wantNotOpen("List", err)
		if len(page) > 0 || next != "" {
			f.Errorf("List: %v and the cursor %q together with an error", page, next)
		}
	}
}

func (f *fixture) wantNotOpen(op string, err error) {
	f.Helper()
	if !errors.Is(err, rejected.ErrNotOpen) {
		f.Errorf("%s: error %v, want ErrNotOpen", op, err)
	}
}
