package limit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// line has parties wait for a slot, one after the other. It notes the order in which they get it or are turned away.
type line struct {
	t    *testing.T
	fair *Fair
	mu   sync.Mutex
	got  []string
	away []string
}

func (l *line) wait(name string, p Party) {
	go func() {
		slot, err := l.fair.Acquire(l.t.Context(), p)
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil {
			l.away = append(l.away, name)
			return
		}
		l.got = append(l.got, name)
		go func() {
			time.Sleep(time.Second)
			slot.Release()
		}()
	}()
	synctest.Wait()
}

// inLine tests a limiter whose slots are all taken for a second.
func inLine(t *testing.T, running, waiting int, test func(t *testing.T, l *line)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{t: t, fair: NewFair(running, waiting)}
		for i := range running {
			l.wait("holder", Party{Host: fmt.Sprint("holder", i), Group: fmt.Sprint("holder", i)})
		}
		l.mu.Lock()
		l.got = nil
		l.mu.Unlock()
		test(t, l)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(l.fair.known.groups)+len(l.fair.strange.groups) > 0 || l.fair.running > 0 || l.fair.known.waiting+l.fair.strange.waiting > 0 {
			t.Errorf("what has ended is remembered: %+v", l.fair)
		}
	})
}

func (l *line) wantGot(want ...string)  { l.t.Helper(); l.want(&l.got, want) }
func (l *line) wantAway(want ...string) { l.t.Helper(); l.want(&l.away, want) }

func (l *line) want(names *[]string, want []string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if fmt.Sprint(*names) != fmt.Sprint(want) {
		l.t.Errorf("got %v, want %v", *names, want)
	}
}

// try takes a slot if one is free.
func try(f *Fair, p Party) (Slot, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return f.Acquire(ctx, p)
}

func TestGroupsHaveTheirTurnsAndSoHaveTheirHosts(t *testing.T) {
	inLine(t, 1, 100, func(_ *testing.T, l *line) {
		for i := range 3 {
			l.wait(fmt.Sprint("many", i), Party{Host: fmt.Sprint("a", i), Group: "many"})
		}
		l.wait("many again", Party{Host: "a0", Group: "many"})
		l.wait("few", Party{Host: "few", Group: "few"})
		time.Sleep(10 * time.Second)
		l.wantGot("many0", "few", "many1", "many2", "many again")
	})
}

func TestWhoWasDeliveredToGoesFirstAtItsHost(t *testing.T) {
	inLine(t, 1, 100, func(_ *testing.T, l *line) {
		for i := range 3 {
			l.wait(fmt.Sprint("new", i), Party{Host: "h", Group: "g"})
		}
		l.wait("old", Party{Host: "h", Group: "g", First: true})
		time.Sleep(10 * time.Second)
		l.wantGot("old", "new0", "new1", "new2")
	})
}

func TestStrangersShareAnEighthOfTheSlots(t *testing.T) {
	t.Parallel()
	f := NewFair(64, 0)
	in := 0
	for i := range 1000 {
		if _, err := try(f, Party{Host: fmt.Sprint(i), Group: fmt.Sprint(i), Stranger: true}); err == nil {
			in++
		}
	}
	if in != 8 {
		t.Errorf("%d strangers are in, want 8", in)
	}
	if _, err := try(f, Party{Host: "h", Group: "g"}); err != nil {
		t.Errorf("one who is known gets %v", err)
	}
}

func TestAGroupHasHalfOfTheSlotsAndAHost64And16MoreForTheFirst(t *testing.T) {
	t.Parallel()
	f := NewFair(512, 0)
	count := func(n int, party func(i int) Party) (in int) {
		for i := range n {
			if _, err := try(f, party(i)); err == nil {
				in++
			}
		}
		return in
	}
	if in := count(512, func(int) Party { return Party{Host: "one", Group: "one"} }); in != 64 {
		t.Errorf("a host has %d", in)
	}
	if in := count(512, func(int) Party { return Party{Host: "one", Group: "one", First: true} }); in != 16 {
		t.Errorf("a host has %d more for those that go first", in)
	}
	if in := count(512, func(i int) Party { return Party{Host: fmt.Sprint(i), Group: "many", First: true} }); in != 256 {
		t.Errorf("a group has %d", in)
	}
	if in := count(512, func(int) Party { return Party{First: true} }); in != 512-256-80 {
		t.Errorf("what all goes to one place has %d", in)
	}
}

func TestNobodyGoesPastOneInLine(t *testing.T) {
	inLine(t, 1, 100, func(t *testing.T, l *line) {
		l.wait("first", Party{Host: "h", Group: "g"})
		if _, err := try(l.fair, Party{Host: "h", Group: "g"}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		l.wantGot()
	})
}

func TestWhenThereIsNoPlaceTheGroupWithMostGivesOneUp(t *testing.T) {
	inLine(t, 1, 4, func(_ *testing.T, l *line) {
		for i := range 4 {
			l.wait(fmt.Sprint("many", i), Party{Host: fmt.Sprint("a", i/2), Group: "many"})
		}
		l.wait("many4", Party{Host: "a0", Group: "many"}) // its own group has the most
		l.wait("few0", Party{Host: "few", Group: "few"})
		l.wait("few1", Party{Host: "few", Group: "few"})
		l.wait("few2", Party{Host: "few", Group: "few"}) // would have more
		l.wantAway("many4", "many1", "many3", "few2")
		time.Sleep(10 * time.Second)
		l.wantGot("many0", "few0", "many2", "few1")
	})
}

func TestAStrangersPlaceIsForWhoIsKnown(t *testing.T) {
	inLine(t, 1, 8, func(_ *testing.T, l *line) {
		for i := range 4 { // two of eight places are the strangers'
			l.wait(fmt.Sprint("stranger", i), Party{Host: "s" + fmt.Sprint(i), Group: "s" + fmt.Sprint(i), Stranger: true})
		}
		l.wantAway("stranger2", "stranger3")
		for i := range 8 {
			l.wait(fmt.Sprint("known", i), Party{Host: "h", Group: "g"})
		}
		l.wantAway("stranger2", "stranger3", "stranger0", "stranger1")
	})
}

func TestWhoWasDeliveredToKeepsItsPlace(t *testing.T) {
	inLine(t, 1, 3, func(_ *testing.T, l *line) {
		for i := range 3 {
			l.wait(fmt.Sprint("old", i), Party{Host: "h", Group: "g", First: true})
		}
		l.wait("new", Party{Host: "other", Group: "other"})
		l.wantAway("new")
		l.wait("other old", Party{Host: "other", Group: "other", First: true})
		l.wantAway("new", "old2")
	})
}

func TestOneThatGoesFirstTakesAPlaceOfItsOwnHost(t *testing.T) {
	inLine(t, 1, 2, func(_ *testing.T, l *line) {
		l.wait("new0", Party{Host: "h", Group: "g"})
		l.wait("new1", Party{Host: "h", Group: "g"})
		l.wait("old", Party{Host: "h", Group: "g", First: true})
		l.wantAway("new1")
		time.Sleep(10 * time.Second)
		l.wantGot("old", "new0")
	})
}

func TestTheOnlyOneOfAHostGivesItsPlaceToOneThatGoesFirst(t *testing.T) {
	inLine(t, 1, 1, func(_ *testing.T, l *line) {
		l.wait("new", Party{Host: "h", Group: "g"})
		l.wait("old", Party{Host: "h", Group: "g", First: true})
		l.wait("old again", Party{Host: "h", Group: "g", First: true})
		l.wantAway("new", "old again")
		time.Sleep(10 * time.Second)
		l.wantGot("old")
	})
}

func TestWhoGivesUpWaitingLeavesNothingBehind(t *testing.T) {
	inLine(t, 1, 1, func(t *testing.T, l *line) {
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if _, err := l.fair.Acquire(ctx, Party{Host: "h", Group: "g"}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
	})
}

func TestWhoeverWaitsIsLetInWhenMoreMayRunAndTheBoundStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{t: t, fair: NewFair(2, 6)}
		wait := func(n int) {
			for range n {
				l.wait("", Party{First: true})
			}
		}
		want := func(got, away int) {
			t.Helper()
			synctest.Wait()
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.got) != got || len(l.away) != away {
				t.Errorf("%d were let in and %d turned away, want %d and %d", len(l.got), len(l.away), got, away)
			}
		}
		wait(8)
		want(2, 0)
		l.fair.Resize(4)
		want(4, 0)
		l.fair.Resize(1000)
		want(8, 0)
		wait(1)
		want(8, 1)
		l.fair.Resize(0) // those that run keep their slots
		wait(1)
		want(8, 2)
		time.Sleep(time.Second) // all have left
		synctest.Wait()
		wait(8)
		want(10, 2)
		time.Sleep(time.Hour)
		want(16, 2)
	})
}

func TestGroupsAndStrangersGetNoMoreWhenMoreMayRun(t *testing.T) {
	t.Parallel()
	f := NewFair(64, 192)
	f.Resize(256)
	for _, test := range []struct {
		party Party
		want  int
	}{
		{Party{Host: "h", Group: "stranger", Stranger: true}, 8},
		{Party{Host: "h", Group: "g"}, 32},
		{Party{}, 256 - 8 - 32},
	} {
		in := 0
		for range 256 {
			if _, err := try(f, test.party); err == nil {
				in++
			}
		}
		if in != test.want {
			t.Errorf("%+v: %d are in, want %d", test.party, in, test.want)
		}
	}
	if f.Size() != 64 {
		t.Errorf("the size is %d", f.Size())
	}
}

// With everything at random, no limit is ever exceeded, every waiter gets an answer, and nothing is left.
func TestTheBoundsHoldWhateverHappens(t *testing.T) {
	t.Parallel()
	const base, running, waiting = 16, 32, 64
	f := NewFair(base, waiting+base)
	var in, strangers, most, mostStrangers, mostHeld atomic.Int64
	note := func(n int64, most *atomic.Int64) {
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
	}
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 300 {
				p := Party{Host: fmt.Sprint(random.IntN(8)), Stranger: random.IntN(2) == 0, First: random.IntN(2) == 0}
				p.Group = fmt.Sprint(p.Host[0] % 3)
				f.Resize(random.IntN(running + 1))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(1000))*time.Microsecond)
				slot, err := f.Acquire(ctx, p)
				cancel()
				if err != nil {
					continue
				}
				note(in.Add(1), &most)
				note(f.held(), &mostHeld)
				if p.Stranger {
					note(strangers.Add(1), &mostStrangers)
					strangers.Add(-1)
				}
				in.Add(-1)
				slot.Release()
			}
		})
	}
	all.Wait()
	if most.Load() > running || mostStrangers.Load() > base/strangeSlots {
		t.Errorf("%d were in, %d of them strangers", most.Load(), mostStrangers.Load())
	}
	if mostHeld.Load() > base+waiting+base {
		t.Errorf("%d were in or waited", mostHeld.Load())
	}
	if len(f.known.groups)+len(f.strange.groups) > 0 || f.running > 0 || f.known.waiting+f.strange.waiting > 0 {
		t.Errorf("what has ended is remembered: %+v", f)
	}
}

// held returns how many run and wait.
func (f *Fair) held() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(f.running + f.known.waiting + f.strange.waiting)
}

// Waiters that their host holds back count for the bound of those that run and wait, and so do the others that may run.
func TestAResizedLimiterHoldsNoMoreThanBefore(t *testing.T) {
	t.Parallel()
	f := NewFair(2, 6)
	f.Resize(8)
	busy := Party{Host: "busy", Group: "busy"} // which has one slot, half of two
	slots := []Slot{}
	take := func(p Party) error {
		slot, err := try(f, p)
		if err == nil {
			slots = append(slots, slot)
		}
		return err
	}
	if err := take(busy); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 4 {
		waiting.Go(func() { _, _ = f.Acquire(ctx, busy) })
	}
	for f.held() < 5 {
		runtime.Gosched()
	}
	for i := range 3 {
		if err := take(Party{Host: fmt.Sprint("other", i), Group: fmt.Sprint("other", i)}); err != nil {
			t.Errorf("party %d: %v", i, err)
		}
	}
	if err := take(Party{Host: "last", Group: "last"}); err == nil || f.held() > 8 {
		t.Errorf("%d run or wait, want 8", f.held())
	}
	cancel()
	waiting.Wait()
	for _, s := range slots {
		s.Release()
	}
}
