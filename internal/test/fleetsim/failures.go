package fleetsim

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

// fail plans everything that fails, one after the other, as parts of the time. The pushes that nothing affects are in between.
func (f *Fleet) fail() {
	part := func(percent int) time.Duration { return f.o.Time * time.Duration(percent) / 100 }
	f.clock.at(part(5), func() { f.restartShards(part(10)) })
	f.clock.at(part(16), func() { f.slowShards(part(8)) })
	// While the huge app's push service is down, many pushes are only in the outbox.
	f.clock.at(part(26), func() { f.condition(0, down, part(4)) })
	f.clock.at(part(27), func() { f.failOver(&f.figures.Failover, 0) })
	f.clock.at(part(37), f.rack)
	f.clock.at(part(47), func() { f.partition(part(5)) })
	f.clock.at(part(55), func() { f.breakServices(part(10)) })
	f.clock.at(part(72), func() { f.disaster(part(8)) })
	var stranger func()
	stranger = func() {
		if f.clock.now < f.o.Time {
			f.hostile()
			f.clock.after(f.o.Time/strangers, stranger)
		}
	}
	stranger()
}

// some returns so many shards at random, each once.
func (f *Fleet) some(n int) []*shard {
	var some []*shard
	for _, i := range f.random.Perm(len(f.shards))[:n] {
		some = append(some, f.shards[i])
	}
	return some
}

// sixteenth is how many shards fail together.
func (f *Fleet) sixteenth() int { return max(1, len(f.shards)/16) }

// outage notes for the judge that some shards did not work as usual.
func (f *Fleet) outage(from, until time.Duration, shards ...*shard) {
	of := make(map[int]bool)
	for _, s := range shards {
		of[s.n] = true
	}
	var devices []string
	for d := range f.o.Devices {
		if of[f.places[d]] {
			devices = append(devices, f.names[d])
		}
	}
	f.outages = append(f.outages, checker.Outage{From: f.time(from), Until: f.time(until), Devices: devices})
}

// restartShards stops shards for a time. They lose nothing. The push services of some apps are slow at first, and some gateways die
// meanwhile, so others must find what these had under way.
func (f *Fleet) restartShards(lasts time.Duration) {
	shards := f.some(f.sixteenth())
	for app := 3; app < f.o.Apps; app += 3 {
		f.condition(appID(app), slow, lasts/2)
	}
	f.clock.after(slowAnswer, func() { f.killSome(max(1, len(f.gateways)/4)) })
	f.outage(f.clock.now, f.clock.now+lasts, shards...)
	f.watch(&f.figures.Down, lasts, shards...)
	for _, s := range shards {
		s.end()
		f.clock.after(lasts, s.restart)
	}
}

// slowShards makes shards four hundred times as slow.
func (f *Fleet) slowShards(lasts time.Duration) {
	shards := f.some(f.sixteenth())
	f.outage(f.clock.now, f.clock.now+lasts, shards...)
	f.watch(&f.figures.Slow, lasts, shards...)
	for _, s := range shards {
		s.cost = 400 * usualCost
		f.clock.after(lasts, func() { s.cost = usualCost })
	}
}

// electionTime is how long it takes until a replica is promoted.
const electionTime = 15 * time.Second

// failOver ends primaries, and promotes their replicas. These got nothing for a time before.
func (f *Fleet) failOver(w *Watched, stalled time.Duration) {
	shards := f.some(f.sixteenth())
	f.outage(f.clock.now, f.clock.now+stalled+electionTime, shards...)
	f.watch(w, stalled+electionTime, shards...)
	for _, s := range shards {
		s.stalled = f.clock.now + stalled
		f.clock.after(stalled, func() {
			s.end()
			ended := f.clock.now
			if stalled > 0 {
				ended-- // what was held up has not arrived
			}
			f.clock.after(electionTime, func() { s.promote(ended) })
		})
	}
}

// rackTime is how long it takes until dead gateways run again.
const rackTime = time.Minute

// rack kills a tenth of the gateways, and starts them again.
func (f *Fleet) rack() {
	f.watchAll(&f.figures.Rack, 0)
	f.killSome(max(1, len(f.gateways)/10))
}

func (f *Fleet) killSome(n int) {
	for _, i := range f.random.Perm(len(f.gateways))[:n] {
		g := f.gateways[i]
		f.kill(g)
		f.clock.after(rackTime, func() { f.start(g) })
	}
}

// partition cuts a quarter of the gateways off from an eighth of the shards.
func (f *Fleet) partition(lasts time.Duration) {
	shards := f.some(max(1, len(f.shards)/8))
	f.outage(f.clock.now, f.clock.now+lasts, shards...)
	f.watch(&f.figures.Partition, lasts, shards...)
	for _, i := range f.random.Perm(len(f.gateways))[:max(1, len(f.gateways)/4)] {
		for _, s := range shards {
			l := link{i, s.n}
			f.cut[l] = true
			f.clock.after(lasts, func() { delete(f.cut, l) })
		}
	}
}

// breakServices takes down the push service of the huge app, and makes those of every tenth other app slow.
func (f *Fleet) breakServices(lasts time.Duration) {
	f.herd(lasts, 0)
	f.condition(0, down, lasts)
	for app := 5; app < f.o.Apps; app += 10 {
		f.condition(appID(app), slow, lasts)
	}
}

func (f *Fleet) condition(app appID, c condition, lasts time.Duration) {
	f.conditions[app], f.troubled[app] = c, true
	f.clock.after(lasts, func() { f.conditions[app] = up })
}

// disaster is several failures together: push services are down or slow, replicas get nothing for a time, their primaries end, and a fifth
// of the gateways with them. Homeservers repeat meanwhile what the replicas did not confirm.
func (f *Fleet) disaster(lasts time.Duration) {
	f.condition(0, down, lasts)
	for app := 2; app < f.o.Apps; app += 3 {
		f.condition(appID(app), slow, lasts)
	}
	const stalled = 15 * time.Second
	f.failOver(&f.figures.Disaster, stalled)
	f.clock.after(stalled, func() { f.killSome(max(1, len(f.gateways)/5)) })
}
