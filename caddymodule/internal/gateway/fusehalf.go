package gateway

import (
	"hash/maphash"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// fuseHalf are the verdicts of half a window. Devices that were delivered to before have a sample of their own, so no number of strangers
// thins it out.
type fuseHalf struct {
	born           time.Time
	known, strange sample
	// recorded are the pushkeys whose rejection was recorded: those that a trip withdraws. All of them are here, whatever the samples hold,
	// since there is a bound to how many are recorded.
	recorded map[rejected.Key]grave
}

// grave is whose rejection was recorded.
type grave struct {
	host  string
	known bool
}

func newFuseHalf(now time.Time, most int) fuseHalf {
	return fuseHalf{born: now, known: newSample(most), strange: newSample(most), recorded: make(map[rejected.Key]grave)}
}

// of are a host's pushkeys.
func (h *fuseHalf) of(host string) census {
	known := h.known.of(host)
	return census{known: known, all: known.plus(h.strange.of(host))}
}

// inApp are the pushkeys that count for the app: those of hosts that are not tripped.
func (h *fuseHalf) inApp() census {
	known := h.known.in.scaled(h.known.level)
	return census{known: known, all: known.plus(h.strange.in.scaled(h.strange.level))}
}

// total are all pushkeys.
func (h *fuseHalf) total() tally {
	return h.known.all.scaled(h.known.level).plus(h.strange.all.scaled(h.strange.level))
}

func (h *fuseHalf) forget(k rejected.Key) {
	h.known.forget(k)
	h.strange.forget(k)
	delete(h.recorded, k)
}

// sample counts distinct pushkeys in constant memory. It keeps those whose rank is below a bound, and halves the bound when there are more
// than it may keep: then each stands for twice as many.
type sample struct {
	most  int
	level uint // each pushkey stands for 1<<level
	// all are the pushkeys in the sample, and in those of hosts that are not out.
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

// secret keys the ranks: whoever chooses pushkeys must not choose which of them are counted.
var secret = maphash.MakeSeed()

// admits reports whether the sample keeps a pushkey.
func (s *sample) admits(k rejected.Key) bool {
	return s.level == 0 || maphash.Bytes(secret, k[:])>>(64-s.level) == 0
}

// set counts a verdict; out means that the host is tripped.
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

// mark says whether a host's pushkeys count for the app.
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

// census counts the pushkeys of an app or of a host: all of them, and of these the known ones, which were delivered to before.
type census struct{ known, all tally }

func (c census) plus(o census) census { return census{c.known.plus(o.known), c.all.plus(o.all)} }

// tally counts pushkeys. Seen is how many dead ones were really looked at, where the others are an estimate from a sample.
type tally struct{ dead, all, seen int }

// enoughSeen is how many dead pushkeys have to be in a sample for an estimate to count.
const enoughSeen = 8

// over reports whether at least so many pushkeys, and more than a share of them, are dead.
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

// scaled is the estimate of a sample at a level.
func (t tally) scaled(level uint) tally { return tally{t.dead << level, t.all << level, t.seen} }

func (t tally) plus(o tally) tally { return tally{t.dead + o.dead, t.all + o.all, t.seen + o.seen} }

func (t tally) minus(o tally) tally { return tally{t.dead - o.dead, t.all - o.all, t.seen - o.seen} }
