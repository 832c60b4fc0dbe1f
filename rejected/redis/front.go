package redis

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// freshFor is how long a mark in memory counts. A record that another gateway forgets is rejected no longer than that.
	freshFor = 5 * time.Second
	// maxFront bounds the marks in memory: some 4 MB.
	maxFront = 32 * 1024
)

// front has in memory what is known about recently requested records. Keys without a record are not in it, so what another gateway learns
// counts at once.
type front struct {
	mu      sync.Mutex
	records *simplelru.LRU[rejected.Key, known]
	changes uint64 // counts the changes by this process
}

// known is what is known of a record.
type known struct {
	mark   rejected.Mark
	read   time.Time // when it was in Redis
	seen   time.Time // when this process last saw it
	stored time.Time // when it was last seen according to Redis
}

func newFront() *front {
	records, err := simplelru.NewLRU[rejected.Key, known](maxFront, nil)
	if err != nil {
		panic(err) // not with a positive size
	}
	return &front{records: records}
}

// lookup returns the mark of a key if it is fresh and the key is not suspected: another gateway may acquit or prove a suspected one at any
// time. It remembers that the key was seen, and reports whether to write that now, which happens once in an interval.
func (f *front) lookup(k rejected.Key, now time.Time, interval time.Duration) (m rejected.Mark, touch, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.records.Get(k)
	if !ok || now.Sub(r.read) >= freshFor || r.mark.LookAt > 0 {
		return rejected.Mark{}, false, false
	}
	r.seen = later(r.seen, now)
	if touch = now.Sub(r.stored) >= interval; touch {
		r.stored = now
	}
	f.records.Add(k, r)
	return r.mark, touch, true
}

// generation lets learn find out whether something changed meanwhile.
func (f *front) generation() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

// learn stores what was read from Redis, unless this process has changed something since the generation.
func (f *front) learn(k rejected.Key, r known, generation uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changes == generation {
		f.records.Add(k, r)
	}
}

// seen returns when this process last saw a record; zero if unknown.
func (f *front) seen(k rejected.Key) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, _ := f.records.Peek(k)
	return r.seen
}

// remove is called when this process has changed a record. What is being read meanwhile is not learned.
func (f *front) remove(k rejected.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records.Remove(k)
	f.changes++
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
