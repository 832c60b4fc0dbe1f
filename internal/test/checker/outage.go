package checker

import (
	"slices"
	"time"
)

// Outage is a time in which gateways could not use the store that has some devices' pushes, or in which it lost its latest changes. Then a
// push may be taken again, or out of order. No outage explains that an accepted push is lost.
type Outage struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Devices are those whose pushes the store has. None means all devices.
	Devices []string `json:"devices,omitempty"`
}

// read sorts the outages by device.
func read(outages []Outage, devices map[string]*history) {
	for _, o := range outages {
		if len(o.Devices) == 0 {
			for _, d := range devices {
				d.outages = append(d.outages, o)
			}
		}
		for _, name := range o.Devices {
			if d := devices[name]; d != nil {
				d.outages = append(d.outages, o)
			}
		}
	}
}

// OutageWindow is the longest time from the end of an outage to the end of an attempt that began in it.
const OutageWindow = 10 * time.Second

// outage reports whether there was an outage of the device's store between two times, or shortly before.
func (d *history) outage(from, until time.Time) bool {
	return slices.ContainsFunc(d.outages, func(o Outage) bool {
		return !o.From.After(until) && !o.Until.Before(from.Add(-OutageWindow))
	})
}

// Patience is how long an accepted push may wait although nothing holds it up. It is counted from its answer with 200, and again from the
// end of each of these:
//
//   - a kill: the process may have had the push
//   - an outage of the store
//   - a push to the device that the push service did not take: then Retry counts in place of Any
//
// A push that is taken later than that is [Starved]. Zero turns the rule off.
type Patience struct{ Any, Retry time.Duration }

// wait checks whether an event was taken in time.
func (r *Report) wait(d *history, e *event, l *Logs) {
	taken := e.taken[0].Time
	if l.Patience.Any == 0 || e.answered.IsZero() {
		return
	}
	until := e.answered.Add(l.Patience.Any)
	after := func(obstacle time.Time, patience time.Duration) {
		if end := obstacle.Add(patience); !obstacle.After(taken) && end.After(until) {
			until = end
		}
	}
	for _, k := range l.Kills {
		after(k.ended(), l.Patience.Any)
	}
	for _, o := range d.outages {
		if !o.From.After(taken) && o.Until.After(taken) {
			return // it lasts
		}
		after(o.Until, l.Patience.Any)
	}
	for _, t := range d.refused {
		after(t, l.Patience.Retry)
	}
	if taken.After(until) {
		r.find(Starved, d, e, "answered with 200 at %s and taken at %s, %s later than it should have been", clock(e.answered), clock(taken),
			taken.Sub(until))
	}
}
