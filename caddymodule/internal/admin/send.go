package admin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// testNotification is what a test notification has unless the request says otherwise. Element knows the event as that of its own test,
// https://github.com/element-hq/element-android/blob/develop/vector/src/main/java/im/vector/app/core/pushers/PushersManager.kt.
var testNotification = map[string]json.RawMessage{
	"event_id":            json.RawMessage(`"$THIS_IS_A_FAKE_EVENT_ID"`),
	"room_id":             json.RawMessage(`"!room:fake.domain"`),
	"type":                json.RawMessage(`"m.room.message"`),
	"sender":              json.RawMessage(`"@push:fake.domain"`),
	"sender_display_name": json.RawMessage(`"Push gateway"`),
	"room_name":           json.RawMessage(`"Test"`),
	"content":             json.RawMessage(`{"msgtype":"m.text","body":"Test notification"}`),
	"counts":              json.RawMessage(`{"unread":1}`),
	"prio":                json.RawMessage(`"high"`),
}

// sendRequest is a notify request as homeservers send it, with one device.
type sendRequest struct {
	Notification map[string]json.RawMessage `json:"notification"`
	// Site is the site that the notification is to have come in at, `host` or `host:port`: a push server on the same site may be in a
	// private network.
	Site string `json:"site"`
}

// site is where the notification is to have come in.
func (s *sendRequest) site() (providers.Site, error) {
	if s.Site == "" {
		return providers.Site{}, nil
	}
	host, port, err := net.SplitHostPort(s.Site)
	if err != nil {
		host, port, err = net.SplitHostPort(s.Site + ":443")
	}
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" {
		return providers.Site{}, refuse(http.StatusBadRequest, "site: it is not a host such as push.example.org or push.example.org:8443")
	}
	return providers.Site{Host: strings.ToLower(host), Port: port}, nil
}

// send makes one attempt to deliver a test notification, and serves the push service's verdict.
func send(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	var request sendRequest
	if err := decode(w, r, &request); err != nil {
		return err
	}
	site, err := request.site()
	if err != nil {
		return err
	}
	notification := maps.Clone(testNotification)
	maps.Copy(notification, request.Notification) // a null stays: the member is not in the notification
	body, err := json.Marshal(map[string]any{"notification": notification})
	if err != nil {
		return err
	}
	decoded, refused := gateway.Decode(body, maxPage)
	if refused != nil {
		return refuse(http.StatusBadRequest, "%s", refused.Message)
	}
	if len(decoded.Devices) != 1 {
		return refuse(http.StatusBadRequest, "notification.devices has %d devices: a test is for one", len(decoded.Devices))
	}
	// The server gives up reading after 10 s, and the request's context with it, but an attempt may take three times as long.
	trial, err := g.Try(context.WithoutCancel(r.Context()), decoded, site)
	if errors.Is(err, gateway.ErrUnknownApp) {
		return refuse(http.StatusNotFound, "notification.devices[0].app_id: no app serves it, its device would be rejected")
	}
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, trial)
}
