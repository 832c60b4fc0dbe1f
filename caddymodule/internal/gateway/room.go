package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Refusal is why the outbox had no room for a push.
type Refusal string

const (
	// RefusedFull means that the app's or the group's room is used up. The device or its host was delivered to before, or the app has
	// one push service.
	RefusedFull Refusal = "full"
	// RefusedStranger means that the strangers' room is used up. Neither the device nor its host was delivered to before.
	RefusedStranger Refusal = "stranger"
	// RefusedDevice means that the device has as many pending pushes as it may have.
	RefusedDevice Refusal = "device"
)

// refusedFor is how long a refusal degrades the app.
const refusedFor = time.Minute

// refusalOf returns why an outbox did not accept an entry. It reports false if the reason was not a lack of room.
func refusalOf(e *outbox.Entry, err error) (why Refusal, refused bool) {
	switch {
	case !errors.Is(err, outbox.ErrFull), errors.Is(err, outbox.ErrTaken):
		return "", false
	case errors.Is(err, outbox.ErrDeviceFull):
		return RefusedDevice, true
	case e.Standing == outbox.Stranger && e.Group != "":
		return RefusedStranger, true
	default:
		return RefusedFull, true
	}
}

// refusals has the times at which each app's pushes were refused because its room was used up. It is safe for concurrent use.
type refusals struct {
	mu   sync.Mutex
	apps map[string]refusing
}

// refusing is a period with refused pushes, and never more than a minute without one.
type refusing struct{ since, latest time.Time }

func (r *refusals) note(app string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.apps == nil {
		r.apps = make(map[string]refusing)
	}
	of := r.apps[app]
	if now.Sub(of.latest) > refusedFor {
		of.since = now
	}
	of.latest = now
	r.apps[app] = of
}

// since returns since when an app's pushes are refused; zero if none was within the last minute.
func (r *refusals) since(app string, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := r.apps[app]; now.Sub(of.latest) <= refusedFor {
		return of.since
	}
	return time.Time{}
}

// place gives an entry to the outbox. It reports the pushes that made way for it, or that there was no room.
func (g *Gateway) place(app *App, e outbox.Entry) error {
	displaced, err := g.box.accept(e)
	for _, r := range displaced {
		a := Attempt{App: app, Key: rejected.Key(r.Device), Outcome: providers.Dropped("displaced", nil), Result: Dropped, Untried: true}
		g.report(a, g.Now())
	}
	if why, refused := refusalOf(&e, err); refused {
		if why == RefusedFull {
			g.Shared.refusals.note(app.Pattern, g.Now())
		}
		g.Observer.Refused(app, why)
	}
	return err
}
