package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// fuseHalf are the verdicts of half a window.
type fuseHalf struct {
	born     time.Time
	verdicts map[rejected.Key]fuseVerdict
	all      tally
	hosts    map[string]*hostTally
}

// hostTally counts a host's pushkeys.
type hostTally struct {
	tally
	name string
}

type fuseVerdict struct {
	dead bool
	host *hostTally // nil if all pushes of the app go to the same service
}

func newFuseHalf(now time.Time) fuseHalf {
	return fuseHalf{born: now, verdicts: make(map[rejected.Key]fuseVerdict), hosts: make(map[string]*hostTally)}
}

func (h *fuseHalf) set(k rejected.Key, host string, dead bool) {
	if _, ok := h.verdicts[k]; !ok && len(h.verdicts) >= maxFuseKeys {
		return
	}
	h.forget(k)
	v := fuseVerdict{dead: dead}
	if host != "" {
		if v.host = h.hosts[host]; v.host == nil {
			v.host = &hostTally{name: host}
			h.hosts[host] = v.host
		}
	}
	h.verdicts[k] = v
	h.count(v, 1)
}

func (h *fuseHalf) forget(k rejected.Key) {
	if v, ok := h.verdicts[k]; ok {
		h.count(v, -1)
		delete(h.verdicts, k)
		if v.host != nil && v.host.all == 0 {
			delete(h.hosts, v.host.name)
		}
	}
}

func (h *fuseHalf) count(v fuseVerdict, n int) {
	h.all.add(v.dead, n)
	if v.host != nil {
		v.host.add(v.dead, n)
	}
}

func (t *tally) add(dead bool, n int) {
	t.all += n
	if dead {
		t.dead += n
	}
}

func (h *fuseHalf) of(host string) tally {
	if t := h.hosts[host]; t != nil {
		return t.tally
	}
	return tally{}
}

// tally counts pushkeys.
type tally struct{ dead, all int }

func (t tally) over(share float64) bool {
	return t.dead >= fuseMin && float64(t.dead) > share*float64(t.all)
}

func (t tally) plus(o tally) tally { return tally{t.dead + o.dead, t.all + o.all} }

func (t tally) minus(o tally) tally { return tally{t.dead - o.dead, t.all - o.all} }
