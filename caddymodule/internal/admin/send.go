package admin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// testNotification has the members of a test notification that the request doesn't set. Element recognises the event as its own test,
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

// TestMembers returns the names of the members that a test notification gets if the request doesn't set them.
func TestMembers() []string { return slices.Sorted(maps.Keys(testNotification)) }

// sendRequest is a notify request as homeservers send it, with one device.
type sendRequest struct {
	Notification map[string]json.RawMessage `json:"notification"`
	// Site is the site where the notification seems to arrive, `host` or `host:port`. A push server on the same site may be in a private
	// network. Without it, that is the site with the push server's name, if there is one.
	Site string `json:"site"`
}

// address returns the address of the site where the notification seems to arrive; empty if the request names none.
func (s *sendRequest) address() (gateway.Address, error) {
	if s.Site == "" {
		return gateway.Address{}, nil
	}
	host, port, err := net.SplitHostPort(s.Site)
	if err != nil {
		host, _, err = net.SplitHostPort(s.Site + ":443")
	}
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || port != "" && bad != nil || host == "" {
		return gateway.Address{}, refuse(http.StatusBadRequest, "site: must be a host such as push.example.org or push.example.org:8443")
	}
	return gateway.Address{Host: strings.ToLower(host), Port: port}, nil
}

// send makes one attempt to deliver a test notification and serves the result.
func send(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	return test(w, r, g, g.Try)
}

// preview serves what send would send.
func preview(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	return test(w, r, g, g.Preview)
}

// test reads a test notification and serves what run makes of it.
func test[T any](
	w http.ResponseWriter, r *http.Request, g *gateway.Gateway, run func(context.Context, *gateway.Request, gateway.Address) (T, error),
) error {
	notification, site, err := testOf(w, r)
	if err != nil {
		return err
	}
	// The server's read timeout ends the request's context after 10 s, but an attempt may take three times as long.
	answer, err := run(context.WithoutCancel(r.Context()), notification, site)
	var noSite gateway.SiteError
	switch {
	case errors.Is(err, gateway.ErrUnknownApp):
		missing := g.Router.Missing("the device would be rejected: no app serves", notification.Devices[0].AppID)
		return refuse(http.StatusNotFound, "notification.devices[0].app_id: %s", missing)
	case errors.Is(err, gateway.ErrNoPreview):
		return refuse(http.StatusNotImplemented, "%w: ask its author to implement providers.Previewer", err)
	case errors.As(err, &noSite):
		return refuse(http.StatusNotFound, "site: %w", noSite)
	case err != nil:
		return err
	}
	return respond(w, http.StatusOK, answer)
}

// testOf reads a test notification and the site where it seems to arrive.
func testOf(w http.ResponseWriter, r *http.Request) (*gateway.Request, gateway.Address, error) {
	var request sendRequest
	if err := decode(w, r, &request); err != nil {
		return nil, gateway.Address{}, err
	}
	site, err := request.address()
	if err != nil {
		return nil, site, err
	}
	notification := maps.Clone(testNotification)
	maps.Copy(notification, request.Notification) // a null stays, and removes the member from the notification
	body, err := json.Marshal(map[string]any{"notification": notification})
	if err != nil {
		return nil, site, err
	}
	decoded, refused := gateway.Decode(body, maxPage)
	if refused != nil {
		return nil, site, refuse(http.StatusBadRequest, "%s", refused.Message)
	}
	if len(decoded.Devices) != 1 {
		return nil, site, refuse(http.StatusBadRequest, "notification.devices has %d devices: a test must have exactly one", len(decoded.Devices))
	}
	return decoded, site, nil
}
