package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	// maxDoubts bounds the pushes of which it is not known whether an outbox has them: while it hangs, no more are offered to it.
	maxDoubts = 1000
	// doubtPause and maxDoubtPause are how long to leave an outbox alone that did not answer: at first, and in the end.
	doubtPause    = time.Second
	maxDoubtPause = 10 * time.Second
)

// doubts are the pushes of which it is not known whether the outbox has them, or still has them, since it did not answer in time. The
// same call is made again until it answers, which changes nothing if it has happened before. Meanwhile a homeserver that sends the event
// again finds it on its way, so it is neither lost nor delivered twice. Safe for concurrent use.
type doubts struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

// has reports whether there is a doubt about a push.
func (d *doubts) has(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.ids[id]
	return ok
}

func (d *doubts) add(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil {
		d.ids = make(map[string]struct{})
	}
	d.ids[id] = struct{}{}
}

func (d *doubts) remove(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ids, id)
}

// doubt resolves a doubt in the background. It does not keep a process from ending: what the outbox has then is told by the outbox itself,
// with the events that it took over.
func (g *Gateway) doubt(f *flight, d decision) {
	g.Shared.doubts.add(f.push.ID)
	g.box.doubts.Add(1)
	go func() {
		defer g.box.doubts.Add(-1)
		defer g.Shared.doubts.remove(f.push.ID)
		for wait := doubtPause; !g.resolve(f, d); wait = min(2*wait, maxDoubtPause) {
			select {
			case <-time.After(wait):
			case <-g.Shared.closing:
				return
			}
		}
	}()
}

// resolve makes once more the call that the outbox did not answer in time, and reports whether it did now.
func (g *Gateway) resolve(f *flight, d decision) bool {
	if d.settle {
		// An outbox that is closed has kept its word: what is settled may come back with a restart only.
		if err := g.box.settle(f.ref()); err != nil && !errors.Is(err, outbox.ErrNotOpen) && g.Now().Before(f.push.Expires) {
			return false
		}
		g.leave(f, d)
		return true
	}
	// That it is refused this time does not say that it was before: the first call may still be on its way.
	switch err := g.accept(&f.cargo, acceptance{due: g.due(d, f)}); {
	case err == nil:
		d.remember = true
		g.remember(f.event, true)
	case !errors.Is(err, outbox.ErrNotOpen) && g.Now().Before(f.push.Expires):
		return false
	}
	g.leave(f, d)
	return true
}
