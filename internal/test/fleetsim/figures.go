package fleetsim

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

// Result is what happened to a fleet.
type Result struct {
	Report  checker.Report
	Figures Figures
	// Lost has the events that failovers may have lost. Replicas is Options.Replicas.
	Lost     map[string]bool
	Replicas bool
}

// Faults returns the findings, except losses of what was only in the memory of a server that is gone.
func (r *Result) Faults() (faults []checker.Finding) {
	for _, f := range r.Report.Findings {
		if f.Kind != checker.Lost || r.Replicas || !r.Lost[f.Event] {
			faults = append(faults, f)
		}
	}
	return faults
}

// mostShown is how many findings are written at most.
const mostShown = 5

// Write writes the report and the figures as text.
func (r *Result) Write(w io.Writer) {
	var text strings.Builder
	r.Report.Write(&text)
	lines := strings.SplitAfter(text.String(), "\n")
	summary := len(lines) - len(r.Report.Findings) - 1
	for _, line := range lines[:summary+min(len(r.Report.Findings), mostShown)] {
		fmt.Fprint(w, line)
	}
	r.Figures.Write(w)
}

// Delays are how long pushes took, from the event to the push service: half of them, 99 of 100, and all.
type Delays struct {
	Pushes          int
	Half, Most, All time.Duration
}

// Watched compares the pushes that a failure concerned with the others of that time.
type Watched struct{ Concerned, Others Delays }

// Herd is what happens when the push service of the huge app works again: how many pushes are pending, how soon half and nearly all of them
// have been taken, and how many are taken in the busiest second.
type Herd struct {
	Pending         int
	Half, Most, All time.Duration
	Peak, Usual     int
}

// Figures are the measurements of a run.
type Figures struct {
	All Delays
	// Down, Slow, Failover and Partition are failures of shards, and Rack is one of gateways. Disaster is several of them together, while
	// services are down.
	Down, Slow, Failover, Partition, Rack, Disaster Watched
	Herd                                            Herd
	// Fairest and Unfairest are the delays of 99 of 100 pushes of the apps with the best and the worst. Only apps whose service was up count.
	Fairest, Unfairest time.Duration
	// Leases counts the calls that leased something or tried to. Collisions counts those that found nothing, because another gateway was
	// faster. Looks counts how often a gateway looked whether a shard has something due.
	Leases, Collisions, Looks int
	// Refused counts the pushes for which a shard had no room.
	Refused int
	// Busiest is which part of the time the thread of the busiest shard worked, and Mean that of all shards.
	Busiest, Mean float64
}

// watch measures the pushes of a time, those of some shards and the others.
func (f *Fleet) watch(w *Watched, lasts time.Duration, shards ...*shard) {
	of := make(map[int]bool)
	for _, s := range shards {
		of[s.n] = true
	}
	f.watching(w, lasts, func(d device) bool { return of[f.places[d]] })
}

// watchAll measures all pushes that are sent around now.
func (f *Fleet) watchAll(w *Watched, lasts time.Duration) {
	f.watching(w, lasts, func(device) bool { return true })
}

func (f *Fleet) watching(w *Watched, lasts time.Duration, concerned func(device) bool) {
	from, until := f.clock.now-checkTime, f.clock.now+lasts+checkTime
	f.watches = append(f.watches, func() {
		w.Concerned = f.delays(func(e eventID) bool { return f.sent[e] >= from && f.sent[e] < until && concerned(f.of[e]) })
		w.Others = f.delays(func(e eventID) bool { return f.sent[e] >= from && f.sent[e] < until && !concerned(f.of[e]) })
	})
}

// herd measures how the pending pushes of an app are delivered after a time.
func (f *Fleet) herd(after time.Duration, app appID) {
	at := f.clock.now + after
	f.watches = append(f.watches, func() {
		h := &f.figures.Herd
		var waits []time.Duration
		rate := make(map[time.Duration]int)
		for e := range f.sent {
			if !f.judged(eventID(e)) || f.pushers[f.of[e]].app != app || f.arrived[e] == 0 {
				continue
			}
			if f.sent[e] <= at && f.arrived[e] > at {
				waits = append(waits, f.arrived[e]-at)
			}
			if f.arrived[e] > at {
				rate[(f.arrived[e]-at)/time.Second]++
			}
			if f.arrived[e] < f.o.Time/20 {
				h.Usual++
			}
		}
		d := delaysOf(waits)
		h.Pending, h.Half, h.Most, h.All = d.Pushes, d.Half, d.Most, d.All
		h.Usual = int(time.Duration(h.Usual) * time.Second / (f.o.Time / 20))
		for _, n := range rate {
			h.Peak = max(h.Peak, n)
		}
	})
}

// judged reports whether an event is a user's, and not a stranger's.
func (f *Fleet) judged(e eventID) bool { return e > 0 && int(f.of[e]) < f.o.Devices }

// delays returns those of the events that arrived.
func (f *Fleet) delays(counts func(eventID) bool) Delays {
	var all []time.Duration
	for e := range f.sent {
		if f.judged(eventID(e)) && f.arrived[e] != 0 && counts(eventID(e)) {
			all = append(all, f.arrived[e]-f.sent[e])
		}
	}
	return delaysOf(all)
}

func delaysOf(all []time.Duration) Delays {
	if len(all) == 0 {
		return Delays{}
	}
	slices.Sort(all)
	return Delays{len(all), all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}

// summarise computes the figures when everything has happened.
func (f *Fleet) summarise() {
	f.figures.All = f.delays(func(eventID) bool { return true })
	for _, watch := range f.watches {
		watch()
	}
	f.fairness()
	for _, s := range f.shards {
		part := s.work.Seconds() / f.o.Time.Seconds()
		f.figures.Busiest = max(f.figures.Busiest, part)
		f.figures.Mean += part / float64(len(f.shards))
	}
}

// fairness compares the apps.
func (f *Fleet) fairness() {
	byApp := make([][]time.Duration, f.o.Apps)
	for e := range f.sent {
		if app := f.pushers[f.of[e]].app; f.judged(eventID(e)) && f.arrived[e] != 0 {
			byApp[app] = append(byApp[app], f.arrived[e]-f.sent[e])
		}
	}
	for app, all := range byApp {
		if d := delaysOf(all); d.Pushes >= 100 && !f.troubled[app] {
			f.figures.Unfairest = max(f.figures.Unfairest, d.Most)
			if f.figures.Fairest == 0 || d.Most < f.figures.Fairest {
				f.figures.Fairest = d.Most
			}
		}
	}
}

// Write writes the figures as text.
func (r *Figures) Write(w io.Writer) {
	line := func(what string, d Delays) {
		fmt.Fprintf(w, "%-42s %7d pushes: half within %7s, 99 %% within %7s, all within %7s\n", what, d.Pushes, short(d.Half), short(d.Most),
			short(d.All))
	}
	line("all", r.All)
	for _, one := range []struct {
		name string
		Watched
	}{
		{"shards down", r.Down},
		{"shards slow", r.Slow},
		{"failover", r.Failover},
		{"partition", r.Partition},
		{"gateways killed", r.Rack},
		{"disaster", r.Disaster},
	} {
		line(one.name+", concerned", one.Concerned)
		if one.Others.Pushes > 0 {
			line(one.name+", others", one.Others)
		}
	}
	h := r.Herd
	fmt.Fprintf(w, "a service works again: %d pending, half within %s, 99 %% within %s, all within %s; %d in the busiest second, usually %d\n",
		h.Pending, short(h.Half), short(h.Most), short(h.All), h.Peak, h.Usual)
	fmt.Fprintf(w, "apps: 99 %% within %s at best, %s at worst\n", short(r.Fairest), short(r.Unfairest))
	fmt.Fprintf(w, "%d leases, %d of them found nothing; %d looks; %d pushes refused for room\n", r.Leases, r.Collisions, r.Looks, r.Refused)
	fmt.Fprintf(w, "the busiest shard worked %.1f %% of the time, all of them %.1f %%\n", 100*r.Busiest, 100*r.Mean)
}

func short(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }
