package gateway

import (
	"sync"
	"time"
)

const (
	// maxDoubts bounds the pushes of which it is not known whether the outbox has them: while it hangs, no more are offered to it.
	maxDoubts = 1000
	// doubtPause is how long to leave an outbox alone that did not answer.
	doubtPause = time.Second
)

// doubts are the pushes of which it is not known whether the outbox has them, or still has them, since it did not answer in time. The
// same call is made again until it answers, which changes nothing if it has happened before. Meanwhile a homeserver that sends the event
// again finds it on its way, so it is neither lost nor delivered twice. Safe for concurrent use.
type doubts struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

// full reports whether the outbox hangs.
func (d *doubts) full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ids) >= maxDoubts
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
func (s *Shared) doubt(f *flight, resolve func() (resolved bool)) {
	s.doubts.add(f.push.ID)
	go func() {
		defer s.doubts.remove(f.push.ID)
		for !resolve() {
			select {
			case <-time.After(doubtPause):
			case <-s.closing:
				return
			}
		}
	}()
}

// resolve makes once more the call that the outbox did not answer in time, and reports whether it did now.
func (g *Gateway) resolve(f *flight, d decision) bool {
	if d.settle {
		if g.box.settle(f.ref()) != nil && g.Now().Before(f.push.Expires) {
			return false
		}
		g.leave(f, d)
		return true
	}
	switch g.accept(&f.cargo, acceptance{due: g.due(d, f)}) {
	case unsure:
		if g.Now().Before(f.push.Expires) {
			return false
		}
	case done:
		d.remember = true
		g.remember(f.event, true)
	}
	g.leave(f, d)
	return true
}
