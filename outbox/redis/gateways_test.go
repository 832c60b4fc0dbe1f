package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// patience is how long a test waits for something that must happen.
const patience = 10 * time.Second

// inRedis returns how many entries the app has by the counts, which must agree with the entries.
func inRedis(t *testing.T, b *Box) int64 {
	t.Helper()
	var all int64
	for _, s := range b.queue.shards {
		all += inShard(t, s)
	}
	checkRoom(t, b)
	return all
}

func inShard(t *testing.T, s *shard) int64 {
	t.Helper()
	ctx := context.Background()
	c, keys := s.queue.Client, s.keys.of(app)
	pushes, expiry := c.HLen(ctx, keys[3]).Val(), c.ZCard(ctx, keys[4]).Val()
	devices, due, listed := c.HLen(ctx, keys[2]).Val(), c.ZCard(ctx, keys[0]).Val(), c.ZCard(ctx, keys[6]).Val()
	counted, _ := c.HGet(ctx, keys[5], "entries").Int64()
	size, _ := c.HGet(ctx, keys[5], "size").Int64()
	if pushes != expiry || pushes != counted || devices != due || devices != listed ||
		pushes == 0 && (devices != 0 || size != 0) {
		t.Errorf("%d pushes, %d expire, %d counted with %d bytes; %d devices, %d due, %d listed",
			pushes, expiry, counted, size, devices, due, listed)
	}
	return pushes
}

func TestALapsedLeaseIsPickedUpByAnotherGateway(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes as long as a lease")
	}
	a, b := gateways(t, redistest.Start(t))
	running := entry("b", "running")
	running.Running = true
	accept(t, a, entry("a", "leased"), running)
	start := time.Now()
	if ids := leaseIn(t, a, patience); len(ids) != 1 {
		t.Fatalf("leased %q", ids)
	}
	// Gateway a stops here, for now.
	got := make(map[string]bool)
	for len(got) < 2 {
		ids := leaseIn(t, b, outbox.LeaseTime+patience)
		if len(ids) == 0 {
			t.Fatalf("leased %v only", got)
		}
		for _, id := range ids {
			got[id] = true
		}
	}
	if took := time.Since(start); took < outbox.LeaseTime || took > outbox.LeaseTime+5*time.Second {
		t.Errorf("picked up after %v", took)
	}
	// Gateway a was not dead, but slow. Another gateway has the leases now.
	for _, r := range []outbox.Ref{ref("a", "leased"), running.Ref()} {
		if err := a.Release(context.Background(), r, time.Now(), true); err != nil {
			t.Error(err)
		}
	}
	if ids := leaseIn(t, a, 100*time.Millisecond); len(ids) != 0 {
		t.Errorf("%q were leased twice", ids)
	}
	settle(t, b, ref("a", "leased"))
	settle(t, b, running.Ref())
	if n := inRedis(t, b); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestWhatOneGatewayAcceptsAnotherLeasesSoon(t *testing.T) {
	t.Parallel()
	a, b := gateways(t, redistest.Start(t))
	leased := make(chan []string)
	go func() { leased <- leaseIn(t, b, patience) }()
	accept(t, a, entry("a", "1"))
	if ids := <-leased; len(ids) != 1 || ids[0] != "1" {
		t.Errorf("leased %q", ids)
	}
	settle(t, b, ref("a", "1"))
}

// ward checks that nobody gets an entry that another has, and that nothing is settled twice.
type ward struct {
	t       *testing.T
	mu      sync.Mutex
	busy    map[[16]byte]string
	next    map[[16]byte]int
	settled int
}

func (w *ward) begin(l outbox.Leased) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other, ok := w.busy[l.Device]; ok {
		w.t.Errorf("%s was leased while %s of the same device was", l.ID, other)
	}
	w.busy[l.Device] = l.ID
	if want := fmt.Sprint(w.next[l.Device]); l.ID != want {
		w.t.Errorf("leased %s, want %s", l.ID, want)
	}
}

func (w *ward) end(l outbox.Leased, settle bool) (settled int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, l.Device)
	if settle {
		w.next[l.Device]++
		w.settled++
	}
	return w.settled
}

func TestTwoGatewaysSettleEachEntryOnce(t *testing.T) {
	t.Parallel()
	const devices, entries, workers = 20, 15, 12
	a, b := gateways(t, redistest.Start(t))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	w := &ward{t: t, busy: make(map[[16]byte]string), next: make(map[[16]byte]int)}
	var wg sync.WaitGroup
	for n := range workers {
		box := []*Box{a, b}[n%2]
		wg.Go(func() {
			for {
				leased, err := box.Lease(ctx, app, 1+n%4)
				if err != nil {
					return
				}
				for i, l := range leased {
					w.begin(l)
					if l.Attempts == 0 && i%3 == 0 {
						w.end(l, false)
						if err := box.Release(context.Background(), l.Ref(), time.Now().Add(time.Millisecond), true); err != nil {
							t.Error(err)
						}
						continue
					}
					last := w.end(l, true) == devices*entries
					settle(t, box, l.Ref())
					if last {
						cancel()
					}
				}
			}
		})
	}
	for d := range devices {
		box := []*Box{a, b}[d%2]
		wg.Go(func() {
			for n := range entries {
				e := entry(fmt.Sprint(d), fmt.Sprint(n))
				accept(t, box, e)
			}
		})
	}
	wg.Wait()
	if n := inRedis(t, a); w.settled != devices*entries || n != 0 {
		t.Errorf("%d entries were settled, want %d; %d are left", w.settled, devices*entries, n)
	}
}

func claim(t *testing.T, b *Box, name string, want outbox.Claim) {
	t.Helper()
	got, err := b.Claim(context.Background(), device("a"), device(name))
	if err != nil || got != want {
		t.Errorf("the claim of %s is %d, %v; want %d", name, got, err, want)
	}
}

func unclaim(t *testing.T, b *Box, name string) {
	t.Helper()
	if err := b.Unclaim(context.Background(), device("a"), device(name)); err != nil {
		t.Error(err)
	}
}

func TestOneGatewayDeliversAnEvent(t *testing.T) {
	t.Parallel()
	a, b := gateways(t, redistest.Start(t))
	claim(t, a, "event", outbox.Claimed)
	claim(t, b, "event", outbox.Taken)
	claim(t, a, "event", outbox.Claimed) // its own claim
	unclaim(t, b, "event")               // not its own claim
	claim(t, b, "event", outbox.Taken)
	unclaim(t, a, "event")
	claim(t, b, "event", outbox.Claimed)
	b.Note(device("a"), device("event"), time.Now().Add(time.Hour))
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got, err := a.Claim(t.Context(), device("a"), device("event")); err != nil || got == outbox.Done {
			break
		}
	}
	claim(t, a, "event", outbox.Done)
	unclaim(t, b, "event") // a delivered event stays delivered
	claim(t, b, "event", outbox.Done)

	e := entry("a", "1")
	e.Event, e.EventUntil = device("accepted"), time.Now().Add(time.Second)
	claim(t, a, "accepted", outbox.Claimed)
	accept(t, a, e)
	claim(t, b, "accepted", outbox.Done)
	time.Sleep(1100 * time.Millisecond)
	claim(t, b, "accepted", outbox.Claimed)

	refused := entry("a", "2")
	refused.Event, refused.EventUntil = device("refused"), time.Now().Add(time.Hour)
	full := opened(t, &Box{Address: at(a.URL), gateway: "a", MaxPerApp: 1})
	if _, err := full.Accept(t.Context(), refused); err == nil {
		t.Error("accepted beyond the bound")
	}
	claim(t, b, "refused", outbox.Claimed)
}

func TestAnEntryIsInTheOutboxOnceWhenItsAnswerWasLost(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	e := entry("a", "1")
	e.Running = true
	accept(t, b, e)
	e.Running = false
	accept(t, b, e) // the attempt ended without a verdict
	if ids := drain(t, b); len(ids) != 1 {
		t.Errorf("it had %q", ids)
	}
}

// While Redis was away, nobody could find out who has the event that the homeserver sent again: the new push has another name.
func TestAnEventIsInTheOutboxOnceWhenItsAnswerWasLost(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	named := func(id, event string) outbox.Entry {
		e := entry("a", id)
		e.Event, e.EventUntil = device(event), time.Now().Add(time.Hour)
		return e
	}
	accept(t, b, named("1", "event"), named("again", "event"), named("2", "another"))
	if ids := drain(t, b); fmt.Sprint(ids) != "[1 2]" {
		t.Errorf("it had %q", ids)
	}
	accept(t, b, named("after its delivery", "event"))
	if ids := drain(t, b); len(ids) != 0 {
		t.Errorf("it had %q", ids)
	}
}

// A gateway asked Redis to accept a push and was killed while Redis stalled. The homeserver got no answer, and sent the event to another
// gateway. When Redis continues, it gets both calls, in any order.
func TestALateAcceptOfAnEventThatAnotherGatewayHasIsRefused(t *testing.T) {
	t.Parallel()
	a, b := gateways(t, redistest.Start(t))
	ctx := t.Context()
	e := entry("a", "late")
	e.Event, e.EventUntil, e.Running = [16]byte{1}, time.Now().Add(time.Hour), true
	if claim, err := b.Claim(ctx, device("a"), e.Event); err != nil || claim != outbox.Claimed {
		t.Fatalf("claimed: %v, %v", claim, err)
	}
	if _, err := a.Accept(ctx, e); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("accepted: %v", err)
	}
	if n := inRedis(t, a); n != 0 {
		t.Errorf("%d entries", n)
	}
	if _, err := b.Accept(ctx, e); err != nil { // the gateway that has the event
		t.Error(err)
	}
	if n := inRedis(t, b); n != 1 {
		t.Errorf("%d entries", n)
	}
}
