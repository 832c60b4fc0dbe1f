package file

import (
	"sync"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	shards = 256
	// maxSeen bounds how many lookups a shard remembers between two writes: 12 MB in all. Lookups beyond that leave no trace, which matters
	// only for a record that is looked up once in its whole life.
	maxSeen = 1024
)

// index has in memory what decides about every record. The keys are hashes, so their first byte spreads them evenly. Neither keys nor marks
// have pointers, so the garbage collector has nothing to follow in millions of them.
type index [shards]shard

type shard struct {
	mu sync.RWMutex
	// marks has the marks of all records once the shard is loaded. Before that, it has the changes since the start, of which the verdicts
	// count.
	marks  marks
	loaded bool

	// seen has the second of the last lookup of each record that was looked up since the last write of lookups.
	seenMu sync.Mutex
	seen   map[rejected.Key]uint32
}

func (x *index) shard(k rejected.Key) *shard { return &x[k[0]] }

// lookup returns a mark, and remembers that it was seen. It reports whether lookups should be written now. Before the shard is loaded, a
// lookup leaves no trace, and the file may have more.
func (x *index) lookup(k rejected.Key, second uint32) (m rejected.Mark, crowded, loaded bool) {
	s := x.shard(k)
	s.mu.RLock()
	m, ok := s.marks.get(k)
	loaded = s.loaded
	s.mu.RUnlock()
	if !ok || !loaded {
		return m, false, loaded
	}
	return m, x.see(k, second), true
}

// see remembers a lookup, and reports whether lookups should be written now.
func (x *index) see(k rejected.Key, second uint32) (crowded bool) {
	s := x.shard(k)
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	return s.see(k, second)
}

// see remembers a lookup; the caller holds seenMu.
func (s *shard) see(k rejected.Key, second uint32) (crowded bool) {
	if s.seen == nil {
		s.seen = make(map[rejected.Key]uint32)
	}
	last, ok := s.seen[k]
	if ok || len(s.seen) < maxSeen {
		s.seen[k] = max(last, second)
	}
	return len(s.seen) >= maxSeen/2
}

// set makes a key at least as dead as m, and as suspected as m. Verdicts only ever grow, so the order of simultaneous ones doesn't matter,
// but a suspicion comes and goes. So set is called in a transaction, where the changes of a key have an order.
func (x *index) set(k rejected.Key, m rejected.Mark) {
	s := x.shard(k)
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	before, _ := s.marks.get(k)
	s.put(k, grown(before, m))
}

// raise makes a key at least as dead as m, and keeps its suspicion. It needs no transaction.
func (x *index) raise(k rejected.Key, m rejected.Mark) {
	s := x.shard(k)
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	before, _ := s.marks.get(k)
	m.LookAt = before.LookAt
	s.put(k, grown(before, m))
}

// put stores a mark, or removes the key if the mark is empty; the caller holds both locks.
func (s *shard) put(k rejected.Key, m rejected.Mark) {
	s.marks.put(k, m)
	if m == (rejected.Mark{}) {
		delete(s.seen, k)
	}
}

// grown returns a mark that is at least as dead as both, and as suspected as the second.
func grown(a, b rejected.Mark) rejected.Mark {
	return rejected.Mark{Condemned: max(a.Condemned, b.Condemned), ProbeAt: max(a.ProbeAt, b.ProbeAt), LookAt: b.LookAt}
}

// fill makes a shard loaded, with the marks on disk and the verdicts since the start. The caller makes sure that none of its records
// changes on disk meanwhile.
func (x *index) fill(i int, disk marks) {
	s := &x[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.marks.dead {
		since, _ := s.marks.get(k)
		m, _ := disk.get(k)
		disk.put(k, grown(since, m)) // a suspicion counts only if it is on disk
	}
	s.marks, s.loaded = disk, true
}

// suspected reports whether a key is suspected, and whether that is known because its shard is loaded.
func (x *index) suspected(k rejected.Key) (yes, known bool) {
	s := x.shard(k)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.marks.looks[k] > 0, s.loaded
}

// peek returns a mark without leaving a trace, and when it was seen if that is not yet on disk.
func (x *index) peek(k rejected.Key) (m rejected.Mark, seen uint32) {
	s := x.shard(k)
	s.mu.RLock()
	m, _ = s.marks.get(k)
	s.mu.RUnlock()
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	return m, s.seen[k]
}

func (x *index) remove(k rejected.Key) {
	s := x.shard(k)
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(k, rejected.Mark{})
}

// removeUnseen removes a mark unless it was looked up since the last write of lookups.
func (x *index) removeUnseen(k rejected.Key) bool {
	s := x.shard(k)
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	if _, ok := s.seen[k]; ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks.remove(k)
	return true
}

// crowdOut removes marks from a new key's shard if it is full, and returns their keys. It removes any two at most, so a shard that had too
// many shrinks. Recently looked up ones stay as long as there are others.
func (x *index) crowdOut(k rejected.Key, most int) (removed []rejected.Key) {
	s := x.shard(k)
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.marks.get(k); ok || !s.loaded {
		return nil
	}
	spare := len(s.seen)              // this many may be skipped
	for other := range s.marks.dead { // begins at a random place
		if len(removed) == 2 || s.marks.len() < most {
			break
		}
		if _, ok := s.seen[other]; ok && spare < s.marks.len() {
			continue
		}
		s.put(other, rejected.Mark{})
		removed = append(removed, other)
	}
	return removed
}

// takeSeen moves a shard's lookups to the batch.
func (x *index) takeSeen(i int, batch map[rejected.Key]uint32) {
	s := &x[i]
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	for k, second := range s.seen {
		batch[k] = second
	}
	s.seen = nil
}

// giveBack puts back a batch that could not be written.
func (x *index) giveBack(batch map[rejected.Key]uint32) {
	for k, second := range batch {
		x.see(k, second)
	}
}

func (x *index) len() int {
	n := 0
	for i := range x {
		x[i].mu.RLock()
		n += x[i].marks.len()
		x[i].mu.RUnlock()
	}
	return n
}

func (x *index) clear() {
	for i := range x {
		s := &x[i]
		s.seenMu.Lock()
		s.mu.Lock()
		s.marks, s.seen, s.loaded = marks{}, nil, false
		s.mu.Unlock()
		s.seenMu.Unlock()
	}
}
