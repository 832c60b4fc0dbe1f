package fleetsim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Flaw is a fault that a fleet is made with, to see whether the judge notices.
type Flaw string

// The flaws. Without one, a fleet follows the contract.
const (
	// LeaseTwice: a device is leased again after a second.
	LeaseTwice Flaw = "leases last a second"
	// NewestFirst: a device's newest push is leased first.
	NewestFirst Flaw = "the newest push first"
	// NoDedupe: nobody remembers events.
	NoDedupe Flaw = "no memory of events"
	// AnswerFirst: requests are answered before the outbox has the push.
	AnswerFirst Flaw = "answers before the outbox has the push"
	// OneByOne: the workers ask one shard after the other, and wait for each.
	OneByOne Flaw = "one shard after the other"
	// HastyDuplicates: an event that is sent again is answered with 200 before the replica knows it.
	HastyDuplicates Flaw = "duplicates that no replica has"
)

// Options describe a fleet.
type Options struct {
	Seed                            uint64
	Gateways, Shards, Apps, Devices int
	// Pushes are sent within Time. Then the failures are over, and pending pushes get time to arrive.
	Pushes int
	Time   time.Duration
	// Replicas means that an answer with 200 waits for the replica.
	Replicas bool
	// Calm means that nothing fails.
	Calm bool
	// PerApp and PerDevice bound the pending pushes of an app and of a device.
	PerApp, PerDevice int
	Flaw              Flaw
}

// Default is a fleet of one hundred gateways and 64 shards.
func Default(seed uint64) Options {
	return Options{
		Seed: seed, Gateways: 100, Shards: 64, Apps: 200, Devices: 20_000, Pushes: 200_000, Time: 10 * time.Minute,
		PerApp: 100_000, PerDevice: 200,
	}
}

// Fleet is gateways, shards, push services and homeservers.
type Fleet struct {
	o        Options
	clock    clock
	random   *rand.Rand
	gateways []*gateway
	shards   []*shard
	cut      map[link]bool
	// conditions are those of the apps' push services.
	conditions []condition
	troubled   []bool // whose service was not always up
	pushIDs    pushID

	pushers []pusher
	names   []string
	places  []int           // the shard of each device
	share   []float64       // of the events, cumulated by device
	dies    []time.Duration // when a device dies; 0 if it does not
	dead    map[device]bool // that are on record as dead

	// sent is when each event was made, and arrived when it was first taken.
	sent, arrived []time.Duration
	of            []device
	// open counts the events of each device that have not arrived yet, and left all of them.
	open []int
	left int
	made int // of Options.Pushes
	over bool

	requests []checker.Request
	pushes   []checker.Push
	kills    []checker.Kill
	outages  []checker.Outage
	figures  Figures
	watches  []func() // complete the figures
}

// strangers is how many devices a hostile sender makes up.
const strangers = 2000

// New makes a fleet.
func New(o Options) *Fleet {
	f := &Fleet{
		o: o, random: rand.New(rand.NewPCG(o.Seed, 0)), //nolint:gosec // the same seed makes the same run
		cut: make(map[link]bool), dead: make(map[device]bool), conditions: make([]condition, o.Apps), troubled: make([]bool, o.Apps),
		sent: make([]time.Duration, 1), arrived: make([]time.Duration, 1), of: make([]device, 1), // no event has the number 0
		open: make([]int, o.Devices),
	}
	for n := range o.Shards {
		f.shards = append(f.shards, newShard(n, o.Flaw))
	}
	f.makeDevices()
	for n := range o.Gateways {
		g := &gateway{n: n}
		f.gateways = append(f.gateways, g)
		f.start(g)
	}
	return f
}

// makeDevices makes devices, of which some have many more events than others, and which are dead one day.
func (f *Fleet) makeDevices() {
	total := 0.0
	for d := range f.o.Devices + strangers {
		f.names = append(f.names, "device "+strconv.Itoa(d))
		f.places = append(f.places, redisclient.Shard(rejected.KeyOf("app", f.names[d]), f.o.Shards))
		app := appID(0) // half of them have the huge app
		if d%2 == 1 {
			app = appID(1 + f.random.IntN(f.o.Apps-1))
		}
		dies := time.Duration(0)
		if f.random.IntN(100) == 0 {
			dies = 1 + f.upTo(f.o.Time)
		}
		f.pushers = append(f.pushers, pusher{app: app, parallel: f.random.IntN(10) == 0})
		f.dies = append(f.dies, dies)
		if d < f.o.Devices {
			total += 1 / math.Pow(float64(d+1), 0.6)
			f.share = append(f.share, total)
		}
	}
}

// pick returns a random device.
func (f *Fleet) pick() device {
	at := f.random.Float64() * f.share[len(f.share)-1]
	return device(min(sort.SearchFloat64s(f.share, at), len(f.share)-1))
}

func (f *Fleet) upTo(d time.Duration) time.Duration { return time.Duration(f.random.Int64N(int64(d))) }

func (f *Fleet) shardOf(d device) *shard { return f.shards[f.places[d]] }

// bounds returns those of a shard: its part of the whole.
func (f *Fleet) bounds() bounds {
	return bounds{redisclient.Portion(f.o.PerApp, f.o.Shards), f.o.PerDevice}
}

// These are what an answer with 200 may be based on.
const (
	accepts    = false
	duplicates = true
)

// confirms reports whether an answer waits until a replica has what it is based on.
func (f *Fleet) confirms(duplicate bool) bool {
	return f.o.Replicas && !(duplicate && f.o.Flaw == HastyDuplicates)
}

// wakeUp makes something happen later, if the gateway's process lives then.
func (f *Fleet) wakeUp(g *gateway, d time.Duration, do func()) {
	life := g.life
	f.clock.after(d, func() {
		if g.life == life {
			do()
		}
	})
}

// epoch is when a run begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (f *Fleet) time(t time.Duration) time.Time { return epoch.Add(t) }

func name(e eventID) string { return fmt.Sprintf("$%d", e) }

// took notes that a push was taken.
func (f *Fleet) took(e *entry) {
	if f.arrived[e.event] == 0 {
		f.arrived[e.event] = f.clock.now
		f.closed(e.device, 1)
	}
}

// buried notes that a device is dead: none of its pushes arrives any more.
func (f *Fleet) buried(d device) {
	f.dead[d] = true
	f.closed(d, f.open[d])
}

func (f *Fleet) closed(d device, n int) {
	n = min(n, f.open[d])
	f.open[d] -= n
	f.left -= n
}

// patience is how long the longest wait may be: a lease of a gateway that died, and the way to the next gateway. After a failed attempt, it
// is the longest backoff in addition.
const patience = 75 * time.Second

// drainTime is how long pending pushes get to arrive when all failures are over.
const drainTime = 8 * time.Minute

// Run runs the fleet until all pushes have arrived, and judges what happened.
func (f *Fleet) Run() *Result {
	f.traffic()
	if !f.o.Calm {
		f.fail()
	}
	for f.clock.next() {
		f.over = f.over || f.clock.now > f.o.Time && f.left == 0 || f.clock.now > f.o.Time+drainTime
	}
	logs := checker.Logs{
		Requests: f.requests, Pushes: f.pushes, Kills: f.kills, Outages: f.outages,
		Patience: checker.Patience{Any: patience, Retry: maxBackoff + patience},
	}
	f.summarise()
	return &Result{Report: logs.Check(), Figures: f.figures, Lost: f.lost(), Replicas: f.o.Replicas}
}

// lost returns the names of the events that failovers lost.
func (f *Fleet) lost() map[string]bool {
	all := make(map[string]bool)
	for _, s := range f.shards {
		for e := range s.lost {
			all[name(e)] = true
		}
	}
	return all
}
