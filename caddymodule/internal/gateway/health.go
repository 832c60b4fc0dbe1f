package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// An app fails when its latest attempts all failed, at least this many over at least failingFor, and nothing was delivered since
	// the first of them.
	failures   = 3
	failingFor = 30 * time.Second
	// If one of these pushes was accepted staleAfter ago, and nothing was delivered since, so many failures are enough. There may be only
	// one push, which is retried ever more seldom.
	staleFailures = 2
	staleAfter    = 5 * time.Minute
	// forgottenAfter is how long after the latest attempt an app no longer counts as failing.
	forgottenAfter = 24 * time.Hour
	// maxOwnSites bounds the own push servers whose failures are remembered. The configuration has as many sites.
	maxOwnSites = 64
)

// Failing is since when and why an app fails.
type Failing struct {
	Since time.Time
	// Reason is that of the latest failure, and Detail describes it.
	Reason, Detail string
	// Host is the operator's own push server, if only its pushes fail. Proxy means that the operator's proxy cannot be reached.
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
	// stale means that one of the pushes had been pending for staleAfter while nothing was delivered.
	stale bool
	last  providers.Outcome
}

// fail counts a failure. quiet is how long nothing was delivered since the push was accepted.
func (s *spell) fail(host string, o providers.Outcome, quiet time.Duration, now time.Time) {
	if s.count == 0 {
		s.since, s.host = now, host
	}
	s.count++
	s.latest, s.last = now, o
	s.several = s.several || host != s.host
	s.stale = s.stale || quiet >= staleAfter
}

// long reports whether the attempts have failed for long enough.
func (s *spell) long() bool {
	return s.count >= failures && s.latest.Sub(s.since) >= failingFor || s.pending()
}

// pending reports whether a push has been pending for too long.
func (s *spell) pending() bool { return s.stale && s.count >= staleFailures }

// lasts reports whether there was an attempt lately. The push server may no longer be used.
func (s *spell) lasts(now time.Time) bool { return now.Sub(s.latest) < forgottenAfter }

// note counts the verdict of an attempt at a host.
func (h *health) note(one *host, v *verdict, now time.Time) course {
	switch tells := v.tells(one.name); {
	case v.outcome.Kind == providers.KindDelivered:
		h.took(one, v.own, tells, now)
	case isFault(v.outcome):
		h.fault(one, v, tells, now)
	default:
		return steady
	}
	return h.changed(now)
}

// took notes a delivery.
func (h *health) took(one *host, own, tells bool, now time.Time) {
	one.failed = time.Time{}
	switch {
	case own:
		delete(h.own, one.name)
	case one.name != "":
		h.proxy = spell{}
	}
	if tells {
		h.all, h.delivered = spell{}, now
	}
}

// fault notes a failure.
func (h *health) fault(one *host, v *verdict, tells bool, now time.Time) {
	if tells && one.failed.IsZero() {
		one.failed = now
	}
	quiet := func(delivered time.Time) time.Duration {
		if delivered.Before(v.accepted) {
			delivered = v.accepted
		}
		return now.Sub(delivered)
	}
	if v.outcome.Proxy && one.name != "" {
		h.proxy.fail("", v.outcome, quiet(h.delivered), now)
	}
	if v.own {
		h.ownAt(one.name).fail("", v.outcome, quiet(one.delivered), now)
	}
	switch {
	case one.name == "":
		h.all.fail("", v.outcome, quiet(h.delivered), now)
	case !tells, !one.failed.After(h.delivered): // the host failed while others worked
	default:
		h.all.fail(one.name, v.outcome, quiet(h.delivered), now)
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

// isWell reports whether nothing failed since the last delivery, which is the usual case.
func (h *health) isWell() bool { return h.all.count == 0 && h.proxy.count == 0 && len(h.own) == 0 }

// failing returns since when and why the app fails; nil if it does not.
func (h *health) failing(now time.Time) *Failing {
	all := &h.all
	switch {
	case h.proxy.lasts(now) && h.proxy.long():
		return h.proxy.failing("", true)
	case all.lasts(now) && all.long() && (all.several || all.host == ""):
		return all.failing("", false)
	}
	var worst *spell
	var at string
	for host, s := range h.own {
		if s.lasts(now) && s.long() && (worst == nil || s.since.Before(worst.since)) {
			worst, at = s, host
		}
	}
	switch {
	case worst != nil:
		return worst.failing(at, false)
	case all.lasts(now) && all.long() && all.stale:
		return all.failing("", false)
	default:
		return nil
	}
}

func (s *spell) failing(host string, proxy bool) *Failing {
	f := &Failing{Since: s.since, Reason: s.last.Reason, Host: host, Proxy: proxy}
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
