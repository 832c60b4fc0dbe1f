package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	// maxDoubts bounds the pushes in doubt. At the bound, nothing more is offered to an outbox that hangs.
	maxDoubts = 1000
	// doubtPause and maxDoubtPause are the shortest and the longest pause between two calls to an outbox that did not answer.
	doubtPause    = time.Second
	maxDoubtPause = 10 * time.Second
)

// doubts are the pushes that the outbox may or may not have, because it did not answer in time. The call is repeated until the outbox
// answers; repeating it changes nothing if it has already happened. Meanwhile, a homeserver that sends the event again joins the same
// flight. So the push is neither lost nor delivered twice. It is safe for concurrent use.
type doubts struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

// has reports whether a push is in doubt.
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

// doubt resolves a doubt in the background. It does not delay the end of the process: the outbox still knows which pushes and events it
// has.
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

// resolve repeats the call that the outbox did not answer in time, and reports whether it has answered now.
func (g *Gateway) resolve(f *flight, d decision) bool {
	if d.settle {
		// A closed outbox has kept its promise: a settled push can come back only with a restart.
		if err := g.box.settle(f.ref()); err != nil && !errors.Is(err, outbox.ErrNotOpen) && g.Now().Before(f.push.Expires) {
			return false
		}
		g.leave(f, d)
		return true
	}
	// A refusal now does not mean that the first call was refused: that call may still be on its way.
	switch err := g.accept(&f.cargo, acceptance{due: g.due(d, f)}); {
	case err == nil:
		d.remember = true
		g.remember(&f.cargo, true)
	case !errors.Is(err, outbox.ErrNotOpen) && g.Now().Before(f.push.Expires):
		return false
	}
	g.leave(f, d)
	return true
}
