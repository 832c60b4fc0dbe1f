package gateway

import (
	"hash/maphash"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// fuseHalf has the verdicts of half a window. Known devices have their own sample, so strangers cannot crowd them out.
type fuseHalf struct {
	born           time.Time
	known, strange sample
	// recorded has the pushkeys whose rejections were recorded, which are those that a trip withdraws. It has all of them, unlike the
	// samples, because the number of records is bounded.
	recorded map[rejected.Key]grave
}

// grave describes the device of a recorded rejection.
type grave struct {
	host  string
	known bool
}

func newFuseHalf(now time.Time, most int) fuseHalf {
	return fuseHalf{born: now, known: newSample(most), strange: newSample(most), recorded: make(map[rejected.Key]grave)}
}

// of counts a host's pushkeys.
func (h *fuseHalf) of(host string) census {
	known := h.known.of(host)
	return census{known: known, all: known.plus(h.strange.of(host))}
}

// inApp counts the pushkeys that count for the app: those of hosts that are not tripped.
func (h *fuseHalf) inApp() census {
	known := h.known.in.scaled(h.known.level)
	return census{known: known, all: known.plus(h.strange.in.scaled(h.strange.level))}
}

// total counts all pushkeys.
func (h *fuseHalf) total() tally {
	return h.known.all.scaled(h.known.level).plus(h.strange.all.scaled(h.strange.level))
}

func (h *fuseHalf) forget(k rejected.Key) {
	h.known.forget(k)
	h.strange.forget(k)
	delete(h.recorded, k)
}

// sample counts distinct pushkeys in constant memory. It keeps the pushkeys whose rank is below a limit. When there are more than it
// may keep, it halves the limit, and each pushkey counts twice as much.
type sample struct {
	most  int
	level uint // each pushkey counts for 1<<level
	// all counts the pushkeys in the sample. in counts those that count for the app.
	all, in  tally
	verdicts map[rejected.Key]fuseVerdict
	hosts    map[string]*hostTally
}

// hostTally counts a host's pushkeys in a sample.
type hostTally struct {
	tally
	name string
	// out means that the host is tripped, so its pushkeys do not count for the app.
	out bool
}

type fuseVerdict struct {
	dead bool
	host *hostTally // nil if all pushes of the app go to the same service
}

func newSample(most int) sample {
	return sample{most: most, verdicts: make(map[rejected.Key]fuseVerdict), hosts: make(map[string]*hostTally)}
}

// secret is the seed of the ranks: whoever chooses pushkeys must not be able to choose which of them are counted.
var secret = maphash.MakeSeed()

// admits reports whether the sample keeps a pushkey.
func (s *sample) admits(k rejected.Key) bool {
	return s.level == 0 || maphash.Bytes(secret, k[:])>>(64-s.level) == 0
}

// set counts a verdict. out means that the host is tripped.
func (s *sample) set(k rejected.Key, host string, dead, out bool) {
	s.forget(k)
	if !s.admits(k) {
		return
	}
	v := fuseVerdict{dead: dead}
	if host != "" {
		if v.host = s.hosts[host]; v.host == nil {
			v.host = &hostTally{name: host, out: out}
			s.hosts[host] = v.host
		}
	}
	s.verdicts[k] = v
	s.count(v, 1)
	for len(s.verdicts) > s.most {
		s.thin()
	}
}

// thin halves the sample.
func (s *sample) thin() {
	s.level++
	for k := range s.verdicts {
		if !s.admits(k) {
			s.forget(k)
		}
	}
}

func (s *sample) has(k rejected.Key) bool {
	_, ok := s.verdicts[k]
	return ok
}

func (s *sample) forget(k rejected.Key) {
	v, ok := s.verdicts[k]
	if !ok {
		return
	}
	s.count(v, -1)
	delete(s.verdicts, k)
	if v.host != nil && v.host.all == 0 {
		delete(s.hosts, v.host.name)
	}
}

func (s *sample) count(v fuseVerdict, n int) {
	s.all.add(v.dead, n)
	if v.host != nil {
		v.host.add(v.dead, n)
	}
	if v.host == nil || !v.host.out {
		s.in.add(v.dead, n)
	}
}

// mark sets whether a host's pushkeys are left out of the app's count.
func (s *sample) mark(host string, out bool) {
	h := s.hosts[host]
	if h == nil || h.out == out {
		return
	}
	h.out = out
	if out {
		s.in = s.in.minus(h.tally)
	} else {
		s.in = s.in.plus(h.tally)
	}
}

func (s *sample) of(host string) tally {
	if h := s.hosts[host]; h != nil {
		return h.scaled(s.level)
	}
	return tally{}
}

// census counts the pushkeys of an app or a host: all of them, and the known ones among them, which were delivered to before.
type census struct{ known, all tally }

func (c census) plus(o census) census { return census{c.known.plus(o.known), c.all.plus(o.all)} }

// tally counts pushkeys. seen is how many dead ones the sample has; the other numbers may be estimates.
type tally struct{ dead, all, seen int }

// enoughSeen is how many dead pushkeys a sample must have for its estimate to count.
const enoughSeen = 8

// over reports whether at least so many pushkeys are dead, and more than a share of all.
func (t tally) over(share float64, least int) bool {
	return t.dead >= least && t.seen >= min(least, enoughSeen) && float64(t.dead) > share*float64(t.all)
}

func (t *tally) add(dead bool, n int) {
	t.all += n
	if dead {
		t.dead += n
		t.seen += n
	}
}

// scaled returns the estimate of a sample at a level.
func (t tally) scaled(level uint) tally { return tally{t.dead << level, t.all << level, t.seen} }

func (t tally) plus(o tally) tally { return tally{t.dead + o.dead, t.all + o.all, t.seen + o.seen} }

func (t tally) minus(o tally) tally { return tally{t.dead - o.dead, t.all - o.all, t.seen - o.seen} }
