package command

import (
	"slices"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

func (i *invocation) explanation(e gateway.Explanation) {
	app := e.App
	switch {
	case app == "" && e.Unusable != nil:
		app = "none"
	case app == "":
		app = "unknown"
	}
	rows := [][2]string{{"Pushkey hash", e.PushkeyHash}, {"App", app}}
	c, line := i.foreseen(e)
	i.say(c, "%s", line)
	if u := e.Unusable; u != nil {
		rows = append(rows, [2]string{"Unusable", withDetail(u.Reason, u.Detail)}, [2]string{"Meaning", u.Explanation})
	}
	switch r := e.Record; {
	case r == nil:
	case r.Dead():
		rows = append(append(rows, i.verdict(r)...), i.suspicion(r)...)
	default:
		rows = append(rows, [2]string{"Reason", r.Reason + ", recorded for the app " + r.App}, [2]string{"Meaning", r.Explanation})
		rows = append(rows, i.suspicion(r)...)
	}
	if l := e.Last; l != nil {
		rows = append(rows, [2]string{"Last attempt", i.when(l.At)}, [2]string{"Outcome", l.Outcome + ": " + l.Reason},
			[2]string{"Service reason", l.Word}, [2]string{"Detail", l.Detail}, [2]string{"Meaning", l.Explanation})
	}
	waiting := "no"
	if e.Waiting {
		waiting = "yes (see `caddy matrix-push outbox list`)"
	}
	rows = append(rows, [2]string{"Pending pushes", waiting}, [2]string{"Note", e.Note})
	i.facts(meantOnce(rows))
}

// meantOnce leaves out a meaning that an earlier row has.
func meantOnce(rows [][2]string) [][2]string {
	var meant []string
	return slices.DeleteFunc(rows, func(row [2]string) bool {
		again := row[0] == "Meaning" && slices.Contains(meant, row[1])
		if row[0] == "Meaning" {
			meant = append(meant, row[1])
		}
		return again
	})
}

// withDetail adds a detail to a reason.
func withDetail(reason, detail string) string {
	if detail == "" {
		return reason
	}
	return reason + ": " + detail
}

// foreseen returns how the next notification for a device would be answered, and its colour.
func (i *invocation) foreseen(e gateway.Explanation) (colour, string) {
	const unmatched = "No app in the configuration matches the app_id, or no site uses the app."
	unknown := e.Unusable != nil && e.Unusable.Reason == "unknown_app"
	switch r := e.Record; {
	case unknown && e.Held != "":
		return yellow, unmatched + " The fuse holds back the rejection: the gateway answers with 503."
	case unknown:
		return red, unmatched + " The gateway rejects every notification for it."
	case e.Unusable != nil:
		return red, "The pushkey is unusable: the gateway rejects every notification for it."
	case r != nil && r.Dead() && r.CondemnedUntil == nil && !r.ProbeAt.After(i.now()):
		return red, "The pushkey is recorded as dead, but the gateway sends the next notification to check it."
	case r != nil && r.Dead():
		return red, "The pushkey is recorded as dead."
	case e.Held == gateway.HeldByFuse:
		return yellow, "The push service reported the pushkey as dead, but the fuse holds back the rejection."
	case e.Held != "":
		return yellow, "The push service reported the pushkey as dead, but the gateway doubts it: a wrong setting may be the cause."
	case r != nil:
		return yellow, "The pushkey is suspected to be dead, but not rejected."
	case e.Note != "": // it depends on what the note says
		return green, "The pushkey is not recorded as dead."
	default:
		return green, "The pushkey is not recorded as dead. The gateway sends the next notification to its push service."
	}
}
