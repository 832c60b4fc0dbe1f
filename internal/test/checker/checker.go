// Package checker judges a push gateway from outside. It compares the requests and answers of homeservers with the pushes of the push service,
// and reports what was lost, doubled, reordered, starved or wrongly rejected. It shares no code with the gateway.
//
//	checker.go  the verdicts
//	outage.go   what an outage of the store explains, and how long pushes may wait
//	history.go  what is known about one device, and about one event for it
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

// Request is a homeserver's request to the gateway: one line of its log. A repeated notification is another request with the same event.
type Request struct {
	Sent time.Time `json:"time"`
	// Answered is when the answer arrived. It is zero if there was none.
	Answered time.Time `json:"answered,omitzero"`
	// Event identifies the notification when it is repeated. It is empty for a badge update.
	Event   string   `json:"event,omitempty"`
	Devices []Device `json:"devices"`
	// Status is the status of the answer. It is 0 if there was none.
	Status int `json:"status,omitempty"`
	// Rejected has the devices that the answer rejects.
	Rejected []string `json:"rejected,omitempty"`
	// Expires is the time after which the event need not arrive. Zero means that it must always arrive.
	Expires time.Time `json:"expires,omitzero"`
}

// Device is one of a request's devices.
type Device struct {
	// Name is the device's name in both logs.
	Name string `json:"device"`
	// PushkeyTS is when the client registered, in seconds by the homeserver's clock. It is 0 if the homeserver sends none.
	PushkeyTS int64 `json:"pushkey_ts,omitempty"`
}

// Push is a push as the push service saw it: one line of its log.
type Push struct {
	Time   time.Time `json:"time"`
	Device string    `json:"device"`
	Event  string    `json:"event,omitempty"`
	// Taken reports whether the push service took the push. Cut reports whether its answer was cut off, so the gateway cannot know.
	Taken bool `json:"taken,omitempty"`
	Cut   bool `json:"cut,omitempty"`
	// Dead reports whether the push service answered that the pushkey is dead. Since is the time in that answer, in seconds, if it had one.
	Dead  bool  `json:"dead,omitempty"`
	Since int64 `json:"since,omitempty"`
}

// Kill is one end of the gateway's process.
type Kill struct {
	Time time.Time `json:"time"`
	// Ended is when the process was gone. Zero means at once.
	Ended time.Time `json:"ended,omitzero"`
}

func (k Kill) ended() time.Time {
	if k.Ended.IsZero() {
		return k.Time
	}
	return k.Ended
}

// KillWindow is the time before the end of a process in which the gateway may fail to record a delivery. Such a push may be sent again.
const KillWindow = 2 * time.Second

// Kind is the kind of a finding.
type Kind string

// The kinds of findings.
const (
	// Lost: answered with 200, not rejected, and never taken.
	Lost Kind = "lost"
	// Doubled: taken again, although neither a kill nor an answer that was cut off explains it.
	Doubled Kind = "doubled"
	// Reordered: taken after an event that was first sent after this one was answered with 200.
	Reordered Kind = "reordered"
	// WronglyRejected: listed as rejected, although the push service never reported this registration or a later one as dead.
	WronglyRejected Kind = "wrongly rejected"
	// Starved: taken too late, although nothing held it up: see [Patience].
	Starved Kind = "starved"
	// Invented: pushed, although no homeserver had sent it.
	Invented Kind = "invented"
)

// Finding is one fault of the gateway.
type Finding struct {
	Kind          Kind
	Device, Event string
	Text          string
}

// String returns the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s for %s: %s", f.Kind, f.Event, f.Device, f.Text)
}

// Report is what the checker found.
type Report struct {
	// Requests counts the requests. Accepted, Refused and Unanswered count those answered with 200, with another status, and not at all.
	Requests, Accepted, Refused, Unanswered int
	// Events counts the events, each once for every device. Taken counts those that arrived.
	Events, Taken int
	// Pushes counts all pushes that the push service saw. Kills counts the ends of the gateway's process.
	Pushes, Kills int
	// DoubledByKill and DoubledByCut count pushes that were taken again for a good reason: a kill, or an answer that was cut off.
	DoubledByKill, DoubledByCut int
	// DoubledByOutage and ReorderedByOutage count pushes that were taken again or out of order around an [Outage].
	DoubledByOutage, ReorderedByOutage int
	// Rejected counts the events that were rightly answered as rejected. Buried counts those that were accepted for a device that was
	// found dead later. Expired counts those whose time was over.
	Rejected, Buried, Expired int

	Findings []Finding
}

// Check judges the logs of gateways whose stores had no outages. The order of the logs does not matter.
func Check(requests []Request, pushes []Push, kills []Kill) Report {
	return Logs{Requests: requests, Pushes: pushes, Kills: kills}.Check()
}

// Logs are what both sides of the gateways saw, and what happened to the gateways and their stores.
type Logs struct {
	Requests []Request
	Pushes   []Push
	Kills    []Kill
	Outages  []Outage
	Patience Patience
}

// Check judges the logs. Their order does not matter.
func (l Logs) Check() Report {
	slices.SortStableFunc(l.Requests, func(a, b Request) int { return a.Sent.Compare(b.Sent) })
	slices.SortStableFunc(l.Pushes, func(a, b Push) int { return a.Time.Compare(b.Time) })
	slices.SortFunc(l.Kills, func(a, b Kill) int { return a.Time.Compare(b.Time) })
	r := &Report{Requests: len(l.Requests), Pushes: len(l.Pushes), Kills: len(l.Kills)}
	devices := r.read(l.Requests, l.Pushes)
	read(l.Outages, devices)
	for _, d := range devices {
		r.judge(d, &l)
	}
	for i := range l.Requests {
		r.rejections(&l.Requests[i], devices)
	}
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Event, b.Event))
	})
	return *r
}

// judge checks each event of a device, and the order in which they were taken.
func (r *Report) judge(d *history, l *Logs) {
	for _, e := range d.events {
		r.Events++
		if len(e.taken) > 0 {
			r.Taken++
			r.wait(d, e, l)
		}
		r.missing(d, e)
		for i := 1; i < len(e.taken); i++ {
			r.repetition(d, e, e.taken[i-1], e.taken[i], l.Kills)
		}
	}
	r.order(d)
}

// missing checks whether an event should have arrived and did not.
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

// repetition checks whether a kill, a cut answer or an outage explains that a push was taken twice.
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
	case d.outage(first.Time, second.Time):
		r.DoubledByOutage++
	default:
		r.find(Doubled, d, e, "taken at %s and again at %s, without a kill, a cut answer or an outage in between", clock(first.Time),
			clock(second.Time))
	}
}

// order checks whether an event was taken after one that was sent later.
func (r *Report) order(d *history) {
	var latest *event // the event sent last, of those taken so far
	for _, p := range d.taken {
		e := d.events[p.Event]
		if e == nil {
			continue // invented
		}
		switch {
		case latest == nil, e.answered.IsZero(), !latest.sent.After(e.answered):
		case d.outage(e.answered, p.Time):
			r.ReorderedByOutage++
		default:
			r.find(Reordered, d, e, "taken at %s after %s, which was first sent %s after this one was answered", clock(p.Time), latest.name,
				latest.sent.Sub(e.answered))
		}
		if latest == nil || e.sent.After(latest.sent) {
			latest = e
		}
	}
}

// rejections checks whether the push service's answers justify the rejections of a homeserver's answer.
func (r *Report) rejections(q *Request, devices map[string]*history) {
	for _, name := range q.Rejected {
		ts, asked := q.pushkeyTS(name)
		e := &event{name: q.Event}
		switch d := devices[name]; {
		case !asked:
			r.find(WronglyRejected, &history{name: name}, e, "the request at %s has no such device", clock(q.Sent))
		case !d.dead(ts, q.Answered):
			r.find(WronglyRejected, d, e, "the registration of %d was rejected at %s; the push service had reported as dead: %s",
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

// Count returns the number of findings of a kind.
func (r *Report) Count(kind Kind) (n int) {
	for _, f := range r.Findings {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// Write writes the report as text.
func (r *Report) Write(w io.Writer) {
	fmt.Fprintf(w, "%d requests: %d answered with 200, %d with another status, %d unanswered; %d kills; %d pushes\n",
		r.Requests, r.Accepted, r.Refused, r.Unanswered, r.Kills, r.Pushes)
	fmt.Fprintf(w, "%d events: %d taken, %d rejected, %d for a dead device, %d expired\n",
		r.Events, r.Taken, r.Rejected, r.Buried, r.Expired)
	fmt.Fprintf(w, "%d taken again after a kill, %d after a cut answer, %d around an outage; %d out of order around an outage\n",
		r.DoubledByKill, r.DoubledByCut, r.DoubledByOutage, r.ReorderedByOutage)
	fmt.Fprintf(w, "%d lost, %d doubled, %d reordered, %d starved, %d wrongly rejected, %d invented\n",
		r.Count(Lost), r.Count(Doubled), r.Count(Reordered), r.Count(Starved), r.Count(WronglyRejected), r.Count(Invented))
	for _, f := range r.Findings {
		fmt.Fprintln(w, f)
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
