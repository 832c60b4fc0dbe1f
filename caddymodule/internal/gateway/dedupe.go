package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// eventKey identifies one event for one device; zero if the push must not be deduplicated.
type eventKey [16]byte

// keyOfEvent hashes what makes two pushes the same. The device's data is part of it. Two accounts on one device share app_id and
// pushkey, get the same event, and differ only in their data. For some providers, the data also holds the address.
func keyOfEvent(event string, d *providers.Device) eventKey {
	if event == "" {
		return eventKey{}
	}
	var buf [1024]byte
	b := buf[:0]
	for _, part := range [...]string{d.AppID, d.Pushkey, event} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	b = append(b, d.Data...)
	sum := sha256.Sum256(b)
	return eventKey(sum[:len(eventKey{})])
}

// deliveredSet remembers which events were delivered, for at least the window unless it overflows. It has two generations of a map
// without pointers. The old generation is forgotten when the young one is full or as old as the window. It is not safe for concurrent
// use.
type deliveredSet struct {
	young, old   map[eventKey]struct{}
	born, latest time.Time // when the young generation began, and when its latest event was added
}

// maxGeneration bounds a generation, to about 25 MB.
const maxGeneration = 500_000

func (s *deliveredSet) has(k eventKey) bool {
	if _, ok := s.young[k]; ok {
		return true
	}
	_, ok := s.old[k]
	return ok
}

// add remembers an event, and returns how many others it had to forget for that. It enforces the bound, since all events of an earlier
// process are added at once.
func (s *deliveredSet) add(k eventKey, now time.Time) (forgotten int) {
	if len(s.young) >= maxGeneration {
		forgotten = len(s.old)
		s.old, s.young = s.young, nil
	}
	if s.young == nil {
		s.young, s.born = make(map[eventKey]struct{}), now
	}
	s.young[k] = struct{}{}
	s.latest = now
	return forgotten
}

// age forgets events older than the window. With a window of 0 nothing is remembered.
func (s *deliveredSet) age(window time.Duration, now time.Time) {
	switch {
	case now.Sub(s.latest) >= window:
		*s = deliveredSet{}
	case s.young == nil:
	case now.Sub(s.born) >= window:
		s.old, s.young = s.young, nil
	}
}
