package fleetsim

import "time"

// lookInterval is how often a gateway looks for pushes that others left.
const lookInterval = 500 * time.Millisecond

// lookEvery makes a gateway look for due devices as long as it lives. The shards take turns to be the first.
func (f *Fleet) lookEvery(g *gateway) {
	first := f.random.IntN(len(f.shards))
	var again func()
	again = func() {
		if !f.over {
			f.lookAll(g, first)
			first++
			f.wakeUp(g, lookInterval, again)
		}
	}
	f.wakeUp(g, f.upTo(lookInterval), again)
}

func (f *Fleet) lookAll(g *gateway, first int) {
	for i := range f.shards {
		s := f.shards[(first+i)%len(f.shards)]
		f.figures.Looks++
		if f.o.Flaw == OneByOne && f.isStuck(g, s) {
			return
		}
		if s.state.pending == 0 {
			continue
		}
		for _, app := range s.state.apps {
			f.lookAt(g, s, app)
		}
	}
}

// isStuck reports whether a gateway that asks one shard after the other waits for one that does not answer.
func (f *Fleet) isStuck(g *gateway, s *shard) bool {
	if g.stuck == nil && (s.down || !f.reach(g, s)) {
		g.stuck = s
	}
	if g.stuck != nil && !g.stuck.down && f.reach(g, g.stuck) {
		g.stuck = nil
	}
	return g.stuck != nil
}

// maxAsk is how many workers wait for one shard's answer at most, so a shard that does not answer does not keep all of them.
const maxAsk = workers / 4

// asking is a call that leases an app's pushes from a shard.
type asking struct {
	shard int
	app   appID
}

// lookAt leases an app's due devices of one shard. A real gateway asks the shard whether there are any; here it knows.
func (f *Fleet) lookAt(g *gateway, s *shard, app appID) {
	n := min(workers-g.working[app], maxAsk)
	if g.silent[s.n] {
		n = min(n, 1)
	}
	ask := asking{s.n, app}
	if n <= 0 || g.asking[ask] || f.o.Flaw == OneByOne && g.stuck != nil || !s.state.room(app).isDue(f.clock.now) {
		return
	}
	g.working[app] += n
	g.asking[ask] = true
	by := g.owner()
	var got []leased
	f.figures.Leases++
	f.call(g, s, change{do: func(s *state, now time.Duration) { got = s.lease(now, app, by, n) }}, nil, func(err error) {
		delete(g.asking, ask)
		g.silent[s.n] = err != nil
		if err != nil {
			got = nil
		} else if len(got) == 0 {
			f.figures.Collisions++
		}
		g.working[app] -= n - len(got)
		for _, l := range got {
			f.retry(g, l)
		}
		if len(got) == n {
			f.lookAt(g, s, app)
		}
	})
}

// openAfter is how many failures in a row mean that a push service is down.
const openAfter = 10

// judgeService makes an app's pending pushes due when its push service works again, as a breaker does when it closes.
func (f *Fleet) judgeService(g *gateway, app appID, o outcome) {
	if o == failed {
		g.failures[app]++
		return
	}
	if g.failures[app] >= openAfter {
		for _, s := range f.shards {
			f.call(g, s, change{do: func(s *state, now time.Duration) { s.rouse(now, app) }}, nil, func(error) {})
		}
	}
	g.failures[app] = 0
}

// retry makes an attempt at a leased entry.
func (f *Fleet) retry(g *gateway, l leased) {
	fl := &flight{f: f, g: g, entry: l.entry, leased: true, tries: l.tries}
	if g.doubts[l.id] {
		fl.release(doubtPause, false)
		fl.leave()
		return
	}
	fl.fly()
}
