package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// A host pauses when it throttled as many distinct devices as it takes witnesses, within throttleTime, and took no push in between: as long
	// as it asked for, from minPause to maxPause. Its limit is one of the gateway's address, such as ntfy's, and each further push costs a part
	// of it, or has the address banned.
	throttleTime = time.Minute
	minPause     = time.Minute
	maxPause     = 10 * time.Minute
	// pauseSpread is the time over which the pushes come back that a pause turned away.
	pauseSpread = time.Minute
)

// pauses are a host's: one for all of its devices, and one for those that it never took a push for. Where it took others, strangers' answers
// count for strangers only. The table's lock guards them.
type pauses struct{ all, newcomers hostPause }

// hostPause keeps pushes off a host that throttles the gateway.
type hostPause struct {
	answers [witnesses]throttled // of distinct devices, since the last delivery
	until   time.Time
}

// throttled is an answer that a device got.
type throttled struct {
	key  rejected.Key
	at   time.Time
	wait time.Duration
}

// throttle counts an answer, and reports whether a pause begins with it.
func (p *hostPause) throttle(k rejected.Key, after time.Duration, now time.Time) (begins bool) {
	wait := min(max(after, minPause), maxPause)
	if now.Before(p.until) { // the attempt began before the pause
		if until := now.Add(wait); until.After(p.until) {
			p.until = until
		}
		return false
	}
	slot := 0
	for i, a := range p.answers {
		if a.key == k && !a.at.IsZero() {
			slot = i
			break
		}
		if a.at.Before(p.answers[slot].at) {
			slot = i
		}
	}
	p.answers[slot] = throttled{k, now, wait}
	for _, a := range p.answers {
		if a.at.IsZero() || now.Sub(a.at) > throttleTime {
			return false
		}
		wait = max(wait, a.wait)
	}
	p.answers, p.until = [witnesses]throttled{}, now.Add(wait)
	return true
}

// throttled counts the answer of a host that throttles the gateway, and reports whether its pushes pause from now on. The caller holds mu.
func (h *hosts) throttled(a *attempt, k rejected.Key, after time.Duration, now time.Time) (begins bool) {
	one := a.host
	if one.name == "" {
		return false // the app's only service: its provider says what a limit concerns
	}
	if one.pauses == nil {
		one.pauses = new(pauses)
	}
	begins = one.pauses.newcomers.throttle(k, after, now)
	if one.breaker.heeds(a) {
		begins = one.pauses.all.throttle(k, after, now) || begins
	}
	if begins {
		h.countPaused(now)
		h.paused[one.name] = one
	}
	return begins
}

// took forgets the answers before a delivery. A pause that has begun goes on: an attempt that was under way ended it for nobody else.
func (p *pauses) took() {
	if p != nil {
		p.all.answers, p.newcomers.answers = [witnesses]throttled{}, [witnesses]throttled{}
	}
}

// rest is how much longer pushes pause for a device.
func (p *pauses) rest(proven bool, now time.Time) time.Duration {
	if p == nil {
		return 0
	}
	rest := p.all.until.Sub(now)
	if !proven {
		rest = max(rest, p.newcomers.until.Sub(now))
	}
	return max(rest, 0)
}

// countPaused returns how many hosts pause. The caller holds mu.
func (h *hosts) countPaused(now time.Time) int {
	for name, one := range h.paused {
		if one.pauses.rest(false, now) == 0 {
			delete(h.paused, name)
		}
	}
	return len(h.paused)
}

// resume ends the pauses: the operator says that the hosts may be asked again.
func (h *hosts) resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.paused {
		one.pauses = nil
	}
	clear(h.paused)
}

// Resume ends the pauses of an app's hosts, so what is roused from now on is sent.
func (g *Gateway) Resume(pattern string) {
	if app := g.Router.Configured(pattern); app != nil {
		app.hosts.resume()
	}
}

// pausing is how many hosts pause.
func (h *hosts) pausing(now func() time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.paused) == 0 {
		return 0
	}
	return h.countPaused(now())
}

// hostPaused is the outcome of a push that a pause keeps off.
func hostPaused(rest time.Duration) providers.Outcome {
	o := providers.Busy("host_paused", nil)
	o.RetryAfter = rest
	return o
}
