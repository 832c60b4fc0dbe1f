package gateway

import (
	"slices"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// maxTroubles bounds the reasons that are kept for an app.
const maxTroubles = 32

// chronicle is the journal of one app.
type chronicle struct {
	delivered time.Time
	troubles  map[string]*Trouble // by reason
	// ongoing means that there may be troubles that a delivery would end.
	ongoing bool
}

// Trouble is a reason why an app's pushes were not delivered.
type Trouble struct {
	Reason string `json:"reason"`
	// Count is how often it happened since the process began. First and Last are when.
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Since is when it began again after it had ended; First if it never ended.
	Since time.Time `json:"since"`
	// Until is when a delivery showed that it had ended; absent if none did. Where devices choose the host, these are deliveries at the
	// hosts that had the trouble last.
	Until time.Time `json:"until,omitzero"`
	// Word is the push service's own word in the latest case; absent if it gave none.
	Word string `json:"word,omitempty"`
	// Detail describes the latest case.
	Detail string `json:"detail,omitempty"`
	// Alarm means that the operator must act.
	Alarm bool `json:"alarm"`

	// settings means that wrong settings of the app explain it, and not only the fuse.
	settings bool
	// lasts means that it goes on until a delivery: it concerns not only single devices. hosts are the latest hosts where it does, and
	// blamed the latest that refused the app's settings, where devices choose the host.
	lasts         bool
	hosts, blamed latestHosts
}

// latestHosts remembers the latest few hosts of something.
type latestHosts [4]string

// add adds a host.
func (l *latestHosts) add(host string) {
	if host == "" || slices.Contains(l[:], host) {
		return
	}
	copy(l[1:], l[:])
	l[0] = host
}

// remove removes a host.
func (l *latestHosts) remove(host string) {
	if i := slices.Index(l[:], host); i >= 0 {
		copy(l[i:], l[i+1:])
		l[len(l)-1] = ""
	}
}

func (l *latestHosts) empty() bool { return l[0] == "" }

// happened counts a case.
func (t *Trouble) happened(a *Attempt, at Account) {
	t.Count++
	t.Last, t.Word, t.Detail = at.At, at.Word, at.Detail
	if !t.Until.IsZero() {
		t.Since, t.Until, t.hosts = at.At, time.Time{}, latestHosts{}
		t.Alarm = t.Alarm && !t.blamed.empty() // see calls
	}
	// A stranger's case does not end an alarm.
	if a.Alarm {
		t.Alarm, t.settings = true, a.Outcome.Kind == providers.KindMisconfigured || a.Outcome.Doubtful
	}
	t.lasts = t.lasts || a.Alarm || isLasting(a.Outcome)
	switch a.Outcome.Kind {
	case providers.KindMisconfigured:
		t.hosts.add(a.Host)
		if a.Alarm {
			t.blamed.add(a.Host)
		}
	case providers.KindRetry:
		t.hosts.add(a.Host)
	}
}

// isLasting reports whether a failure goes on until a push is delivered, because it is not only about a device.
func isLasting(o providers.Outcome) bool {
	return o.Kind == providers.KindMisconfigured || o.Kind == providers.KindRetry && o.Cause != providers.CauseDevice
}

// disproved notes a delivery at a host, and reports whether the trouble goes on.
func (t *Trouble) disproved(host string, now time.Time) (goesOn bool) {
	if !t.lasts || !t.Until.IsZero() {
		return false
	}
	if t.hosts.remove(host); t.hosts.empty() {
		t.Until = now
	}
	return t.Until.IsZero()
}

// calls reports whether the operator must still act. alarm reports whether the app's fuse alerts the operator. Where devices choose the
// host, strangers cannot end the alarm: it ends when the hosts that refused the app's settings no longer do.
func (t *Trouble) calls(app *App, alarm bool) bool {
	switch {
	case !t.Alarm:
		return false
	case !t.settings:
		return alarm
	case t.blamed.empty():
		return t.Until.IsZero()
	default:
		return slices.ContainsFunc(t.blamed[:], func(host string) bool { return host != "" && app.hosts.blames(host, app.load) })
	}
}

// disprove ends the troubles that a delivery at a host disproves.
func (c *chronicle) disprove(host string, now time.Time) {
	if !c.ongoing {
		return
	}
	c.ongoing = false
	for _, t := range c.troubles {
		if t.disproved(host, now) {
			c.ongoing = true
		}
	}
}

// trouble returns the trouble for an account's reason. It returns nil if there are too many to keep it.
func (c *chronicle) trouble(a Account) *Trouble {
	t := c.troubles[a.Reason]
	if t == nil {
		if len(c.troubles) >= maxTroubles {
			return nil
		}
		t = &Trouble{Reason: a.Reason, First: a.At, Since: a.At}
		c.troubles[a.Reason] = t
	}
	return t
}
