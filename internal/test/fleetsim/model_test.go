package fleetsim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/file"
)

var boxes storetest.Fixture[*file.Box]

// pair is the model of a shard and a real outbox, in a bubble of testing/synctest. Both get the same calls.
type pair struct {
	*testing.T
	random *rand.Rand
	began  time.Time
	model  *state
	real   *file.Box
	// pending has the entries that both have, and held those whose attempts are under way.
	pending, held map[pushID]entry
	last          pushID
}

const pairApp = "org.example.app"

// pairBounds are small enough to be reached.
var pairBounds = bounds{perApp: 30, perDevice: 6}

func (p *pair) now() time.Duration { return time.Since(p.began) }

// one returns a random entry of a map; none if there is none.
func (p *pair) one(m map[pushID]entry) (e entry, ok bool) {
	ids := make([]pushID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return e, false
	}
	slices.Sort(ids)
	return m[ids[p.random.IntN(len(ids))]], true
}

func realDevice(d device) (key [16]byte) {
	binary.BigEndian.PutUint64(key[:], uint64(d)+1)
	return key
}

func (p *pair) ref(e entry) outbox.Ref {
	return outbox.Ref{App: pairApp, Device: realDevice(e.device), ID: strconv.Itoa(int(e.id))}
}

func (p *pair) accept(e entry, running bool, delay time.Duration) {
	kept := outbox.Entry{
		ID: p.ref(e).ID, App: pairApp, Device: realDevice(e.device), Push: []byte(`{}`), Standing: outbox.Proven, Running: running,
		Accepted: time.Now(), Expires: time.Now().Add(24 * time.Hour),
	}
	if delay > 0 {
		kept.Due = time.Now().Add(delay)
	}
	_, err := p.real.Accept(p.Context(), kept)
	got := p.model.accept(p.now(), e, owner{1, 1}, running, delay, pairBounds)
	if (err == nil) != (got == accepted) || errors.Is(err, outbox.ErrFull) != (got == full) {
		p.Fatalf("accept %d: the outbox returns %v, the model %d", e.id, err, got)
	}
	if err != nil {
		return
	}
	p.pending[e.id] = e
	if delete(p.held, e.id); running {
		p.held[e.id] = e
	}
}

func (p *pair) settle(e entry) {
	if err := p.real.Settle(p.Context(), p.ref(e)); err != nil {
		p.Fatal(err)
	}
	p.model.settle(p.now(), &e, owner{1, 1})
	delete(p.pending, e.id)
	delete(p.held, e.id)
}

func (p *pair) release(e entry, delay time.Duration, tried bool) {
	if err := p.real.Release(p.Context(), p.ref(e), time.Now().Add(delay), tried); err != nil {
		p.Fatal(err)
	}
	p.model.release(&e, owner{1, 1}, p.now()+delay, tried)
	delete(p.held, e.id)
}

func (p *pair) waiting(d device) {
	waits, err := p.real.Waiting(p.Context(), pairApp, realDevice(d))
	if model := p.model.waiting(0, d); err != nil || waits != model {
		p.Fatalf("device %d is pending: %t, %v; %t in the model", d, waits, err, model)
	}
}

// lease leases everything that is due.
func (p *pair) lease() {
	const most = 100
	ctx, cancel := context.WithTimeout(p.Context(), time.Microsecond) // nothing is due between two milliseconds
	defer cancel()
	all, err := p.real.Lease(ctx, pairApp, most)
	if err != nil && ctx.Err() == nil {
		p.Fatal(err)
	}
	var got, want []string
	for i := range all {
		got = append(got, fmt.Sprintf("%s after %d", all[i].ID, all[i].Attempts))
		id, _ := strconv.Atoi(all[i].ID)
		p.held[pushID(id)] = p.pending[pushID(id)]
	}
	for _, l := range p.model.lease(p.now(), 0, owner{1, 1}, most) {
		want = append(want, fmt.Sprintf("%d after %d", l.id, l.tries))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		p.Fatalf("after %s, the outbox leases %q, the model %q", p.now(), got, want)
	}
}

// step makes a random call to both.
func (p *pair) step() {
	delay := time.Duration(p.random.IntN(20)) * time.Second
	held, isHeld := p.one(p.held)
	pending, isPending := p.one(p.pending)
	switch p.random.IntN(10) {
	case 0, 1, 2:
		p.last++
		e := entry{id: p.last, event: eventID(p.last), device: device(p.random.IntN(8))}
		if p.random.IntN(2) == 0 {
			p.accept(e, true, 0)
		} else {
			p.accept(e, false, delay)
		}
	case 3:
		if isHeld {
			p.accept(held, false, delay)
		}
	case 4:
		if isHeld {
			p.settle(held)
		}
	case 5:
		if isPending {
			p.settle(pending)
		}
	case 6:
		if isHeld {
			p.release(held, delay, p.random.IntN(2) == 0)
		}
	case 7:
		p.last++
		late := entry{id: p.last, device: device(p.random.IntN(8))}
		p.settle(late)
		p.accept(late, false, 0)
		delete(p.pending, p.last)
	case 8:
		time.Sleep(time.Duration(p.random.IntN(15_000)) * time.Millisecond)
	default:
		p.waiting(device(p.random.IntN(8)))
	}
	p.lease()
	time.Sleep(time.Until(p.began.Add(p.now().Truncate(time.Millisecond) + time.Millisecond)))
}

func TestM23_TheModelOfAShardDoesWhatAnOutboxDoes(t *testing.T) {
	t.Parallel()
	for n := range 20 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "outbox.db")
			synctest.Test(t, func(t *testing.T) {
				p := &pair{
					T: t, random: rand.New(rand.NewPCG(usual(t).Seed, uint64(n))), began: time.Now(), model: newState(""),
					real:    boxes.Opened(t, &file.Box{Path: path, MaxPerApp: pairBounds.perApp, MaxPerDevice: pairBounds.perDevice}),
					pending: make(map[pushID]entry), held: make(map[pushID]entry),
				}
				t.Cleanup(func() {
					for _, e := range p.held { // the box waits for them
						_ = p.real.Settle(context.Background(), p.ref(e))
					}
				})
				for range 500 {
					p.step()
				}
			})
		})
	}
}
