package redis

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// freshFor is how long a mark in memory is believed: what another gateway forgets is rejected no longer than that.
	freshFor = 5 * time.Second
	// maxFront bounds the marks in memory: some 4 MB.
	maxFront = 32 * 1024
)

// front is what is in memory of the records that were asked for lately. Keys without a record are not in it: what another gateway learns
// counts at once.
type front struct {
	mu      sync.Mutex
	records *simplelru.LRU[rejected.Key, known]
	changes uint64 // counts those of this process
}

// known is what is known of a record.
type known struct {
	mark   rejected.Mark
	read   time.Time // when it was in Redis
	seen   time.Time // by this process, the last time
	stored time.Time // the last time it was seen, by what Redis has
}

func newFront() *front {
	records, err := simplelru.NewLRU[rejected.Key, known](maxFront, nil)
	if err != nil {
		panic(err) // not with a positive size
	}
	return &front{records: records}
}

// lookup returns the mark of a key if it is fresh, and not of one that is suspected: another gateway may acquit it, or prove it, at any
// time. It remembers that the key was seen, and says whether that is to be written down, which it is once in an interval.
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

// generation is for learn to tell whether something changed meanwhile.
func (f *front) generation() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

// learn takes in what was read in Redis, unless this process has changed something since the generation.
func (f *front) learn(k rejected.Key, r known, generation uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changes == generation {
		f.records.Add(k, r)
	}
}

// seen is when this process last saw a record; zero if it does not know.
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
