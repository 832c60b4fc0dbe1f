// Package checker judges a push gateway from outside: it holds what homeservers asked and were answered against what the push service
// got, and says what was lost, doubled, reordered or wrongly rejected. It shares no code with the gateway.
//
//	checker.go  the verdicts
//	history.go  what is known of one device, and of one event for it
//	log.go      the logs, as JSON lines
//	cmd         the program
package checker

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// Request is a homeserver's request to the gateway: one line of its log. A notification that was sent again is another request with the
// same event.
type Request struct {
	Sent time.Time `json:"time"`
	// Answered is when the answer was there; zero if there was none.
	Answered time.Time `json:"answered,omitzero"`
	// Event is what makes the notification the same when it is sent again; empty for a badge update.
	Event   string   `json:"event,omitempty"`
	Devices []Device `json:"devices"`
	// Status is the answer's; 0 if there was none.
	Status int `json:"status,omitempty"`
	// Rejected are those of the devices that the answer lists.
	Rejected []string `json:"rejected,omitempty"`
	// Expires is from when on the event need not arrive any more; zero for never.
	Expires time.Time `json:"expires,omitzero"`
}

// Device is one of a request's devices.
type Device struct {
	// Name is the device's in both logs.
	Name string `json:"device"`
	// PushkeyTS is when the client registered, in seconds by the homeserver's clock; 0 if the homeserver does not say.
	PushkeyTS int64 `json:"pushkey_ts,omitempty"`
}

// Push is a push as the push service saw it: one line of its log.
type Push struct {
	Time   time.Time `json:"time"`
	Device string    `json:"device"`
	Event  string    `json:"event,omitempty"`
	// Taken says that the push service took it, and Cut that its answer was cut off, so that nobody knows.
	Taken bool `json:"taken,omitempty"`
	Cut   bool `json:"cut,omitempty"`
	// Dead says that the push service answered that the device's pushkey is dead, as of the second Since if it said so.
	Dead  bool  `json:"dead,omitempty"`
	Since int64 `json:"since,omitempty"`
}

// Kill is an end of the gateway's process.
type Kill struct {
	Time time.Time `json:"time"`
	// Ended is when it was gone; zero for at once.
	Ended time.Time `json:"ended,omitzero"`
}

func (k Kill) ended() time.Time {
	if k.Ended.IsZero() {
		return k.Time
	}
	return k.Ended
}

// KillWindow is how long before the end of a process a push may have been taken that is sent again afterwards: the gateway had no time to write down
// that it was.
const KillWindow = 2 * time.Second

// Kind is what is wrong.
type Kind string

// What can be wrong.
const (
	// Lost: answered with 200, not rejected, and never taken.
	Lost Kind = "lost"
	// Doubled: taken again, though no kill and no answer that was cut off explains it.
	Doubled Kind = "doubled"
	// Reordered: taken after an event that was first sent when this one had been answered with 200.
	Reordered Kind = "reordered"
	// WronglyRejected: listed as rejected, though the push service never said so of this registration or a later one.
	WronglyRejected Kind = "wrongly rejected"
	// Invented: pushed, though no homeserver had asked for it.
	Invented Kind = "invented"
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind          Kind
	Device, Event string
	Text          string
}

// String is the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s for %s: %s", f.Kind, f.Event, f.Device, f.Text)
}

// Report is what the checker found.
type Report struct {
	// Requests, and those of them that were answered with 200, with anything else, and not at all.
	Requests, Accepted, Refused, Unanswered int
	// Events are the events, each counted once for every device; Taken are those of them that arrived.
	Events, Taken int
	// Pushes are all that the push service saw, Kills the ends of the gateway's process.
	Pushes, Kills int
	// DoubledByKill and DoubledByCut are the pushes that were taken again for a reason: a kill, or an answer that was cut off.
	DoubledByKill, DoubledByCut int
	// Rejected are the events that were answered as rejected, rightly; Buried are those that were accepted for a device that turned
	// out to be dead, and Expired those whose time was over.
	Rejected, Buried, Expired int

	Findings []Finding
}

// Check judges the logs. Their order does not matter.
func Check(requests []Request, pushes []Push, kills []Kill) Report {
	slices.SortStableFunc(requests, func(a, b Request) int { return a.Sent.Compare(b.Sent) })
	slices.SortStableFunc(pushes, func(a, b Push) int { return a.Time.Compare(b.Time) })
	slices.SortFunc(kills, func(a, b Kill) int { return a.Time.Compare(b.Time) })
	r := &Report{Requests: len(requests), Pushes: len(pushes), Kills: len(kills)}
	devices := r.read(requests, pushes)
	for _, d := range devices {
		r.judge(d, kills)
	}
	for i := range requests {
		r.rejections(&requests[i], devices)
	}
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Event, b.Event))
	})
	return *r
}

// judge looks at each event of a device, and at the order in which they were taken.
func (r *Report) judge(d *history, kills []Kill) {
	for _, e := range d.events {
		r.Events++
		if len(e.taken) > 0 {
			r.Taken++
		}
		r.missing(d, e)
		for i := 1; i < len(e.taken); i++ {
			r.repetition(d, e, e.taken[i-1], e.taken[i], kills)
		}
	}
	r.order(d)
}

// missing looks whether an event had to arrive and did not.
func (r *Report) missing(d *history, e *event) {
	switch {
	case e.rejected:
		r.Rejected++
	case len(e.taken) > 0 || e.answered.IsZero():
	case d.buries(e):
		r.Buried++
	case !e.expires.IsZero():
		r.Expired++
	default:
		r.find(Lost, d, e, "answered with 200 at %s, never taken", clock(e.answered))
	}
}

// repetition looks whether anything explains that a push was taken twice.
func (r *Report) repetition(d *history, e *event, first, second Push, kills []Kill) {
	killed := slices.ContainsFunc(kills, func(k Kill) bool {
		end := k.ended()
		return !end.Before(first.Time) && !end.After(second.Time) && end.Sub(first.Time) <= KillWindow
	})
	switch {
	case first.Cut:
		r.DoubledByCut++
	case killed:
		r.DoubledByKill++
	default:
		r.find(Doubled, d, e, "taken at %s and again at %s, with no kill and no answer cut off in between", clock(first.Time), clock(second.Time))
	}
}

// order looks whether any event was taken after one that came into the world later.
func (r *Report) order(d *history) {
	var latest *event // of those taken so far, the one that was first sent last
	for _, p := range d.taken {
		e := d.events[p.Event]
		if e == nil {
			continue // invented
		}
		if latest != nil && !e.answered.IsZero() && latest.sent.After(e.answered) {
			r.find(Reordered, d, e, "taken at %s after %s, which was first sent %s after this one was answered", clock(p.Time), latest.name,
				latest.sent.Sub(e.answered))
		}
		if latest == nil || e.sent.After(latest.sent) {
			latest = e
		}
	}
}

// rejections looks whether the push service bears out what an answer lists.
func (r *Report) rejections(q *Request, devices map[string]*history) {
	for _, name := range q.Rejected {
		ts, asked := q.pushkeyTS(name)
		e := &event{name: q.Event}
		switch d := devices[name]; {
		case !asked:
			r.find(WronglyRejected, &history{name: name}, e, "no device of the request at %s", clock(q.Sent))
		case !d.dead(ts, q.Answered):
			r.find(WronglyRejected, d, e, "the registration of %d was answered as rejected at %s; the push service had called dead: %s",
				ts, clock(q.Answered), d.deaths())
		}
	}
}

func (q *Request) pushkeyTS(name string) (ts int64, ok bool) {
	for _, d := range q.Devices {
		if d.Name == name {
			ts, ok = max(ts, d.PushkeyTS), true
		}
	}
	return ts, ok
}

func (r *Report) find(kind Kind, d *history, e *event, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Kind: kind, Device: d.name, Event: e.name, Text: fmt.Sprintf(format, args...)})
}

// Count is how many findings there are of a kind.
func (r *Report) Count(kind Kind) (n int) {
	for _, f := range r.Findings {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// Write writes the report for people.
func (r *Report) Write(w io.Writer) {
	fmt.Fprintf(w, "%d requests: %d answered with 200, %d otherwise, %d not at all; %d kills; %d pushes\n",
		r.Requests, r.Accepted, r.Refused, r.Unanswered, r.Kills, r.Pushes)
	fmt.Fprintf(w, "%d events: %d taken, %d rejected, %d of a device that was dead, %d expired\n",
		r.Events, r.Taken, r.Rejected, r.Buried, r.Expired)
	fmt.Fprintf(w, "%d taken again after a kill, %d after an answer that was cut off\n", r.DoubledByKill, r.DoubledByCut)
	fmt.Fprintf(w, "%d lost, %d doubled, %d reordered, %d wrongly rejected, %d invented\n",
		r.Count(Lost), r.Count(Doubled), r.Count(Reordered), r.Count(WronglyRejected), r.Count(Invented))
	for _, f := range r.Findings {
		fmt.Fprintln(w, f)
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
