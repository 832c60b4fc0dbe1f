package gateway

import (
	"context"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// An app fails when its latest attempts all failed, at least this many over at least failingFor, and nothing was delivered since
	// the first of them.
	failures   = 3
	failingFor = 30 * time.Second
	// An app fails as well when one of the failed pushes was accepted staleAfter ago, and nothing was delivered since. It may be retried
	// rarely, and there may be no other push. If no outbox keeps it, staleFailures over failingFor are required.
	staleAfter    = 5 * time.Minute
	staleFailures = 2
	// A failed push in the outbox is tried again within pendingFor, so it is gone if it was not.
	pendingFor = maxRetryAfter + maxBackoff + attemptTimeout
	// forgottenAfter is how long after the latest attempt an app no longer counts as failing.
	forgottenAfter = 24 * time.Hour
	// maxOwnSites bounds the own push servers whose failures are remembered. The configuration has as many sites.
	maxOwnSites = 64
	// healthTick is how often to check whether an app fails because a push is pending for too long.
	healthTick = 30 * time.Second
)

// Failing is since when and why an app fails.
type Failing struct {
	Since time.Time
	// Reason is that of the latest failure, and Detail describes it.
	Reason, Detail string
	// Host is the operator's own push server, if only its pushes fail. Proxy means that the operator's proxy does not work.
	Host  string
	Proxy bool
}

// health tracks whether an app's pushes arrive at all. A rate limit, or a limit of the gateway, is not a failure. Where devices choose the
// host, a single failing host may be a stranger's, and concerns only its users. So the app fails only in these cases:
//
//   - Two hosts fail that worked when the app last delivered a push.
//   - One such host fails for a device that was delivered to before, and nothing arrives anywhere for staleAfter.
//   - The operator's own push server, or the operator's proxy, fails. What other hosts take does not change that.
//
// It is not safe for concurrent use: the lock of its table guards it.
type health struct {
	all, proxy spell
	own        map[string]*spell // by host
	// delivered is when the app last delivered a push.
	delivered time.Time
	// failed is whether the app failed after the latest attempt.
	failed bool
}

// spell is a time in which attempts fail and nothing is delivered.
type spell struct {
	// since and latest are when the first and the latest attempt failed since the last delivery. count is how many failed.
	since, latest time.Time
	count         int
	// host is the host of the first failure. several means that another host failed too.
	host    string
	several bool
	// waiting is since when the oldest of the pushes is waiting, or since the last delivery if that was later. kept means that an outbox
	// keeps it.
	waiting time.Time
	kept    bool
	last    providers.Outcome
}

// fail counts a failure. delivered is when something was last delivered.
func (s *spell) fail(host string, v *verdict, delivered, now time.Time) {
	waiting := v.accepted
	if waiting.Before(delivered) {
		waiting = delivered
	}
	if s.count == 0 || !s.lasts(now) {
		*s = spell{since: now, host: host, waiting: waiting}
	}
	if waiting.Before(s.waiting) {
		s.waiting = waiting
	}
	s.count++
	s.latest, s.last = now, v.outcome
	s.several = s.several || host != s.host
	s.kept = s.kept || v.kept
}

// long reports whether the attempts have failed for long enough.
func (s *spell) long(now time.Time) bool {
	return s.count >= failures && s.latest.Sub(s.since) >= failingFor && s.lasts(now) || s.stale(now)
}

// stale reports whether a push has been waiting for too long.
func (s *spell) stale(now time.Time) bool {
	switch {
	case s.count == 0, now.Sub(s.waiting) < staleAfter:
		return false
	case s.kept:
		return now.Sub(s.since) >= failingFor && now.Sub(s.latest) < pendingFor
	default:
		return s.count >= staleFailures && s.latest.Sub(s.since) >= failingFor && s.lasts(now)
	}
}

// lasts reports whether there was an attempt lately. The push server may no longer be used.
func (s *spell) lasts(now time.Time) bool { return now.Sub(s.latest) < forgottenAfter }

// note counts the verdict of an attempt at a host. It returns the change of the app's health.
func (h *health) note(one *host, v *verdict, now time.Time) course {
	switch tells := v.tells(one.name); {
	case v.outcome.Kind == providers.KindDelivered:
		if one.failed = (time.Time{}); tells {
			h.delivered = now
		}
		h.works(one, v.own, tells)
	case answered(v.outcome) && v.outcome.Kind != providers.KindSuspected: // a proxy in front of a dead service answers like that too
		h.works(one, v.own, tells)
	case isFault(v.outcome):
		h.fault(one, v, tells, now)
		return h.gotWorse(now)
	default:
		return steady
	}
	return h.changed(now)
}

// works ends the failures that an answer disproves: the push service works, although it may have delivered nothing.
func (h *health) works(one *host, own, tells bool) {
	switch {
	case own:
		delete(h.own, one.name)
	case one.name != "":
		h.proxy = spell{}
	}
	if tells {
		h.all = spell{}
	}
}

// fault notes a failure.
func (h *health) fault(one *host, v *verdict, tells bool, now time.Time) {
	if tells && one.failed.IsZero() {
		one.failed = now
	}
	if v.outcome.Proxy && one.name != "" {
		h.proxy.fail("", v, h.delivered, now)
	}
	if v.own {
		h.ownAt(one.name).fail("", v, one.delivered, now)
	}
	if one.name == "" || tells && one.failed.After(h.delivered) { // otherwise, the host failed while others worked
		h.all.fail(one.name, v, h.delivered, now)
	}
}

// ownAt returns the failures of an own push server.
func (h *health) ownAt(host string) *spell {
	if s, ok := h.own[host]; ok {
		return s
	}
	if h.own == nil || len(h.own) >= maxOwnSites {
		h.own = make(map[string]*spell)
	}
	s := new(spell)
	h.own[host] = s
	return s
}

// course is a change of an app's health.
type course uint8

const (
	steady course = iota
	worse
	better
)

// changed returns whether the app began to fail, or works again.
func (h *health) changed(now time.Time) course {
	if !h.failed && h.isWell() {
		return steady
	}
	was := h.failed
	switch h.failed = h.failing(now) != nil; {
	case h.failed && !was:
		return worse
	case was && !h.failed:
		return better
	default:
		return steady
	}
}

// gotWorse returns whether the app began to fail. Without an answer, nothing shows that it works again.
func (h *health) gotWorse(now time.Time) course {
	if h.changed(now) == worse {
		return worse
	}
	return steady
}

// isWell reports whether nothing failed since the last delivery, which is the usual case.
func (h *health) isWell() bool { return h.all.count == 0 && h.proxy.count == 0 && len(h.own) == 0 }

// failing returns since when and why the app fails; nil if it does not.
func (h *health) failing(now time.Time) *Failing {
	all := &h.all
	switch {
	case h.proxy.long(now):
		return h.proxy.failing("")
	case all.long(now) && (all.several || all.host == ""):
		return all.failing("")
	}
	var worst *spell
	var at string
	for host, s := range h.own {
		if s.long(now) && (worst == nil || s.since.Before(worst.since)) {
			worst, at = s, host
		}
	}
	switch {
	case worst != nil:
		return worst.failing(at)
	case all.stale(now):
		return all.failing("")
	default:
		return nil
	}
}

func (s *spell) failing(host string) *Failing {
	f := &Failing{Since: s.since, Reason: s.last.Reason, Host: host, Proxy: s.last.Proxy}
	if s.last.Err != nil {
		f.Detail = s.last.Err.Error()
	}
	return f
}

// failing returns since when and why the app fails; nil if it does not.
func (h *hosts) failing(now func() time.Time) *Failing {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.health.isWell() {
		return nil
	}
	return h.health.failing(now())
}

// watchHealth reports apps that begin to fail without an attempt, because a push is pending for too long, until ctx is done.
func (g *Gateway) watchHealth(ctx context.Context) {
	for pause(ctx, healthTick) {
		for _, app := range g.Router.Apps() {
			g.healthChanged(app, app.hosts.checkHealth(g.Now()))
		}
	}
}

// checkHealth returns whether the app began to fail since the latest attempt.
func (h *hosts) checkHealth(now time.Time) course {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.health.gotWorse(now)
}

// healthChanged reports that an app began to fail, or that it works again.
func (g *Gateway) healthChanged(app *App, c course) {
	switch c {
	case worse:
		if f := app.hosts.failing(g.Now); f != nil {
			g.Observer.AppFailing(app, *f)
		}
	case better:
		g.Observer.AppRecovered(app)
	}
}
