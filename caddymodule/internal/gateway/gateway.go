package gateway

import (
	"sync/atomic"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Options are the parts of a gateway.
type Options struct {
	Router   *Router
	Rejected rejected.Store
	Outbox   outbox.Box
	// Dedupe is how long a delivered event is remembered; 0 turns that off.
	Dedupe time.Duration
	// Fuse is when rejections are held.
	Fuse     FuseOptions
	Shared   *Shared
	Observer Observer
	Now      func() time.Time
	// Jitter returns a random duration below the given one.
	Jitter func(time.Duration) time.Duration
	// Before is the gateway of the live configuration; nil if there is none. New takes over the histories of its apps, and forgets Before.
	Before *Gateway
}

// Gateway delivers notifications according to one configuration.
type Gateway struct {
	Options
	// Sites are the sites that mount the gateway. They are set before it starts, and nil if they are not known.
	Sites []Site

	box *box
	// recalled means that Recall is complete. Only the goroutine that recalls uses it.
	recalled bool
	// retired means that another configuration took over.
	retired atomic.Bool
}

// loads counts the gateways that were made.
var loads atomic.Int64

// New makes a gateway. It takes over its apps: no other gateway may have them.
func New(o Options) *Gateway {
	load := loads.Add(1)
	for _, app := range o.Router.Apps() {
		app.load = load
		app.hosts, app.fuse = o.Shared.hostsOf(app.Pattern), o.Shared.Fuses.of(app.Pattern)
		app.history = o.Before.historyOf(app.Pattern)
		app.key = appKey(app.Pattern)
	}
	o.Before = nil // otherwise, no configuration would ever be freed
	g := &Gateway{Options: o, box: newBox(o.Outbox, o.Observer)}
	g.reportLosses()
	return g
}

// Observer is notified of events, to report them to the operator. It is called from many goroutines and must not block.
type Observer interface {
	// Attempted is called when an attempt to deliver has ended, and for a push that made way for another one in the outbox.
	Attempted(Attempt)
	// Refused is called when the outbox had no room for a push.
	Refused(app *App, why Refusal)
	// Lost is called when the outbox has dropped pushes by itself. The app has no provider if it is no longer configured.
	Lost(app *App, why outbox.Loss, pushes int)
	// Forgot is called when delivered events were forgotten before their time, because there were too many.
	Forgot(events int)
	// Answered is called for each device of a request when it is answered. The app is nil if none serves the device.
	Answered(app *App, result Result)
	// HostPaused is called when a host that devices choose has throttled so many of them that its pushes pause.
	HostPaused(app *App, host string)
	// BreakerOpened is called once when so many attempts failed that the breaker opens. The host is empty if all of the app's pushes go
	// to one service.
	BreakerOpened(app *App, host string)
	// BreakerClosed is called once when the push service works again.
	BreakerClosed(app *App, host string)
	// AppFailing is called once when an app begins to fail: for a while, all its pushes failed and nothing was delivered.
	AppFailing(app *App, why Failing)
	// AppRecovered is called once when an answer of the push service shows that the app works again.
	AppRecovered(app *App)
	// FuseTripped is called when too many pushkeys of an app, or of one of its hosts, were rejected. Their rejections are withdrawn,
	// and further ones are held. The app is empty for devices of unknown apps. alarm means that known devices would trip it by
	// themselves. If that happens later, FuseTripped is called again.
	FuseTripped(app, host string, pushkeys int, alarm bool)
	// FuseReset is called when rejections are believed again, because their share fell or the operator reset the fuse. alarm means that
	// FuseTripped was called with it.
	FuseReset(app, host string, byOperator, alarm bool)
	// StoreFailed is called when a call to a store failed. The error does not contain a pushkey.
	StoreFailed(doing string, err error)
	// Probed is called for the first request of doctor and of a homeserver for a probe.
	Probed(by Sighting, isDoctor bool)
}

// Attempt describes an attempt to an observer.
type Attempt struct {
	App      *App
	Key      rejected.Key
	Outcome  providers.Outcome
	Duration time.Duration
	// Age is the time from the acceptance of the notification to the end of the attempt.
	Age time.Duration
	// Result is the policy's decision about the outcome. Alarm means that the operator must act.
	Result Result
	Alarm  bool
	// Untried means that there was no attempt: the push made way for another one in the outbox.
	Untried bool
	// Known means that the device was delivered to before. Chosen means that the device chose the push server: anybody can make up any
	// number of pushkeys, and have a server report them dead.
	Known, Chosen bool
	// Host is where the push went; empty if all pushes of the app go to one service.
	Host string
	// WrongKeys is how many devices at the host subscribed with another key than the app's, if that is to be reported now.
	WrongKeys int
}

// Kind returns one word for the result of the attempt. Four words differ from the outcome's, and none of them rejects anybody:
//
//   - doubted: the rejection is not believed yet
//   - held: likewise, but the operator is not alerted
//   - outdated: the rejection is about an earlier registration of the device
//   - unauthorized: the credentials were refused by a server that the device chose; otherwise that is misconfigured
//
// A suspicion that has lasted is rejected.
func (a *Attempt) Kind() string {
	switch {
	case a.Outcome.Kind == providers.KindSuspected && a.Result.dead():
		return providers.KindRejected.String()
	case a.Outcome.Kind == providers.KindMisconfigured && !a.Alarm:
		return kindUnauthorized
	case a.Outcome.Kind != providers.KindRejected || a.Result.dead():
		return a.Outcome.Kind.String()
	case a.Alarm:
		return kindDoubted
	case a.Result == Dropped:
		return kindOutdated
	default:
		return kindHeld
	}
}

// The kinds of attempts that are not an outcome's.
const (
	kindDoubted      = "doubted"
	kindHeld         = "held"
	kindOutdated     = "outdated"
	kindUnauthorized = "unauthorized"
)
