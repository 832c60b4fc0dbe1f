package gateway

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// historyMinutes is how many minutes a history has: the running one, and those before it.
const historyMinutes = 60

// kinds are the words of [Attempt.Kind], by which a history counts.
var kinds = [...]string{
	"delivered", "retry", "rejected", "suspected", "dropped", "misconfigured", kindUnauthorized, kindDoubted, kindHeld, kindOutdated,
}

// history counts an app's pushes of the last hour, by kind and minute. To count a push is one atomic addition. Only the first push of a
// minute takes the lock.
//
// Minutes are numbers of the monotonic clock, see Shared.minute. So a history keeps its order whatever the wall clock does. A push
// counts in the minute that is running when it is counted: a late writer can't change a minute that has ended. No push is lost, and none
// counts twice.
type history struct {
	running [len(kinds)]atomic.Uint32
	minute  atomic.Int64 // which minute is running; only roll changes it

	mu sync.Mutex
	// past is a ring. The running minute's place still has the minute that ended an hour earlier.
	past [historyMinutes][len(kinds)]rounded
}

// count counts pushes that ended with a kind.
func (h *history) count(kind string, pushes int, minute int64) {
	if minute > h.minute.Load() {
		h.roll(minute)
	}
	h.running[slices.Index(kinds[:], kind)].Add(uint32(pushes))
}

// roll ends the running minute, if a later one has begun.
func (h *history) roll(minute int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.minute.Load()
	if minute <= was {
		return
	}
	for kind := range kinds {
		h.past[was%historyMinutes][kind] = roundDown(h.running[kind].Swap(0))
	}
	for idle := max(was+1, minute-historyMinutes); idle < minute; idle++ {
		h.past[idle%historyMinutes] = [len(kinds)]rounded{}
	}
	h.minute.Store(minute)
}

// hour returns the counts of the hour that ends with a minute, by kind. Kinds without a push are absent.
func (h *history) hour(minute int64) map[string][]uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts := make(map[string][]uint32)
	for kind, name := range kinds {
		var of [historyMinutes]uint32
		for i := range of {
			of[i] = h.at(minute-historyMinutes+1+int64(i), kind)
		}
		if of != [historyMinutes]uint32{} {
			counts[name] = slices.Clone(of[:])
		}
	}
	return counts
}

// at returns the count of a minute. The caller holds mu.
func (h *history) at(minute int64, kind int) uint32 {
	switch running := h.minute.Load(); {
	case minute == running:
		return h.running[kind].Load()
	case minute < 0, minute > running, minute < running-historyMinutes:
		return 0
	default:
		return h.past[minute%historyMinutes][kind].value()
	}
}

// rounded is a count in 16 bits, as a minute that has ended is kept: a number of 12 bits, and in the upper 4 bits how far it is shifted.
// Counts up to 4095 are exact. Larger ones are too small by less than 0.05 %, and none is more than 134 million.
type rounded uint16

const roundedBits = 12

func roundDown(n uint32) rounded {
	shift := min(max(0, bits.Len32(n)-roundedBits), 1<<(16-roundedBits)-1)
	return rounded(shift<<roundedBits) | rounded(min(n>>shift, 1<<roundedBits-1))
}

func (r rounded) value() uint32 { return uint32(r&(1<<roundedBits-1)) << (r >> roundedBits) }

// History is how many pushes of the last hour ended with which outcome, minute by minute.
type History struct {
	// Since is when the first minute began.
	Since time.Time `json:"since"`
	// Minutes is how many there are. The last one is running.
	Minutes int          `json:"minutes"`
	Apps    []AppHistory `json:"apps"`
}

// AppHistory is an app's part of a history.
type AppHistory struct {
	// App is its pattern.
	App string `json:"app"`
	// Outcomes has the number of pushes of each minute, by the words of the metric. Outcomes without a push are absent.
	Outcomes map[string][]uint32 `json:"outcomes"`
}

// History returns the pushes of the last hour, of all apps.
func (g *Gateway) History() History {
	now := g.Now()
	began := now.Add(-(g.Shared.elapsed(now) % time.Minute)).Round(time.Second)
	h := History{Since: began.Add(-(historyMinutes - 1) * time.Minute), Minutes: historyMinutes, Apps: []AppHistory{}}
	for _, app := range g.Router.Apps() {
		h.Apps = append(h.Apps, AppHistory{app.Pattern, app.history.hour(g.Shared.minute(now))})
	}
	return h
}

// historyOf returns the history of an app that this gateway has, too, or a new one. The gateway may be nil.
func (g *Gateway) historyOf(pattern string) *history {
	if g != nil {
		if app := g.Router.Configured(pattern); app != nil {
			return app.history
		}
	}
	return new(history)
}

// elapsed returns the time since minute 0 began, the minute of the wall clock in which the process began.
func (s *Shared) elapsed(now time.Time) time.Duration { return max(0, now.Sub(s.minute0)) }

// minute returns the number of the minute that is running at a time.
func (s *Shared) minute(now time.Time) int64 { return int64(s.elapsed(now) / time.Minute) }

// minuteOf returns when a time's minute began. It keeps the monotonic reading, which Truncate removes.
func minuteOf(t time.Time) time.Time {
	return t.Add(-time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
}
