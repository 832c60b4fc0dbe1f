package e2e

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// failoverPushes is how many pushes must be accepted while servers of Redis fail. E2E_FAILOVER changes it.
func failoverPushes() int { return envNumber("E2E_FAILOVER", 1500) }

// storesAt returns the options of stores at some servers of Redis: the lines of both, and those of the outbox.
func storesAt(both, box string) string {
	both += "\ndial_timeout 2s\nread_timeout 2s\n"
	return "rejected redis {\n" + both + "}\noutbox redis {\n" + both + box + "\n}\n"
}

func sentinelLine(s *redistest.Sentinel) string {
	return "sentinel " + redistest.Master + " " + strings.Join(s.Addresses(), " ")
}

func clusterLine(c *redistest.Cluster) string { return "cluster " + strings.Join(c.Addresses(), " ") }

// mild is weather in which a quarter of the push servers have a fault, and no device is refused so often that its pushes wait for long.
func mild(random *rand.Rand, slot <-chan struct{}) behaviour {
	switch n := random.IntN(100); {
	case n < 75:
		return behaviour{}
	case n < 90:
		return behaviour{until: slot}
	case n < 98:
		return hasToWait
	default:
		return behaviour{cut: true}
	}
}

// withstand lets 64 users send events to two gateways in mild weather. After a third of the pushes, the accident happens; after two thirds,
// one gateway is killed and started again. The checker then wants all that was accepted. When servers
// fail, a delivery may not be written down, and nobody may know whether earlier pushes are pending. So pushes may be doubled or reordered. No
// device dies: a push that overtakes others may find out, and the others are then discarded.
func (s *sharedScene) withstand(accident func()) {
	s.t.Helper()
	dying, other := s.gateways[0], s.gateways[1]
	w := newWeather(s.unreliable)
	w.some = mild
	users := newUsers(w, []*homeserver{s.homeserver(dying, other), s.homeserver(other, dying), s.balanced(), s.balanced()})
	for _, u := range users {
		u.number = 3*u.number + 1 // whose devices do not die
	}
	end := w.begin(users, envSeed(s.t))
	most := failoverPushes()
	s.untilAccepted(most / 3)
	accident()
	s.untilAccepted(2 * most / 3)
	s.killed(func() {
		dying.kill()
		s.finish()
	})
	dying.start(s.config)
	s.untilAccepted(most)
	end()
	// Pushes are accepted faster than they are delivered one after the other.
	report := s.drainedWithin(outbox.LeaseTime+2*patience+time.Duration(most)*20*time.Millisecond, checker.Doubled, checker.Reordered)
	logReport(s.t, report)
	s.t.Logf("%d pushes were accepted", s.acceptedPushes())
}

// acceptedPushes returns how many pushes were answered with 200.
func (s *sharedScene) acceptedPushes() (n int) {
	s.evidence.mu.Lock()
	defer s.evidence.mu.Unlock()
	for _, q := range s.requests {
		if q.Status == http.StatusOK {
			n += len(q.Devices) - len(q.Rejected)
		}
	}
	return n
}

// untilAccepted waits until so many pushes were accepted.
func (s *sharedScene) untilAccepted(n int) {
	s.t.Helper()
	for at, before := time.Now(), -1; ; <-time.After(200 * time.Millisecond) {
		switch now := s.acceptedPushes(); {
		case now >= n:
			return
		case now > before:
			at, before = time.Now(), now
		case time.Since(at) > patience:
			s.t.Fatalf("%d pushes were accepted, and then no more", now)
		}
	}
}
