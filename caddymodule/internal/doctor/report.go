package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// Report is what the examination found.
type Report struct {
	Homeserver Server `json:"homeserver"`
	UserID     string `json:"user_id"`
	DeviceID   string `json:"device_id,omitempty"`
	// Pushers are the account's pushers, in the homeserver's order.
	Pushers []Pusher `json:"pushers"`
	// Reached is whether the homeserver reaches the gateway, for each URL of a pusher; absent without a probe.
	Reached []*Reach `json:"reached,omitempty"`
	// Rings is what the push rules make of the usual events.
	Rings []Ring `json:"rings"`
	// Findings are all findings: problems first.
	Findings []Finding `json:"findings"`
}

// Server is the user's homeserver.
type Server struct {
	// Address is where requests were sent.
	Address string `json:"url"`
	// Software decides how push rules are understood. Server is the header from which it was read, if there is one.
	Software pushrules.Homeserver `json:"software"`
	Server   string               `json:"server,omitempty"`
	// Requests is how many requests were sent to it for the user. Those of the second account are not counted.
	Requests int `json:"requests"`
}

// Pusher is one of the account's pushers.
type Pusher struct {
	// Index is its number in findings, from 1.
	Index int    `json:"index"`
	AppID string `json:"app_id"`
	Kind  string `json:"kind"`
	Name  string `json:"device_display_name,omitempty"`
	// PushkeyHash is the hash that the gateway uses in logs.
	PushkeyHash string `json:"pushkey_hash"`
	// Gateway is the host of the gateway's URL, with its port unless that is 443.
	Gateway string `json:"gateway,omitempty"`
	// Ours means that the URL is one of this gateway's sites.
	Ours bool `json:"ours"`
	// App is the pattern of the app that serves it, and Provider the app's provider; empty if none does.
	App      string `json:"app,omitempty"`
	Provider string `json:"provider,omitempty"`
	// Last is the latest attempt to push to the device that this process remembers.
	Last *gateway.Account `json:"last,omitempty"`
	// Test is the result of the test notification.
	Test *gateway.Trial `json:"test,omitempty"`

	// URL is the gateway's URL, and Source is the pusher as the homeserver has it. They contain secrets.
	URL    string            `json:"-"`
	Source homeserver.Pusher `json:"-"`
	// tried means that every notification for the device leads to an attempt.
	tried bool
}

// Severity is how much a finding matters.
type Severity string

// The severities. A problem keeps notifications from arriving. A note is about what may surprise, but works as it is set.
const (
	Problem Severity = "problem"
	Note    Severity = "note"
)

// Finding is something that may be the reason why a phone does not ring.
type Finding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Pusher is the index of the pusher; absent if it is not about one.
	Pusher int `json:"pusher,omitempty"`
	// Rule is the kind and the id of the push rule, and RoomID the room; absent if it is not about one.
	Rule   string `json:"rule,omitempty"`
	RoomID string `json:"room_id,omitempty"`
	// Text is what was found, and Action what to do about it.
	Text   string `json:"text"`
	Action string `json:"action"`
}

// facts are the values of a finding's placeholders. Some of them have a place of their own in the finding.
type facts map[string]string

// Add adds a finding with a code of the list. Pusher is the pusher's index, or 0. The facts replace the placeholders in the texts. The
// facts rule and room_id are also members of the finding.
func (r *Report) Add(code string, pusher int, f map[string]string) {
	c := codes[code]
	pairs := make([]string, 0, 2*len(f))
	for name, value := range f {
		pairs = append(pairs, "{"+name+"}", shortened(value))
	}
	fill := strings.NewReplacer(pairs...)
	r.Findings = append(r.Findings, Finding{
		Code: code, Severity: c.Severity, Pusher: pusher, Rule: f["rule"], RoomID: f["room_id"], Text: fill.Replace(c.Text),
		Action: fill.Replace(c.Action),
	})
}

// maxFact bounds a placeholder's value, because others choose some of them.
const maxFact = 400

func shortened(text string) string {
	if runes := []rune(text); len(runes) > maxFact {
		return string(runes[:maxFact]) + "…"
	}
	return text
}

// sort puts problems before notes.
func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return strings.Compare(string(b.Severity), string(a.Severity))
	})
}

// Problems returns how many findings are problems.
func (r *Report) Problems() (n int) {
	for _, f := range r.Findings {
		if f.Severity == Problem {
			n++
		}
	}
	return n
}

// ours returns this gateway's pushers, whether an app serves them or not.
func (r *Report) ours() (list []*Pusher) {
	for i := range r.Pushers {
		if r.Pushers[i].Ours {
			list = append(list, &r.Pushers[i])
		}
	}
	return list
}

// at formats a time in the operator's zone.
func at(t, now time.Time) string { return t.In(now.Location()).Format(time.DateTime) }
