package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// A host pauses when it throttled as many distinct devices as there are witnesses, within throttleTime, without taking a push in
	// between. The pause is as long as the host asked for, but from minPause to maxPause. Such a limit concerns the gateway's address,
	// as with ntfy. Each further push would use up part of the limit, or get the address banned.
	throttleTime = time.Minute
	minPause     = time.Minute
	maxPause     = 10 * time.Minute
	// pauseSpread is the time over which the pushes return that a pause turned away.
	pauseSpread = time.Minute
)

// pauses has a host's two pauses: one for all devices, and one for devices that it never took a push for. If the host took pushes for
// others, the answers to strangers count for strangers only. The table's lock guards them.
type pauses struct{ all, newcomers hostPause }

// hostPause keeps pushes away from a host that throttles the gateway.
type hostPause struct {
	answers [witnesses]throttled // to distinct devices, since the last delivery
	until   time.Time
}

// throttled is an answer that told a device to wait.
type throttled struct {
	key  rejected.Key
	at   time.Time
	wait time.Duration
}

// throttle counts such an answer, and reports whether it begins a pause.
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

// throttled counts an answer of a host that throttles the gateway, and reports whether its pushes pause from now on. The caller holds
// mu.
func (h *hosts) throttled(a *attempt, k rejected.Key, after time.Duration, now time.Time) (begins bool) {
	one := a.host
	if one.name == "" {
		return false // the app's only service: its provider knows what the limit applies to
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

// took forgets the answers before a delivery. A pause that has begun goes on: the attempt began before it, so its delivery proves
// nothing.
func (p *pauses) took() {
	if p != nil {
		p.all.answers, p.newcomers.answers = [witnesses]throttled{}, [witnesses]throttled{}
	}
}

// rest returns how much longer pushes pause for a device.
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

// resume ends the pauses, because the operator wants the hosts to be tried again.
func (h *hosts) resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.paused {
		one.pauses = nil
	}
	clear(h.paused)
}

// Resume ends the pauses of an app's hosts, so pushes that are made due after it are sent.
func (g *Gateway) Resume(pattern string) {
	if app := g.Router.Configured(pattern); app != nil {
		app.hosts.resume()
	}
}

// pausing returns how many hosts pause.
func (h *hosts) pausing(now func() time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.paused) == 0 {
		return 0
	}
	return h.countPaused(now())
}

// hostPaused returns the outcome of a push that a pause turned away.
func hostPaused(rest time.Duration) providers.Outcome {
	o := providers.Busy("host_paused", nil)
	o.RetryAfter = rest
	return o
}
