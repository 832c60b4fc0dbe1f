package doctor

import (
	"fmt"
	"slices"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
)

const (
	// maxNotifications is how many of the latest notifications are compared with what arrived.
	maxNotifications = 50
	// grace is how old a notification must be. A younger one may still be on its way.
	grace = 10 * time.Second
)

// notifications finds notifications that the gateway never saw: those after the latest attempt for any of its devices. If no notification
// leads to an attempt, for example because the devices are recorded as dead, nothing follows from that.
func (x *examination) notifications() error {
	ours := x.report.ours()
	if !slices.ContainsFunc(ours, func(p *Pusher) bool { return p.tried }) {
		return nil
	}
	list, err := x.Homeserver.Notifications(x.ctx, maxNotifications)
	if homeserver.Refused(err) {
		x.report.Add("no_notification_list", 0, nil)
		return nil
	}
	if err != nil {
		return err
	}
	since := x.gates.Since
	for _, p := range ours {
		if p.Last != nil && p.Last.At.After(since) {
			since = p.Last.At
		}
	}
	now, unread, read := x.Now(), 0, 0
	var newest time.Time
	for _, n := range list { // newest first
		sent := time.UnixMilli(n.TS)
		switch {
		case !sent.After(since), !n.Read && now.Sub(sent) < grace:
		case n.Read:
			read++
		default:
			if unread++; unread == 1 {
				newest = sent
			}
		}
	}
	if x.missed = unread > 0; x.missed {
		x.report.Add("notifications_missed", 0, facts{
			"count": notifications(unread), "since": at(since, now), "newest": at(newest, now), "group": x.group(),
		})
	}
	if read > 0 {
		x.report.Add("read_elsewhere", 0, facts{"count": notifications(read)})
	}
	return nil
}

// group returns a warning if other gateways may have got notifications.
func (x *examination) group() string {
	if x.gates.Rejected == "redis" || x.gates.Outbox == "redis" {
		return " Another gateway of the group may have got them."
	}
	return ""
}

func notifications(n int) string {
	if n == 1 {
		return "1 notification"
	}
	return fmt.Sprintf("%d notifications", n)
}
