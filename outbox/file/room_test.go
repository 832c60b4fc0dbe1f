package file

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// grouped returns the entry of a new device.
func grouped(group string, s outbox.Standing, id string) outbox.Entry {
	e := entry(id, id)
	e.Group, e.Standing = group, s
	return e
}

// checkRoom compares the room's counts with the entries.
func checkRoom(t *testing.T, x *index) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(app)
	var all bounds.Amount
	var of [outbox.Proven + 1]bounds.Amount
	has := make(map[string]bounds.Amount)
	idle := 0
	add := func(s outbox.Standing, group string, size int) {
		name := s.String() + " " + group
		a := has[name]
		for _, a := range []*bounds.Amount{&all, &of[s], &a} {
			a.Entries++
			a.Size += int64(size)
		}
		has[name] = a
	}
	for _, d := range q.devices {
		for _, it := range d.items {
			add(it.standing, it.group.Value(), it.size)
			if it.spot > 0 {
				idle++
			}
		}
		for _, a := range q.coming[d.key] {
			add(a.standing, a.group.Value(), a.size)
		}
	}
	if q.room.all != all || q.room.of != of {
		t.Errorf("counted are %v, %v; there are %v, %v", q.room.all, q.room.of, all, of)
	}
	crowds := 0
	for standing, byGroup := range q.room.crowds {
		ranked := 0
		for group, c := range byGroup {
			crowds++
			if name := outbox.Standing(standing).String() + " " + group.Value(); c.has != has[name] {
				t.Errorf("%s has %v, counted are %v", name, has[name], c.has)
			}
			idle -= len(c.idle)
			if len(c.idle) > 0 {
				ranked++
			}
		}
		for m := range measures {
			if outbox.Standing(standing) < outbox.Proven && q.room.ranks[standing][m].Len() != ranked {
				t.Errorf("%d groups are ranked, want %d", q.room.ranks[standing][m].Len(), ranked)
			}
		}
	}
	if crowds != len(has) || idle != 0 {
		t.Errorf("%d groups are counted, want %d; %d entries may be displaced but are not there", crowds, len(has), -idle)
	}
	if len(x.out) != 0 {
		t.Errorf("%d entries are still being displaced", len(x.out))
	}
}

func TestWhatMakesWayStaysWhenTheDiskIsFull(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 1})
	accept(t, b, grouped("a", outbox.Stranger, "old"))
	for range 2 {
		for _, err := range failing(t, b, func() error {
			refs, err := b.Accept(t.Context(), grouped("b", outbox.Guest, "new"))
			if len(refs) > 0 {
				t.Errorf("reported %v", refs)
			}
			return err
		}) {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Accept: error %v, want ENOSPC", err)
			}
		}
	}
	checkRoom(t, b.db.index)
	accept(t, b, grouped("a", outbox.Stranger, "old")) // it is there, and there is no grave
	if ids := drain(t, b); !slices.Equal(ids, []string{"old"}) {
		t.Errorf("it has %q", ids)
	}
	checkRoom(t, b.db.index)
}

// An entry that is settled or discarded while it is being displaced does not come back, even if the displacement fails.
func TestWhatIsDoneWithWhileItMakesWayDoesNotComeBack(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *Box) error{
		"settled":   func(b *Box) error { return b.Settle(context.Background(), ref("old", "old")) },
		"discarded": func(b *Box) error { return b.Discard(context.Background(), app, deviceOf("old"), 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 1})
				accept(t, b, grouped("a", outbox.Stranger, "old"))
				goOn := busy(t, b)
				failed := make(chan error, 2)
				go func() { failed <- tryAccept(context.Background(), b, grouped("b", outbox.Guest, "new")) }()
				synctest.Wait()
				ended := make(chan error, 1)
				go func() { ended <- end(b) }()
				go func() { failed <- b.db.writer.do(func(*bbolt.Tx) error { return syscall.ENOSPC }) }()
				synctest.Wait()
				goOn()
				for range 2 {
					if err := <-failed; !errors.Is(err, syscall.ENOSPC) {
						t.Errorf("error %v, want ENOSPC", err)
					}
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				time.Sleep(2 * noteDelay) // until the failed removal is repeated
				checkRoom(t, b.db.index)
				if n := keys(t, b, entryBucket); n != 0 {
					t.Errorf("%d entries are on disk", n)
				}
				if ids := drain(t, b); len(ids) != 0 {
					t.Errorf("it has %q", ids)
				}
			})
		})
	}
}

func TestAnEntryThatIsNotWantedAnyMoreDisplacesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 1})
		accept(t, b, grouped("a", outbox.Stranger, "old"))
		goOn := busy(t, b)
		accepted := make(chan error, 1)
		go func() { accepted <- tryAccept(context.Background(), b, grouped("b", outbox.Guest, "new")) }()
		synctest.Wait()
		settled := make(chan error, 1)
		go func() { settled <- b.Settle(context.Background(), ref("new", "new")) }()
		synctest.Wait()
		goOn()
		if err := errors.Join(<-accepted, <-settled); err != nil {
			t.Error(err)
		}
		checkRoom(t, b.db.index)
		if ids := drain(t, b); !slices.Equal(ids, []string{"old"}) {
			t.Errorf("it has %q", ids)
		}
	})
}

// The displaced entries are reported by the call that gets the answer: the first one, or the one that makes sure.
func TestWhatMadeWayIsReportedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 1})
		accept(t, b, grouped("a", outbox.Stranger, "old"))
		goOn := busy(t, b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e := grouped("b", outbox.Guest, "new")
		if refs, err := b.Accept(ctx, e); !errors.Is(err, outbox.ErrUnsure) || len(refs) != 0 {
			t.Errorf("Accept: %v, %v; want ErrUnsure", refs, err)
		}
		goOn()
		synctest.Wait()
		for _, want := range []int{1, 0} {
			if refs, err := b.Accept(t.Context(), e); err != nil || len(refs) != want || want == 1 && refs[0] != ref("old", "old") {
				t.Errorf("Accept again: %v, %v; want %d", refs, err, want)
			}
		}
		other := grouped("b", outbox.Proven, "newer")
		for _, want := range []int{1, 0} {
			if refs, err := b.Accept(t.Context(), other); err != nil || len(refs) != want {
				t.Errorf("Accept: %v, %v; want %d", refs, err, want)
			}
		}
	})
}

// After a failed last sync, the file may show more than the disk has. A displaced entry is gone in either case, and is reported.
func TestWhatMayHaveMadeWayIsGone(t *testing.T) {
	t.Parallel()
	x := newStep(t)
	x.setBounds(bounds.Bounds{PerApp: 1, PerDevice: 1, Size: 1 << 20})
	x.reserveOne(grouped("a", outbox.Stranger, "old"))()
	e := grouped("b", outbox.Guest, "new")
	a, _, err := x.reserve(&e, x.now)
	if err != nil {
		t.Fatal(err)
	}
	x.put(a)
	x.arrived(a, fmt.Errorf("%w: sync", outbox.ErrUnsure), x.now)
	if refs := x.took(a); len(refs) != 1 || refs[0] != ref("old", "old") || len(a.strays) != 1 {
		t.Errorf("reported is %v, and removed once more %v", refs, a.strays)
	}
	checkRoom(t, x.index)
	x.expect()
}

func TestEntriesThatAreBeingWrittenHaveTheirShare(t *testing.T) {
	t.Parallel()
	x := newStep(t)
	x.setBounds(bounds.Bounds{PerApp: 4, PerDevice: 1, Size: 1 << 20})
	var written []func()
	for n := range 3 {
		written = append(written, x.reserveOne(grouped("a", outbox.Guest, fmt.Sprint(n))))
	}
	e := grouped("a", outbox.Guest, "more")
	if _, _, err := x.reserve(&e, x.now); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("error %v, want ErrFull: three are being written", err)
	}
	e = grouped("a", outbox.Proven, "proven")
	if _, _, err := x.reserve(&e, x.now); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("error %v, want ErrFull: an entry that is being written is not displaced", err)
	}
	for _, done := range written {
		done()
	}
	checkRoom(t, x.index)
	x.reserveOne(grouped("a", outbox.Proven, "proven"))()
	checkRoom(t, x.index)
}

// An attack fills the room from 4,000 hosts. Accept stays as fast as in an empty box, whoever pushes: looking at each entry would take
// minutes. BenchmarkFullRoom has the figure.
func TestAFullRoomOfManyHostsDoesNotSlowAcceptDown(t *testing.T) {
	t.Parallel()
	x := newIndex()
	x.setBounds(bounds.Bounds{PerApp: inFullRoom, PerDevice: 200, Size: 256 << 20})
	now := time.Now()
	fill(t, x, now)
	reserve := func(e outbox.Entry, full bool) {
		a, _, err := x.reserve(&e, now)
		if full != errors.Is(err, outbox.ErrFull) {
			t.Fatalf("%s of %s: %v", e.ID, e.Group, err)
		}
		if err == nil {
			x.put(a)
			x.arrived(a, nil, now)
		}
	}
	const each = 2_000
	for n := range each {
		reserve(grouped("honest.example", outbox.Proven, fmt.Sprint("p", n)), false)
	}
	for n := range each {
		reserve(grouped("new.example", outbox.Stranger, fmt.Sprint("s", n)), n >= 5) // the others have 6 by now
	}
	for n := range each {
		reserve(grouped("honest.example", outbox.Guest, fmt.Sprint("g", n)), false)
	}
	checkRoom(t, x)
	if n := len(x.queue(app).room.crowds[outbox.Stranger]); n < 4000 {
		t.Errorf("%d hosts have entries left: they did not take turns", n)
	}
}

const inFullRoom = 50_000

// fill makes an attack: as many strangers as guests on 4,000 hosts.
func fill(tb testing.TB, x *index, now time.Time) {
	tb.Helper()
	for n := range inFullRoom {
		e := entry("", "1")
		e.Device = [16]byte{1, byte(n), byte(n >> 8), byte(n >> 16)}
		e.Group, e.Standing = fmt.Sprintf("host%d.example.org", n/2%4000), outbox.Standing(n%2)
		a, _, err := x.reserve(&e, now)
		if err != nil {
			tb.Fatal(err)
		}
		x.put(a)
		x.arrived(a, nil, now)
	}
}

// BenchmarkFullRoom accepts entries, each of which displaces another, after 4,000 hosts have filled the room.
func BenchmarkFullRoom(b *testing.B) {
	x := newIndex()
	x.setBounds(bounds.Bounds{PerApp: inFullRoom, PerDevice: 200, Size: 256 << 20})
	now := time.Now()
	fill(b, x, now)
	host := unique.Make("host")
	for n := 0; b.Loop(); n++ {
		e := entry("", "1")
		e.Device = [16]byte{2, byte(n), byte(n >> 8), byte(n >> 16)}
		e.Group, e.Standing, e.Host = "honest.example", outbox.Guest, host.Value()
		a, _, err := x.reserve(&e, now)
		if err == nil {
			x.put(a)
			x.arrived(a, nil, now)
			x.leave(e.Ref(), now)
			x.settle(e.Ref(), now)
			r := grouped(fmt.Sprintf("host%d.example.org", n%4000), outbox.Stranger, fmt.Sprint("again", n))
			if a, _, err := x.reserve(&r, now); err == nil {
				x.put(a)
				x.arrived(a, nil, now)
			}
		}
	}
}
