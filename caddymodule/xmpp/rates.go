package xmpp

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxRates is how many domains have a separate rate. Beyond it, domains share one: anybody can make up domains.
const maxRates = 4096

// rates limits how many stanzas each domain may send.
type rates struct {
	limit rate.Limit
	burst int

	mu       sync.Mutex
	domains  map[string]*rate.Limiter
	known    map[string]*rate.Limiter
	others   *rate.Limiter
	sweeping time.Time // when to look for domains to forget again
}

// newRates returns the rates. The known domains always have a separate rate.
func newRates(limit float64, burst int, known []string) *rates {
	r := &rates{limit: rate.Limit(limit), burst: burst, domains: make(map[string]*rate.Limiter), known: make(map[string]*rate.Limiter)}
	r.others = r.fresh()
	for _, domain := range known {
		r.known[domain] = r.fresh()
	}
	return r
}

func (r *rates) fresh() *rate.Limiter { return rate.NewLimiter(r.limit, r.burst) }

// take reports whether a domain may send one more stanza now.
func (r *rates) take(domain string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(domain, now).AllowN(now, 1)
}

// of returns a domain's rate.
func (r *rates) of(domain string, now time.Time) *rate.Limiter {
	for _, list := range []map[string]*rate.Limiter{r.known, r.domains} {
		if of := list[domain]; of != nil {
			return of
		}
	}
	if len(r.domains) >= maxRates {
		r.sweep(now)
	}
	if len(r.domains) >= maxRates || len(domain) > maxDomain {
		return r.others
	}
	r.domains[domain] = r.fresh()
	return r.domains[domain]
}

// sweepEvery limits how often domains are looked for that can be forgotten.
const sweepEvery = time.Second

// sweep forgets the domains that have been quiet for so long that they may send a full burst, like new ones.
func (r *rates) sweep(now time.Time) {
	if now.Before(r.sweeping) {
		return
	}
	r.sweeping = now.Add(sweepEvery)
	for domain, of := range r.domains {
		if of.TokensAt(now) >= float64(r.burst) {
			delete(r.domains, domain)
		}
	}
}
