package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// view is a notification as some of a request's devices see it, after the app's content and badges options. It is reduced to what the
// provider can send. It is made once for all of these devices, and so is the form that the outbox stores.
type view struct {
	*providers.Notification
	seenBy

	once sync.Once
	kept json.RawMessage
}

// seenBy identifies the devices that see the same view.
type seenBy struct {
	app          *App
	full, counts bool
}

// seenBy returns what a device may see.
func (a *App) seenBy(d *providers.Device) seenBy {
	return seenBy{app: a, full: a.showsAll(d), counts: a.showsCounts(d)}
}

// part returns the part of a notification that these devices may see.
func (by seenBy) part(n *providers.Notification) *providers.Notification {
	if !by.counts {
		n = n.WithoutCounts()
	}
	if !by.full {
		n = n.Reduced()
	}
	return n
}

// stored returns the JSON that is kept for later attempts.
func (v *view) stored() json.RawMessage {
	v.once.Do(func() { v.kept = v.Kept() })
	return v.kept
}

// isWhole reports whether the view holds on to the request's body, because its provider has not reduced it.
func (v *view) isWhole() bool {
	return v.Body != nil || len(v.Content)+len(v.Prepared) > providers.MaxKept
}

// views are the views of one notification. They are for one goroutine, but any goroutine may use what they return.
type views struct {
	n     *providers.Notification
	first *view // most requests have no other
	more  []*view
}

// of returns the view of a device; nil if it may see nothing.
func (v *views) of(app *App, d *providers.Device) *view {
	by := app.seenBy(d)
	if v.n.Badge && !(by.counts && app.updatesBadges()) {
		return nil
	}
	if v.first != nil && v.first.seenBy == by {
		return v.first
	}
	for _, made := range v.more {
		if made.seenBy == by {
			return made
		}
	}
	made := &view{Notification: app.Reduce(by.part(v.n)), seenBy: by}
	if v.first == nil {
		v.first = made
	} else {
		v.more = append(v.more, made)
	}
	return made
}

// again returns the view of a notification from the outbox. An earlier version may have stored the whole notification.
func again(app *App, n *providers.Notification) *view {
	if n.Prepared == nil {
		n = app.Reduce(n)
	}
	return &view{Notification: n}
}

// errNoBadges explains why a badge update is not delivered.
var errNoBadges = errors.New("the app's badges option or the pusher's disable_badge_count turns badge updates off")

// updatesBadges reports whether the app delivers badge updates.
func (a *App) updatesBadges() bool {
	return a.Badges != providers.BadgesOff && a.Badges != providers.BadgesWithEvents
}

// showsCounts reports whether counts may leave for a device.
func (a *App) showsCounts(d *providers.Device) bool {
	return a.Badges != providers.BadgesOff && !disablesBadge(d)
}

// showsAll reports whether the whole notification may leave for a device, according to the app's content option.
func (a *App) showsAll(d *providers.Device) bool {
	content := a.Content
	if content == providers.ContentDefault {
		content = a.DefaultContent(d)
	}
	return content == providers.ContentFull
}

// disablesBadge reports whether the client counts by itself, https://github.com/matrix-org/matrix-spec-proposals/pull/4076.
func disablesBadge(d *providers.Device) bool {
	if !lenient.MayHave(d.Data, "disable_badge_count") {
		return false
	}
	var data struct {
		Stable   any `json:"disable_badge_count"`
		Unstable any `json:"org.matrix.msc4076.disable_badge_count"`
	}
	if lenient.Unmarshal(d.Data, &data) != nil {
		return false
	}
	return data.Stable == true || data.Unstable == true
}

// keptPush is a [providers.Push] as the outbox keeps it. Its JSON is the same, but the notification is JSON already.
type keptPush struct {
	Notification json.RawMessage
	Device       *providers.Device
	ID           string
	Expires      time.Time
	Site         providers.Site
}

// marshalKept returns a push as JSON, with its notification's JSON inside.
func marshalKept(p *providers.Push, notification json.RawMessage) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(notification) + len(p.Device.Data) + len(p.Device.Pushkey) + roomForRest)
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // escaping would change raw JSON
	err := e.Encode(keptPush{notification, p.Device, p.ID, p.Expires, p.Site})
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// roomForRest is the size of a kept push without its long parts.
const roomForRest = 512
