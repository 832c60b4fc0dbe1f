package rejected

import "time"

// Suspicion means that a pushkey may be dead, without proof: something answered that the pushkey does not exist, but not necessarily
// the push service. A proxy also answers 404 while the service behind it restarts. So a suspicion is believed only after some time, and
// after a check of whether the host took other pushes.
type Suspicion struct {
	// Since is when the pushkey was first found missing; zero if it is not suspected.
	Since time.Time
	// Looks counts the looks that found it missing. Looks that ran at the same time count as one.
	Looks int
	// LookAt is when to look again.
	LookAt time.Time
}

const (
	// provedAfter is how long a pushkey must be missing if its host took pushes for other devices in the meantime.
	provedAfter = 10 * time.Minute
	// lastingAfter and lastingLooks are how long, and at how many looks, it must be missing otherwise. All devices of such a host may
	// be dead.
	lastingAfter = 24 * time.Hour
	lastingLooks = 3
	// lookInterval is the time between two looks, once firstLooks are over.
	lookInterval = 30 * time.Minute
	// staleAfter is how late a look may be and still belong to the same suspicion. After that, it is unknown what happened in between.
	// A clock that starts in 1970 must not turn a suspicion of a minute into one of decades.
	staleAfter = 7 * 24 * time.Hour
)

// firstLooks are when to look again after the first time.
var firstLooks = [...]time.Duration{time.Minute, 3 * time.Minute, 10 * time.Minute}

// add returns the suspicion after a look.
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

// stale reports whether a look at a time starts a new suspicion. It does if it is much too late, or if a clock that ran ahead was set
// back.
func (s Suspicion) stale(at time.Time) bool {
	return at.Sub(s.LookAt) >= staleAfter || s.Since.Sub(at) >= lookInterval
}

// Suspected reports whether there is a suspicion.
func (s Suspicion) Suspected() bool { return !s.Since.IsZero() }

// Proved reports whether a look at a time, which found the pushkey missing, proves it dead. delivered is when the host had last taken a
// push for another device when the look began; zero if it had not.
//
// A push that the host took after the look began proves nothing. The look may have hit the last moment of a restart, and the push the
// first moment after it. So at should be when the look began, and delivered should be read before the look.
func (s Suspicion) Proved(at, delivered time.Time) bool {
	if !s.Suspected() {
		return false
	}
	lasted := at.Sub(s.Since)
	meanwhile := delivered.After(s.Since) && !delivered.After(at)
	return lasted >= provedAfter && meanwhile || lasted >= lastingAfter && s.Looks >= lastingLooks
}

// mark returns LookAt for a [Mark]. It is rounded up, because a look in the second before would not count.
func (s Suspicion) mark() uint32 {
	if !s.Suspected() {
		return 0
	}
	return uint32(min(max(s.LookAt.Add(time.Second-1).Unix(), 1), maxSecond))
}
