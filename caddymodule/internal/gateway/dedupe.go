package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// eventKey identifies one event for one device; zero if the push must not be deduplicated.
type eventKey [16]byte

// keyOfEvent hashes what makes a push the same. The data is part of it, since two accounts on one device share app_id and
// pushkey, get the same event, and tell it apart by their data. So is where the push goes, for the data say it where the pushkey does not.
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

// deliveredSet remembers which events were delivered, for at least the window if it is not flooded. It is two generations of
// a map without pointers: the older one is forgotten when the younger one is a window old or full. Not safe for concurrent use.
type deliveredSet struct {
	young, old   map[eventKey]struct{}
	born, latest time.Time // of the younger generation, and of its latest member
}

// maxGeneration bounds a generation: some 25 MB at worst.
const maxGeneration = 500_000

func (s *deliveredSet) has(k eventKey) bool {
	if _, ok := s.young[k]; ok {
		return true
	}
	_, ok := s.old[k]
	return ok
}

// add remembers an event. The bound is kept here: what an earlier process delivered comes all at once.
func (s *deliveredSet) add(k eventKey, now time.Time) {
	if len(s.young) >= maxGeneration {
		s.old, s.young = s.young, nil
	}
	if s.young == nil {
		s.young, s.born = make(map[eventKey]struct{}), now
	}
	s.young[k] = struct{}{}
	s.latest = now
}

// age forgets what is older than the window. With a window of 0 nothing is remembered.
func (s *deliveredSet) age(window time.Duration, now time.Time) {
	switch {
	case now.Sub(s.latest) >= window:
		*s = deliveredSet{}
	case s.young == nil:
	case now.Sub(s.born) >= window:
		s.old, s.young = s.young, nil
	}
}
