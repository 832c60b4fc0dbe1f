package gateway

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// FuseOptions say when so many pushkeys die at once that the cause is almost certainly the operator's mistake.
type FuseOptions struct {
	// Share is the share of the pushkeys that may be rejected; 1 turns the fuse off.
	Share float64
	// Window is the time in which the rejections are counted.
	Window time.Duration
}

const (
	// fuseMin is the lowest number of rejections that can trip a fuse.
	fuseMin = 20
	// maxFuseKeys bounds the pushkeys of a kind that are counted exactly in half a window. Beyond it, they are counted by a sample.
	// maxUnknownKeys is the same bound for the fuse of unknown apps, where each device of each request counts.
	maxFuseKeys    = 50_000
	maxUnknownKeys = 8192
	// maxFuseHosts bounds the hosts that are tripped at the same time. Beyond it, a host's rejections count for the app.
	maxFuseHosts = 4096
	// maxFuseChanges bounds the hosts whose latest change is remembered.
	maxFuseChanges = 1024
	// tripPart is the part of the window that a trip lasts at least. Otherwise alternating verdicts would trip and reset the fuse all
	// the time.
	tripPart = 10
	// maxStrangers is how many records per hour an app may get for devices that were never delivered to. Anybody can make up such
	// devices. Nothing is lost if their rejection is answered but not recorded, because the next push learns of it again.
	maxStrangers = 1000
)

// Fuses has a fuse for each app, and one for devices of unknown apps. They outlive configurations.
type Fuses struct {
	mu    sync.Mutex
	fuses map[string]*fuse
}

// unknownApps is the name of the fuse for devices that no app serves. No pattern is empty.
const unknownApps = ""

func newFuses() *Fuses { return &Fuses{fuses: make(map[string]*fuse)} }

func (f *Fuses) of(app string) *fuse {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fuses[app] == nil {
		most := maxFuseKeys
		if app == unknownApps {
			most = maxUnknownKeys
		}
		f.fuses[app] = newFuse(most)
	}
	return f.fuses[app]
}

// fuse counts the distinct pushkeys of an app by the latest verdict on each: alive or dead. It trips when too many are dead. Where
// devices choose the host, it first trips for that host only, and the rejections of a tripped host do not count for the app.
//
// Known devices, which were delivered to before, are counted separately, so strangers can neither trip their part nor hide it. A fuse
// takes constant memory, and is safe for concurrent use.
type fuse struct {
	mu   sync.Mutex
	most int // pushkeys of a kind in a half
	// Verdicts are kept for one to two halves of the window: the older half is forgotten as a whole.
	young, old fuseHalf
	app        part
	hosts      map[string]part // those that are tripped
	// seq counts the trips and resets. latest is the number of the app's latest one, and changes has those of hosts. floor is the
	// highest number that changes had no room for.
	seq, latest, floor int
	changes            *simplelru.LRU[string, int]
	// room limits the records of devices that were never delivered to. unrecorded counts those that there was no room for.
	room       *rate.Limiter
	unrecorded int
}

func newFuse(most int) *fuse {
	f := &fuse{most: most, hosts: make(map[string]part), room: rate.NewLimiter(rate.Every(time.Hour/maxStrangers), maxStrangers)}
	changes, err := simplelru.NewLRU(maxFuseChanges, func(_ string, seq int) { f.floor = max(f.floor, seq) })
	if err != nil {
		panic(err) // the size is not positive
	}
	f.changes = changes
	return f
}

// of counts a host's pushkeys.
func (f *fuse) of(host string) census { return f.young.of(host).plus(f.old.of(host)) }

// inApp counts the app's pushkeys, without those of tripped hosts.
func (f *fuse) inApp() census { return f.young.inApp().plus(f.old.inApp()) }

// fuseState is what a verdict did to a fuse.
type fuseState struct {
	// held means that the verdict is not believed, and record that there is room to record it.
	held, record bool
	// trips are the parts that tripped, and resets the parts that are believed again.
	trips  []trip
	resets []reset
}

// trip is a part of a fuse that has tripped: a host, or "" for the app.
type trip struct {
	host string
	// dead are the pushkeys whose rejections were recorded within the window and are withdrawn.
	dead []withdrawn
	// pushkeys is how many were rejected within the window.
	pushkeys int
	// told means that the trip is reported, and alarm that it alerts the operator.
	told, alarm bool
}

// withdrawn is a device whose rejection is withdrawn. known means that it was delivered to before.
type withdrawn struct {
	key   rejected.Key
	known bool
}

// reset is a part of a fuse that is believed again. alarm means that its trip had alerted the operator.
type reset struct {
	host  string
	alarm bool
}

// noted is a verdict on a device.
type noted struct {
	key  rejected.Key
	host string
	dead bool
	// known means that the device was delivered to before. record means that its rejection is recorded if it is believed, and fresh
	// that the record would be a new one.
	known, record, fresh bool
}

// note counts a verdict.
func (f *fuse) note(v noted, o FuseOptions, now time.Time) (s fuseState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.resets = f.age(o, now)
	v.known = v.known || f.young.known.has(v.key) || f.old.known.has(v.key)
	f.old.forget(v.key)
	f.young.forget(v.key)
	if !v.dead {
		delete(f.old.recorded, v.key)
		delete(f.young.recorded, v.key)
	}
	if v.known {
		f.young.known.set(v.key, v.host, v.dead, !f.hosts[v.host].known.IsZero())
	} else {
		f.young.strange.set(v.key, v.host, v.dead, f.hosts[v.host].tripped())
	}
	if v.host != "" {
		f.judgeHost(v.host, o, now, &s)
	}
	f.judge(o, now, &s)
	s.held = f.app.holds(v.known) || f.hosts[v.host].holds(v.known)
	if s.record = v.record && !s.held && f.hasRoom(v.known, v.fresh, now); s.record {
		f.young.recorded[v.key] = grave{v.host, v.known}
	}
	return s
}

// mayRecord reports whether there is room for a record of a device.
func (f *fuse) mayRecord(known, fresh bool, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hasRoom(known, fresh, now)
}

func (f *fuse) hasRoom(known, fresh bool, now time.Time) bool {
	room := len(f.young.recorded) < f.most && (known || !fresh || f.room.AllowN(now, 1))
	if !room {
		f.unrecorded++
	}
	return room
}

// exhume returns the pushkeys with a rejection recorded within the window, as far as wanted, and forgets that record.
func (f *fuse) exhume(wanted func(grave) bool) (dead []withdrawn) {
	for _, h := range []*fuseHalf{&f.young, &f.old} {
		for k, g := range h.recorded {
			if wanted(g) {
				dead = append(dead, withdrawn{k, g.known})
				delete(h.recorded, k)
			}
		}
	}
	return dead
}

// age forgets verdicts older than the window. Hosts without any verdict left are believed again.
func (f *fuse) age(o FuseOptions, now time.Time) (resets []reset) {
	if f.young.recorded == nil {
		f.young = newFuseHalf(now, f.most)
	}
	aged := false
	if now.Sub(f.young.born) >= o.Window/2 {
		f.old, f.young, aged = f.young, newFuseHalf(now, f.most), true
	}
	if now.Sub(f.old.born) >= o.Window*3/2 {
		f.old = fuseHalf{}
	}
	if !aged {
		return nil
	}
	for host, p := range f.hosts {
		if f.of(host).all.all == 0 {
			delete(f.hosts, host)
			f.changed(host)
			resets = append(resets, reset{host, !p.alarm.IsZero()})
		}
	}
	return resets
}

// changed notes that a part of the fuse tripped or was reset.
func (f *fuse) changed(host string) {
	f.seq++
	if host == "" {
		f.latest = f.seq
	} else {
		f.changes.Add(host, f.seq)
	}
}

// now returns the number of the latest change, to compare with when an attempt has ended.
func (f *fuse) now() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq
}

// changedSince reports whether the part of the fuse for a host has changed since a number, or may have changed.
func (f *fuse) changedSince(seq int, host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.latest > seq {
		return true
	}
	if host == "" {
		return false
	}
	if latest, ok := f.changes.Peek(host); ok {
		return latest > seq
	}
	return f.floor > seq
}

// reset forgets everything, and returns the parts that were tripped.
func (f *fuse) reset() (was []reset) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.app.tripped() {
		was = append(was, reset{"", !f.app.alarm.IsZero()})
	}
	for host, p := range f.hosts {
		was = append(was, reset{host, !p.alarm.IsZero()})
	}
	f.changed("")
	f.young, f.old, f.app = fuseHalf{}, fuseHalf{}, part{}
	clear(f.hosts)
	return was
}
