package describe

import (
	"fmt"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// NamePending is the name of the fact whether a device has pending pushes.
const NamePending = "Pending pushes"

// Explanation describes what the gateway knows about a device. Its sentence is how the next notification would be answered.
func (c Clock) Explanation(e gateway.Explanation) Report {
	app := e.App
	switch {
	case app == "" && e.Unusable != nil:
		app = "none"
	case app == "":
		app = "unknown"
	}
	r := Report{Facts: []Fact{{"Pushkey hash", e.PushkeyHash}, {"App", app}}}
	r.Tone, r.Sentence = c.foreseen(e)
	if u := e.Unusable; u != nil {
		r.add(Fact{"Unusable", withDetail(u.Reason, u.Detail)}, Fact{"Meaning", u.Explanation})
	}
	if record := e.Record; record != nil {
		if record.Dead() {
			r.add(c.verdict(record)...)
		} else {
			r.add(Fact{"Reason", record.Reason + ", recorded for the app " + record.App}, Fact{"Meaning", record.Explanation})
		}
		r.add(c.suspicion(record)...)
	}
	if l := e.Last; l != nil {
		r.add(Fact{"Last attempt", c.When(l.At)}, Fact{"Outcome", l.Outcome + ": " + l.Reason}, Fact{"Service reason", l.Word},
			Fact{"Detail", l.Detail}, Fact{"Meaning", l.Explanation})
	}
	waiting := "no"
	if e.Waiting {
		waiting = "yes"
	}
	r.add(Fact{NamePending, waiting}, Fact{"Note", e.Note})
	r.Facts = meantOnce(r.Facts)
	return r
}

func (r *Report) add(facts ...Fact) { r.Facts = append(r.Facts, facts...) }

// foreseen returns how the next notification for a device would be answered.
func (c Clock) foreseen(e gateway.Explanation) (Tone, string) {
	const unmatched = "No app in the configuration matches the app_id, or no site uses the app."
	unknown := e.Unusable != nil && e.Unusable.Reason == "unknown_app"
	switch r := e.Record; {
	case unknown && e.Held != "":
		return Warning, unmatched + " The fuse holds back the rejection: the gateway answers with 503."
	case unknown:
		return Bad, unmatched + " The gateway rejects every notification for it."
	case e.Unusable != nil:
		return Bad, "The pushkey is unusable: the gateway rejects every notification for it."
	case r != nil && r.Dead() && r.CondemnedUntil == nil && !r.ProbeAt.After(c()):
		return Bad, "The pushkey is recorded as dead, but the gateway sends the next notification to check it."
	case r != nil && r.Dead():
		return Bad, "The pushkey is recorded as dead."
	case e.Held == gateway.HeldByFuse:
		return Warning, "The push service reported the pushkey as dead, but the fuse holds back the rejection."
	case e.Held != "":
		return Warning, "The push service reported the pushkey as dead, but the gateway doubts it: a wrong setting may be the cause."
	case r != nil:
		return Warning, "The pushkey is suspected to be dead, but not rejected."
	case e.Note != "": // it depends on what the note says
		return Good, "The pushkey is not recorded as dead."
	default:
		return Good, "The pushkey is not recorded as dead. The gateway sends the next notification to its push service."
	}
}

func (c Clock) verdict(r *gateway.RecordStatus) []Fact {
	return []Fact{
		{"Verdict", r.Reason + ", recorded for the app " + r.App},
		{"Meaning", r.Explanation},
		{"First seen", c.When(r.FirstSeen)},
		{"Last seen", c.When(r.LastSeen)},
		{"Verdicts", fmt.Sprint(r.Verdicts)},
		{"Dead since", c.Whenever(r.ServiceTime)},
		{"Rejected", c.condemned(r)},
		{"Next probe", "not before " + c.When(r.ProbeAt) + ", when a notification without pushkey_ts arrives"},
	}
}

// condemned returns which registrations are rejected.
func (c Clock) condemned(r *gateway.RecordStatus) string {
	if r.CondemnedUntil == nil {
		return ""
	}
	return "pushers registered at or before " + c.When(*r.CondemnedUntil) + "; later ones get pushes"
}

// suspicion returns what a suspicion is based on, and what ends it: see rejected.Suspicion.
func (c Clock) suspicion(r *gateway.RecordStatus) []Fact {
	s := r.Suspicion
	if s == nil {
		return nil
	}
	next := c.When(s.LookAt) + "; pushes stay pending until then"
	if !s.LookAt.After(c()) {
		next = "due since " + c.When(s.LookAt) + "; the next push checks the pushkey"
	}
	return []Fact{
		{"Suspected since", c.When(s.Since)},
		{"Not found", Count(s.Looks, "time", "times")},
		{"Next check", next},
		{"Cleared by", "a push that the push server accepts"},
		{"Confirmed by", "another 404 at least 10 minutes after the first, if the host accepted a push for another device in between"},
		{"Or by", "a third or later 404, at least 24 hours after the first"},
	}
}

// State returns the state of a record. A pushkey that is both dead and suspected was registered again.
func State(r gateway.RecordStatus) string {
	switch {
	case r.Suspicion == nil:
		return "dead"
	case r.Dead():
		return "dead, suspected"
	default:
		return "suspected"
	}
}

// Kind returns what a pending push is.
func Kind(badge, wake bool) string {
	switch {
	case badge:
		return "badge"
	case wake:
		return "wake-up"
	default:
		return "alert"
	}
}
