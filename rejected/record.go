package rejected

import "time"

const (
	// DefaultExpire is how long a record is kept after it was last seen.
	DefaultExpire = 90 * 24 * time.Hour

	firstProbe = time.Hour
	lastProbe  = 7 * 24 * time.Hour
)

// Record is everything that a store knows about a dead or suspected pushkey.
type Record struct {
	// App is the pattern of the app of the latest verdict.
	App string
	// Reason is the reason of the latest verdict, or of the latest look if there is no verdict.
	Reason string
	// Condemned is the newest pushkey_ts that was proved dead, in milliseconds; 0 if no verdict had one. A pushkey_ts more than a day
	// ahead of the clock counts as the time of the verdict: see [Registered].
	Condemned int64
	// Since is the newest time of death that a push service gave, in milliseconds; 0 if none did.
	Since int64
	// FirstSeen is the time of the first verdict, or of the first look if there is no verdict. LastSeen is when a notification last
	// asked for the pushkey.
	FirstSeen, LastSeen time.Time
	// ProbeAt is the time after which a notification without pushkey_ts is tried again; zero if there is no verdict.
	ProbeAt time.Time
	// Verdicts is the number of verdicts; 0 if the pushkey is only suspected.
	Verdicts int
	// Suspicion means that the pushkey may be dead, without proof.
	Suspicion Suspicion
}

// Add returns the record after one more verdict.
//
// A notification without pushkey_ts cannot show that the client has registered again. So one is let through as a probe after 1 h, and
// then after twice as long each time the verdict is the same, up to 7 d.
func (r Record) Add(v Verdict) Record {
	if r.Verdicts == 0 {
		r.FirstSeen = v.At
	}
	r.App, r.Reason = v.App, v.Reason
	r.Condemned = max(r.plausible(), Registered(v.PushkeyTS, v.At))
	if !v.Since.IsZero() {
		r.Since = max(r.Since, v.Since.UnixMilli())
	}
	if v.At.After(r.LastSeen) {
		r.LastSeen = v.At
	}
	// Verdicts of pushes that were in flight at the same time are one probe.
	if r.Verdicts == 0 || !v.At.Before(r.ProbeAt) {
		r.Verdicts++
		r.ProbeAt = v.At.Add(probeInterval(r.Verdicts))
	}
	r.Suspicion = Suspicion{}
	return r
}

// maxAhead is how far a homeserver's clock may run ahead of ours.
const maxAhead = 24 * time.Hour

// Registered returns a pushkey_ts (in milliseconds) as far as it is believed at a time. A pushkey_ts more than a day ahead is invented,
// or comes from a wrong clock. It counts as that time, so a verdict with it condemns no future registration.
func Registered(pushkeyTS int64, at time.Time) int64 {
	if now := at.UnixMilli(); pushkeyTS > now+maxAhead.Milliseconds() {
		return max(now, 0)
	}
	return pushkeyTS
}

// plausible returns Condemned, unless it is implausibly far ahead of the verdicts: earlier versions accepted any pushkey_ts. Then it
// returns the time of the verdict that ProbeAt was computed from. No verdict is later than ProbeAt.
func (r Record) plausible() int64 {
	if r.Verdicts == 0 || r.Condemned <= r.ProbeAt.Add(maxAhead).UnixMilli() {
		return r.Condemned
	}
	return max(r.ProbeAt.Add(-probeInterval(r.Verdicts)).UnixMilli(), 0)
}

// Suspect returns the record after a look that found the pushkey missing. Verdicts stay in force.
func (r Record) Suspect(v Verdict) Record {
	r.Suspicion = r.Suspicion.add(v.At)
	if r.Verdicts == 0 {
		r.App, r.Reason, r.FirstSeen = v.App, v.Reason, r.Suspicion.Since
	}
	if v.At.After(r.LastSeen) {
		r.LastSeen = v.At
	}
	return r
}

// Acquit returns the record without its suspicion, and reports whether anything is left of it.
func (r Record) Acquit() (left Record, some bool) {
	r.Suspicion = Suspicion{}
	return r, r.Verdicts > 0
}

func probeInterval(verdicts int) time.Duration {
	d := firstProbe
	for range verdicts - 1 {
		if d *= 2; d >= lastProbe {
			return lastProbe
		}
	}
	return d
}

// Mark is the part of a record that decisions depend on. A store keeps it in memory for every record: 12 bytes without a pointer.
type Mark struct {
	// Condemned is the last dead second of pushkey_ts; 0 if no verdict had a time.
	Condemned uint32
	// ProbeAt is the second from which a notification without pushkey_ts is tried again; 0 if there is no verdict.
	ProbeAt uint32
	// LookAt is the second from which a suspected pushkey is looked at again; 0 if it is not suspected.
	LookAt uint32
}

// Mark returns the record's mark; the zero Mark if there is neither a verdict nor a suspicion.
//
// Homeservers send pushkey_ts in whole seconds, so whole seconds are compared. A device that registered in the same second in which its
// token died, according to APNs, gets the benefit of the doubt.
func (r Record) Mark() Mark {
	m := Mark{LookAt: r.Suspicion.mark()}
	if r.Verdicts == 0 {
		return m
	}
	condemned := r.plausible() / 1000
	if r.Since > 0 {
		condemned = max(condemned, r.Since/1000-1)
	}
	m.Condemned = uint32(min(max(condemned, 0), maxSecond))
	m.ProbeAt = uint32(min(max(r.ProbeAt.Unix(), 1), maxSecond))
	return m
}

const maxSecond = 1<<32 - 1

// Rejects reports whether a notification with this pushkey_ts (in milliseconds, 0 if it has none) is answered as rejected.
//
// The clock is only compared with our own times. If there is a pushkey_ts, only the homeserver's times decide.
func (m Mark) Rejects(pushkeyTS int64, now time.Time) bool {
	switch {
	case m.ProbeAt == 0:
		return false
	case pushkeyTS == 0:
		return now.Unix() < int64(m.ProbeAt)
	default:
		return m.Condemned > 0 && pushkeyTS/1000 <= int64(m.Condemned)
	}
}

// Waits reports whether the pushkey is suspected and it is too early to look again. A LookAt further ahead than any look comes from a
// wrong clock, and is ignored.
func (m Mark) Waits(now time.Time) bool {
	early := int64(m.LookAt) - now.Unix()
	return early > 0 && early <= int64(lookInterval/time.Second)+1
}
