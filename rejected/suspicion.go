package rejected

import "time"

// Suspicion is that a pushkey may be dead, without proof: something answered that there is none, and it need not have been the push
// service. A proxy says 404 as well while the service behind it restarts, so it takes time, and a look at the others, to believe it.
type Suspicion struct {
	// Since is when a look first found the pushkey missing; zero if it is not suspected.
	Since time.Time
	// Looks counts the looks that did. Those that were under way together are one.
	Looks int
	// LookAt is when it is worth looking again.
	LookAt time.Time
}

const (
	// provedAfter is how long a pushkey has to be missing if its host took pushes for others meanwhile.
	provedAfter = 10 * time.Minute
	// lastingAfter and lastingLooks are how long, and at how many looks, if it did not: a host that only ever had dead ones.
	lastingAfter = 24 * time.Hour
	lastingLooks = 3
	// lookInterval is how often to look in the end.
	lookInterval = 30 * time.Minute
	// staleAfter is how late a look may be and still belong to the same suspicion. Later, nobody knows what was in between, and a clock
	// that starts in 1970 must not make a suspicion of a minute one of decades.
	staleAfter = 7 * 24 * time.Hour
)

// firstLooks are when to look again after the first time.
var firstLooks = [...]time.Duration{time.Minute, 3 * time.Minute, 10 * time.Minute}

// add is the suspicion after a look.
func (s Suspicion) add(at time.Time) Suspicion {
	if !s.Suspected() || s.stale(at) {
		s = Suspicion{Since: at}
	} else if at.Before(s.LookAt) {
		return s
	}
	s.LookAt = at.Add(lookInterval)
	for _, after := range firstLooks {
		if next := s.Since.Add(after); next.After(at) {
			s.LookAt = next
			break
		}
	}
	s.Looks++
	return s
}

// stale reports whether a look at a time starts a new suspicion: it comes much too late, or a clock that ran ahead was set back.
func (s Suspicion) stale(at time.Time) bool {
	return at.Sub(s.LookAt) >= staleAfter || s.Since.Sub(at) >= lookInterval
}

// Suspected reports whether there is a suspicion.
func (s Suspicion) Suspected() bool { return !s.Since.IsZero() }

// Proved reports whether a look at a time that found the pushkey missing proves it dead. Delivered is when the host last took a push for
// another device, as known when the look began; zero if it did not.
//
// What the host took after the look began proves nothing: the look may have met the last moment of a restart, and the push the first one
// after it. So at is best when the look began, and delivered read before it.
func (s Suspicion) Proved(at, delivered time.Time) bool {
	if !s.Suspected() {
		return false
	}
	lasted := at.Sub(s.Since)
	meanwhile := delivered.After(s.Since) && !delivered.After(at)
	return lasted >= provedAfter && meanwhile || lasted >= lastingAfter && s.Looks >= lastingLooks
}

// mark is LookAt in a [Mark]. It is rounded up: a look in the second before would not count.
func (s Suspicion) mark() uint32 {
	if !s.Suspected() {
		return 0
	}
	return uint32(min(max(s.LookAt.Add(time.Second-1).Unix(), 1), maxSecond))
}
