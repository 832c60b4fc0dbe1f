package memory

import (
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// table is what the configurations share. A lookup changes the order of use, so an RWMutex would gain nothing.
type table struct {
	mu      sync.Mutex
	now     func() time.Time
	records *simplelru.LRU[rejected.Key, packed] // nil before the first configuration opens it and after the last is gone
	closed  bool
	live    []*Store // whose settings may apply, newest last
	expire  time.Duration
}

func newTable(now func() time.Time) *table { return &table{now: now} }

// open makes s the newest configuration that went live. A second call changes nothing.
func (t *table) open(s *Store) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return rejected.ErrNotOpen
	}
	if t.records == nil {
		records, err := simplelru.NewLRU[rejected.Key, packed](s.MaxEntries, nil)
		if err != nil {
			return err
		}
		t.records = records
	}
	if !slices.Contains(t.live, s) {
		t.live = append(t.live, s)
		t.apply()
	}
	return nil
}

// release forgets a configuration.
func (t *table) release(s *Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = slices.DeleteFunc(t.live, func(o *Store) bool { return o == s })
	t.apply()
}

// apply puts the newest configuration's settings into use; the caller holds the lock.
func (t *table) apply() {
	if len(t.live) == 0 {
		return
	}
	newest := t.live[len(t.live)-1]
	t.expire = time.Duration(newest.Expire)
	t.records.Resize(newest.MaxEntries)
}

// Destruct closes the table when the last configuration is gone.
func (t *table) Destruct() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records, t.closed = nil, true
	return nil
}

func (t *table) lookup(keys []rejected.Key, marks []rejected.Mark) error {
	clear(marks)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == nil {
		return rejected.ErrNotOpen
	}
	now := t.now()
	for i, key := range keys {
		p, ok := t.current(key, now)
		if !ok {
			continue
		}
		if now.After(p.lastSeen) {
			p.lastSeen = now
		}
		t.records.Add(key, p)
		marks[i] = p.record().Mark()
	}
	return nil
}

func (t *table) reject(key rejected.Key, v rejected.Verdict) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == nil {
		return rejected.ErrNotOpen
	}
	t.records.Add(key, pack(t.record(key).Add(v)))
	return nil
}

func (t *table) suspect(key rejected.Key, v rejected.Verdict) (rejected.Suspicion, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == nil {
		return rejected.Suspicion{}, rejected.ErrNotOpen
	}
	r := t.record(key).Suspect(v)
	t.records.Add(key, pack(r))
	return r.Suspicion, nil
}

func (t *table) acquit(key rejected.Key) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == nil {
		return rejected.ErrNotOpen
	}
	r := t.record(key)
	if !r.Suspicion.Suspected() {
		return nil
	}
	if left, some := r.Acquit(); some {
		t.records.Add(key, pack(left))
	} else {
		t.records.Remove(key)
	}
	return nil
}

func (t *table) get(key rejected.Key) (rejected.Record, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == nil {
		return rejected.Record{}, rejected.ErrNotOpen
	}
	p, ok := t.current(key, t.now())
	if !ok {
		return rejected.Record{}, rejected.ErrNotFound
	}
	return p.record(), nil
}

func (t *table) forget(key rejected.Key) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == nil {
		return rejected.ErrNotOpen
	}
	t.records.Remove(key)
	return nil
}

func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == nil {
		return 0
	}
	return t.records.Len()
}

// record returns the current record of a key, or a new one; the caller holds the lock.
func (t *table) record(key rejected.Key) rejected.Record {
	p, ok := t.current(key, t.now())
	if !ok {
		return rejected.Record{}
	}
	return p.record()
}

// current returns the record of a key, unless it has expired: then it removes the record. It does not change the order of use.
func (t *table) current(key rejected.Key, now time.Time) (packed, bool) {
	p, ok := t.records.Peek(key)
	if !ok {
		return packed{}, false
	}
	if now.Sub(p.lastSeen) >= t.expire {
		t.records.Remove(key)
		return packed{}, false
	}
	return p, true
}

// Interface guard
var _ caddy.Destructor = (*table)(nil)
