package describe

import (
	"fmt"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// results describe the result of the same notification from a homeserver.
var results = map[string]string{
	"delivered":   "delivered",
	"rejected":    "rejected, so the homeserver would remove the pusher",
	"dropped":     "dropped: this push is not sent again, but the pushkey is fine",
	"queued":      "kept in the outbox; will be retried",
	"unavailable": "answered with 503, so the homeserver sends it again",
}

// NameNormally is the name of the fact what would happen to the same notification from a homeserver. OnRecord is its value for a pushkey
// that is on record as dead.
const (
	NameNormally = "Normally"
	OnRecord     = "rejected without asking the push service: the pushkey is recorded as dead"
)

// normally returns what would become of the same notification from a homeserver; empty if the report's sentence shows it.
func normally(result string, onRecord bool) string {
	switch {
	case onRecord:
		return OnRecord
	case result == "delivered":
		return ""
	default:
		return results[result]
	}
}

// Trial describes the result of a test notification.
func (c Clock) Trial(t gateway.Trial) Report {
	r := Report{Tone: Good, Sentence: fmt.Sprintf("The push service accepted the notification after %.2f s.", t.Duration)}
	if t.Outcome != "delivered" {
		r.Tone, r.Sentence = Bad, fmt.Sprintf("The notification was not delivered. The attempt took %.2f s.", t.Duration)
	}
	r.add(Fact{"App", t.App + " (" + t.Provider + ")"}, Fact{"Pushkey hash", t.PushkeyHash}, Fact{"Received at", t.Site})
	if t.Outcome != t.Reason {
		r.add(Fact{"Outcome", t.Outcome + ": " + t.Reason}, Fact{"Service reason", t.Word}, Fact{"Detail", t.Detail},
			Fact{"Meaning", t.Explanation})
	}
	if t.RetryAfter > 0 {
		r.add(Fact{"Retry after", fmt.Sprintf("%.0f s", t.RetryAfter)})
	}
	r.add(Fact{"Dead since", c.Whenever(t.ServiceTime)}, Fact{NameNormally, normally(t.Result, t.OnRecord)}, Fact{"Note", t.Note})
	r.Facts = meantOnce(r.Facts)
	return r
}

// Sends reports whether the gateway would send a homeserver's notification.
func Sends(p gateway.Preview) bool { return p.Result == "sent" && !p.OnRecord }

// Preview describes whether the gateway would send a notification.
func Preview(p gateway.Preview) Report {
	r := Report{Tone: Bad, Sentence: "Nothing was sent. The gateway would not send this notification to its push service."}
	switch {
	case Sends(p):
		r.Tone, r.Sentence = Good, "Nothing was sent. The gateway would send this notification to its push service."
	case len(p.Requests) > 0:
		r.Sentence = "Nothing was sent. The gateway would reject this notification if it came from a homeserver."
	}
	outcome := ""
	if p.Outcome != "" {
		outcome = p.Outcome + ": " + p.Reason
	}
	r.Facts = meantOnce([]Fact{
		{"App", p.App + " (" + p.Provider + ")"},
		{"Pushkey hash", p.PushkeyHash},
		{"Received at", p.Site},
		{"Content", p.Content},
		{"Withheld", strings.Join(p.Withheld, ", ")},
		{"Outcome", outcome},
		{"Detail", p.Detail},
		{"Meaning", p.Explanation},
		{NameNormally, normally(p.Result, p.OnRecord)},
		{"Note", p.Note},
	})
	return r
}

// Size describes the size of a request's body.
func Size(r gateway.PreviewedRequest) string {
	size := Count(r.Size, "byte", "bytes")
	if r.WholeSize > 0 {
		size += fmt.Sprintf(" (%d without the size limit)", r.WholeSize)
	}
	if r.Encrypted {
		size += ", before it is encrypted for the device"
	}
	return size
}
