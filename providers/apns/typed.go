package apns

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/pushtype"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// errUnsuited means that a push has only counts, and its push type may not be sent for them.
var errUnsuited = errors.New("the notification has only counts, but the push type is for events")

// reload asks WidgetKit to draw the app's widgets or controls again. WidgetKit passes on nothing else of a push, so nothing else is sent,
// https://developer.apple.com/documentation/widgetkit/updating-widgets-with-widgetkit-push-notifications.
const reload = `{"aps":{"content-changed":true}}`

// takesCounts reports whether a push with only counts is sent with a push type. With other types, it does harm: iOS terminates an app that
// reports no call for a VoIP push, or no speaker for a pushtotalk push, and stops sending it such pushes,
// https://developer.apple.com/documentation/pushkit/responding-to-voip-notifications-from-pushkit. A location extension would look up the
// location, and a file provider, a Live Activity and a managed device have no use for counts.
func takesCounts(pushType string) bool {
	switch pushType {
	case "", pushtype.Alert, pushtype.Background, pushtype.Complication, pushtype.Widgets, pushtype.Controls:
		return true
	default:
		return false
	}
}

// showsAlerts reports whether a push type has a place for the text of an event. A background push may not have one, and a Live Activity
// needs another form of it.
func showsAlerts(pushType string) bool {
	return pushType != pushtype.Background && pushType != pushtype.LiveActivity
}

// badgeUpdate returns the message of a notification that has only counts.
func badgeUpdate(c providers.Counts, badge int64, o options) (message, error) {
	switch o.pushType {
	case pushtype.Background: // a badge is not allowed: the app sets it
		d := &document{aps: wakeUp()}
		d.setCounts(c)
		return message{payload: d.marshal(), background: true}, nil
	case pushtype.Widgets, pushtype.Controls:
		return message{payload: []byte(reload)}, nil
	}
	if !takesCounts(o.pushType) {
		return message{}, errUnsuited
	}
	return message{payload: fmt.Appendf(nil, `{"aps":{"badge":%d}}`, badge)}, nil
}

// setType adapts aps to the push type, and reports whether it is a background push.
func (d *document) setType(n *providers.Notification, o options) (background bool) {
	switch o.pushType {
	case "", pushtype.Alert:
		background = n.Type == "" && !d.hasAlert()
	case pushtype.Background:
		background = true
	case pushtype.LiveActivity:
		d.setActivity(o.now)
	case pushtype.MDM, pushtype.FileProvider: // Apple's have no aps
		d.mayLackAPS = true
	default:
		if len(d.aps) == 0 {
			d.aps = wakeUp()
		}
	}
	if background {
		d.aps = wakeUp()
	}
	return background
}

// setActivity makes aps an update of a Live Activity, unless the app's default_payload has another event. A device ignores a push without a
// timestamp, an event or a content-state, and one older than the last,
// https://developer.apple.com/documentation/activitykit/starting-and-updating-live-activities-with-activitykit-push-notifications.
func (d *document) setActivity(now time.Time) {
	d.aps.setNumber("timestamp", now.Unix())
	if event := d.aps.get("event"); len(event) == 0 || event[0] != '"' {
		d.aps.setString("event", "update")
	}
	if state := d.aps.get("content-state"); len(state) == 0 || state[0] != '{' {
		d.aps.set("content-state", json.RawMessage("{}"))
	}
}
