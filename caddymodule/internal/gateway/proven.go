package gateway

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/matrix-push/caddy-matrix-push/internal/nat64"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// provenFor is how long a delivery counts that was noted, at least: 30 days, and the week in which no other one is noted.
	provenFor = 30*24*time.Hour + weekTime
	// maxProven bounds the devices and groups of a generation: some 12 MB at worst.
	maxProven = outbox.MaxVouched / 2
)

// proven are the devices, and the groups of hosts, that took a push: anybody can make up any number of others. It is two generations of a
// map without pointers, like the delivered events. The outbox remembers it over a restart, if it can. Safe for concurrent use.
type proven struct {
	mu         sync.Mutex
	young, old map[rejected.Key]week // of the latest delivery that was noted
	born       time.Time
}

// week counts the weeks since 1970. A delivery is noted once in each: to write it down costs as much as a good part of a push.
type week int32

const weekTime = 7 * 24 * time.Hour

func weekOf(t time.Time) week { return week(t.Unix() / int64(weekTime/time.Second)) }

func (p *proven) has(k rejected.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.young[k]; ok {
		return true
	}
	_, ok := p.old[k]
	return ok
}

// add notes a delivery, and reports whether it is the first one of the week.
func (p *proven) add(k rejected.Key, now time.Time) (first bool) {
	this := weekOf(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.young[k] == this {
		return false
	}
	if len(p.young) >= maxProven || now.Sub(p.born) >= provenFor {
		p.old, p.young = p.young, nil
	}
	if p.young == nil {
		p.young, p.born = make(map[rejected.Key]week), now
	}
	p.young[k] = this
	return true
}

// remove forgets a device that is dead.
func (p *proven) remove(k rejected.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.young, k)
	delete(p.old, k)
}

// isProven reports whether a device took a push before.
func (s *Shared) isProven(k rejected.Key) bool { return s.proven.has(k) }

// groupKey names a group of an app's hosts. No app_id has a NUL, so that no device is taken for one.
func groupKey(app, group string) rejected.Key { return rejected.KeyOf(app+"\x00", group) }

// hasProven reports whether any device of an app took a push before.
func (s *Shared) hasProven(app string) bool { return s.proven.has(appKey(app)) }

// appKey names an app: it is that of no group, since a group has a name.
func appKey(app string) rejected.Key { return groupKey(app, "") }

// standing is what is known of where a push goes.
func (g *Gateway) standing(c *cargo) outbox.Standing {
	switch {
	case g.Shared.isProven(c.key):
		return outbox.Proven
	case c.host == "", c.ownSite(), g.Shared.proven.has(groupKey(c.app.Pattern, c.group)):
		return outbox.Guest
	default:
		return outbox.Stranger
	}
}

// noteDelivered notes that a device took a push.
func (g *Gateway) noteDelivered(c *cargo) {
	now := g.Now()
	keys := [...]rejected.Key{c.key, appKey(c.app.Pattern), groupKey(c.app.Pattern, c.group)}
	for i, k := range keys {
		if i > 1 && c.host == "" {
			break
		}
		if g.Shared.proven.add(k, now) && g.box.voucher != nil {
			g.box.voucher.Vouch(k, now.Add(provenFor))
		}
	}
}

// recallProven learns who took pushes of an earlier process.
func (g *Gateway) recallProven(ctx context.Context) error {
	if g.box.voucher == nil {
		return nil
	}
	before := g.Now().Add(-weekTime) // so that the next delivery is noted again
	return g.box.voucher.Vouched(ctx, func(k [16]byte) { g.Shared.proven.add(k, before) })
}

// groupOf is whom a host belongs to: the registrable domain of a name, the block of an address that one customer gets. It is empty for no
// host.
func groupOf(host string) string {
	if host == "" {
		return ""
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		bits := 48
		if ip = nat64.Unwrap(ip); ip.Is4() { // all of IPv4 is in one block of NAT64's
			bits = 24
		}
		block, _ := ip.Prefix(bits) // the bits are in range
		return block.String()
	}
	name = strings.TrimSuffix(name, ".")
	if domain, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return domain
	}
	return name
}
