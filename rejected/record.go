package rejected

import "time"

const (
	// DefaultExpire is how long a record is kept after it was last seen.
	DefaultExpire = 90 * 24 * time.Hour

	firstProbe = time.Hour
	lastProbe  = 7 * 24 * time.Hour
)

// Record is all that a store knows of a pushkey that is dead or suspected.
type Record struct {
	// App is the pattern of the app that the latest verdict was learned with.
	App string
	// Reason is that of the latest verdict, or of the latest look if there is no verdict.
	Reason string
	// Condemned is the newest pushkey_ts that was proved dead, in milliseconds; 0 if no verdict had one. One that is more than a day ahead of
	// the clock counts as the time of the verdict: see [Registered].
	Condemned int64
	// Since is the newest time of death a push service gave, in milliseconds; 0 if none did.
	Since int64
	// FirstSeen is when the first verdict was learned, or the first look if there is no verdict. LastSeen is when a notification last asked
	// for the pushkey.
	FirstSeen, LastSeen time.Time
	// ProbeAt is from when on a notification without pushkey_ts is tried again; zero if there is no verdict.
	ProbeAt time.Time
	// Verdicts counts the verdicts; 0 if the pushkey is only suspected.
	Verdicts int
	// Suspicion is whether the pushkey may be dead, without proof.
	Suspicion Suspicion
}

// Add is the record after one more verdict.
//
// A notification without pushkey_ts cannot prove that the client registered again, so it is let through to probe after 1 h, and
// after twice as long each time the verdict is the same, up to 7 d.
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
	// Verdicts of pushes that were in flight together are one probe, not several.
	if r.Verdicts == 0 || !v.At.Before(r.ProbeAt) {
		r.Verdicts++
		r.ProbeAt = v.At.Add(probeInterval(r.Verdicts))
	}
	r.Suspicion = Suspicion{}
	return r
}

// maxAhead is how far a homeserver's clock may run ahead of ours.
const maxAhead = 24 * time.Hour

// Registered is a pushkey_ts (milliseconds) as it may be believed at a time. One that is more than a day ahead is made up, or of a clock that
// is wrong: it counts as that time, so what is learned with it condemns no registration that is yet to come.
func Registered(pushkeyTS int64, at time.Time) int64 {
	if now := at.UnixMilli(); pushkeyTS > now+maxAhead.Milliseconds() {
		return max(now, 0)
	}
	return pushkeyTS
}

// plausible is Condemned, unless it is further ahead of the verdicts than a clock may be: earlier versions took any pushkey_ts. Each verdict
// was learned before ProbeAt, so then it is the time of the one that ProbeAt was reckoned from.
func (r Record) plausible() int64 {
	if r.Verdicts == 0 || r.Condemned <= r.ProbeAt.Add(maxAhead).UnixMilli() {
		return r.Condemned
	}
	return max(r.ProbeAt.Add(-probeInterval(r.Verdicts)).UnixMilli(), 0)
}

// Suspect is the record after a look that found the pushkey missing. Verdicts stay, and so does what they say.
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

// Acquit is the record without its suspicion, and whether anything is left of it.
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

// Mark is the part of a record that decides: what a store keeps in memory for every record, 12 bytes without a pointer.
type Mark struct {
	// Condemned is the last second of pushkey_ts that is dead; 0 if no verdict named a time.
	Condemned uint32
	// ProbeAt is the second from which on a notification without pushkey_ts is tried again; 0 if there is no verdict.
	ProbeAt uint32
	// LookAt is the second from which on a suspected pushkey is looked at again; 0 if it is not suspected.
	LookAt uint32
}

// Mark is the record's mark; the zero Mark if there is neither a verdict nor a suspicion.
//
// Homeservers send pushkey_ts in whole seconds, so it is compared in whole seconds, and a device that registered within the second in
// which APNs says the token died is given the benefit of the doubt.
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

// Rejects says whether a notification with this pushkey_ts (milliseconds, 0 if it has none) is answered as rejected.
//
// The clock is compared only with our own: with a pushkey_ts, the homeserver's times alone decide.
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

// Waits reports whether the pushkey is suspected, and it is too early to look again. A LookAt that is further away than looks ever are
// comes from a wrong clock, and keeps nobody waiting.
func (m Mark) Waits(now time.Time) bool {
	early := int64(m.LookAt) - now.Unix()
	return early > 0 && early <= int64(lookInterval/time.Second)+1
}
