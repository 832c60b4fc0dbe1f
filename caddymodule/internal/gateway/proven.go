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
	// provenFor is how long a noted delivery counts at least: 30 days, and the week in which no other one is noted.
	provenFor = 30*24*time.Hour + weekTime
	// maxProven bounds the devices and groups of a generation, to about 12 MB.
	maxProven = outbox.MaxVouched / 2
)

// proven has the devices, and the groups of hosts, that were delivered to: anybody can make up any number of others. It has two
// generations of a map without pointers, like deliveredSet. The outbox remembers it across restarts, if it can. It is safe for
// concurrent use.
type proven struct {
	mu         sync.Mutex
	young, old map[rejected.Key]week // of the latest delivery that was noted
	born       time.Time
}

// week counts the weeks since 1970. A delivery is noted only once a week, because writing it down costs a good part of what a push
// costs.
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

// add notes a delivery to a device, or to a group's host, and returns the keys for which it is the first one of the week.
func (p *proven) add(now time.Time, keys ...rejected.Key) (first []rejected.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range keys {
		if p.note(k, now) {
			first = append(first, k)
		}
	}
	return first
}

// note notes a delivery for one of the keys, and reports whether it is the first one of the week. The caller holds mu.
func (p *proven) note(k rejected.Key, now time.Time) (first bool) {
	this := weekOf(now)
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

// isProven reports whether a device was delivered to before.
func (s *Shared) isProven(k rejected.Key) bool { return s.proven.has(k) }

// groupKey names a group of an app's hosts. An app_id never contains a NUL, so no device has the same key.
func groupKey(app, group string) rejected.Key { return rejected.KeyOf(app+"\x00", group) }

// hasProven reports whether any device of an app was delivered to before.
func (s *Shared) hasProven(app *App) bool { return s.proven.has(app.key) }

// appKey names an app. No group has this key, because a group's name is not empty.
func appKey(app string) rejected.Key { return groupKey(app, "") }

// standing returns the standing of a push's device and host.
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

// noteDelivered notes that a device was delivered to.
func (g *Gateway) noteDelivered(c *cargo) {
	now := g.Now()
	keys := append(make([]rejected.Key, 0, 3), c.key, c.app.key)
	if c.host != "" {
		keys = append(keys, groupKey(c.app.Pattern, c.group))
	}
	first := g.Shared.proven.add(now, keys...)
	if g.box.voucher == nil {
		return
	}
	for _, k := range first {
		g.box.voucher.Vouch(k, now.Add(provenFor))
	}
}

// recallProven learns which devices an earlier process delivered to.
func (g *Gateway) recallProven(ctx context.Context) error {
	if g.box.voucher == nil {
		return nil
	}
	before := g.Now().Add(-weekTime) // so the next delivery is noted again
	return g.box.voucher.Vouched(ctx, func(k [16]byte) { g.Shared.proven.add(before, k) })
}

// groupOf returns the owner of a host: the registrable domain of a name, or the block of an address that one customer gets. It is empty
// if the host is.
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
		if ip = nat64.Unwrap(ip); ip.Is4() { // NAT64 has all of IPv4 in one block
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
