package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// suspect records in the rejected store that a look found a pushkey missing. It returns done if that proves the pushkey dead, and
// failed if the store could not tell or has no room for more strangers. Otherwise it returns untried, and in how long to look again.
func (g *Gateway) suspect(f *flight, o providers.Outcome) (proved effect, lookIn time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), rejected.WriteTime)
	defer cancel()
	c, at := &f.cargo, f.attempt.began
	if !c.app.fuse.mayRecord(c.known, c.isNew(), g.Now()) {
		return failed, 0
	}
	s, err := g.Rejected.Suspect(ctx, c.key, c.verdict(o, at))
	if err != nil {
		g.Observer.StoreFailed("recording a suspicion", err)
		return failed, 0
	}
	g.Shared.suspects.add(c.app.Pattern, c.key)
	if g.Shared.journal.deliveredSince(c.key, at) { // by another push that did not know about the suspicion yet
		g.acquit(c)
		return failed, 0
	}
	if s.Proved(at, g.lastDelivered(f)) {
		return done, 0
	}
	return untried, max(time.Second, s.LookAt.Sub(g.Now()))
}

// lastDelivered returns when a push's host had last taken a push before the attempt began. It also asks the rejected store, which knows
// the deliveries of other gateways that share it.
func (g *Gateway) lastDelivered(f *flight) time.Time {
	here := f.attempt.before
	store, ok := g.Rejected.(rejected.Witness)
	if !ok {
		return here
	}
	ctx, cancel := context.WithTimeout(context.Background(), rejected.WriteTime)
	defer cancel()
	there, err := store.LastDelivered(ctx, hostKey(&f.cargo))
	if err != nil {
		g.Observer.StoreFailed("asking when a host took a push", err)
	}
	if there.After(here) && !there.After(f.attempt.began) {
		return there
	}
	return here
}

// testify reports to other gateways that a host took a push.
func (g *Gateway) testify(f *flight) {
	store, ok := g.Rejected.(rejected.Witness)
	now := g.Now()
	if !ok || !f.app.hosts.toWitness(&f.attempt, now) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), rejected.WriteTime)
	defer cancel()
	if err := store.Delivered(ctx, hostKey(&f.cargo), now); err != nil {
		g.Observer.StoreFailed("noting that a host took a push", err)
	}
}

// hostKey names a push's host for the rejected store.
func hostKey(c *cargo) rejected.Key { return rejected.KeyOf(c.app.Pattern, c.host) }

// markOf returns the mark of a device; zero if it has none, or the store could not tell.
func (g *Gateway) markOf(k rejected.Key) rejected.Mark {
	ctx, cancel := context.WithTimeout(context.Background(), rejected.AskTime)
	defer cancel()
	return g.marks(ctx, []rejected.Key{k})[0]
}

// acquit ends the suspicion of a pushkey that was delivered to.
func (g *Gateway) acquit(c *cargo) {
	ctx, cancel := context.WithTimeout(context.Background(), rejected.WriteTime)
	defer cancel()
	if err := g.Rejected.Acquit(ctx, c.key); err != nil {
		g.Observer.StoreFailed("ending a suspicion", err)
		return
	}
	g.Shared.suspects.remove(c.app.Pattern, c.key)
}

// maxSuspects bounds the suspected pushkeys of an app that are counted.
const maxSuspects = 10_000

// suspects are the suspected pushkeys that this process knows about, by app. They are only counted, for the status. It is safe for
// concurrent use.
type suspects struct {
	mu   sync.Mutex
	apps map[string]map[rejected.Key]struct{}
}

func (s *suspects) add(app string, k rejected.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apps == nil {
		s.apps = make(map[string]map[rejected.Key]struct{})
	}
	if s.apps[app] == nil {
		s.apps[app] = make(map[rejected.Key]struct{})
	}
	if len(s.apps[app]) < maxSuspects {
		s.apps[app][k] = struct{}{}
	}
}

// remove removes a pushkey, and reports whether it was there.
func (s *suspects) remove(app string, k rejected.Key) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, was = s.apps[app][k]
	delete(s.apps[app], k)
	return was
}

// forget removes a pushkey from all apps.
func (s *suspects) forget(k rejected.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, keys := range s.apps {
		delete(keys, k)
	}
}

func (s *suspects) count(app string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.apps[app])
}
