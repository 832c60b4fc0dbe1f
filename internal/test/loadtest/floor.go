package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// floorID and floorDirective name the floor in Caddy, only in this program.
const (
	floorID        = "http.handlers.loadtest_floor"
	floorDirective = "loadtest_floor"
)

func init() {
	caddy.RegisterModule(new(floor))
	httpcaddyfile.RegisterHandlerDirective(floorDirective, func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		f := new(floor)
		h.Next()
		if !h.AllArgs(&f.Dir) {
			return nil, h.ArgErr()
		}
		return f, nil
	})
	httpcaddyfile.RegisterDirectiveOrder(floorDirective, httpcaddyfile.Before, "reverse_proxy")
}

// floor does what every gateway must do: it decodes the body, makes the request to the push service for each device, and answers. It keeps
// nothing, retries nothing and suspects nobody.
type floor struct {
	// Dir is the folder of the run.
	Dir string `json:"dir"`

	push pusher
}

// pusher makes the request to the push service for a device, and returns the status of the answer.
type pusher func(r *http.Request, n *notification, d *device) (int, error)

// CaddyModule returns the module's name and constructor.
func (*floor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: floorID, New: func() caddy.Module { return new(floor) }}
}

// Provision prepares what the requests need.
func (f *floor) Provision(caddy.Context) error {
	var err error
	f.push, err = newPusher(f.Dir)
	return err
}

// notifyRequest is what the gateway decodes. The floor decodes it with encoding/json, which takes longer than the gateway's decoder: see
// docs/performance.md.
type notifyRequest struct {
	Notification *notification `json:"notification"`
}

type notification struct {
	ID                string          `json:"id"`
	EventID           string          `json:"event_id"`
	RoomID            string          `json:"room_id"`
	Type              string          `json:"type"`
	Sender            string          `json:"sender"`
	SenderDisplayName string          `json:"sender_display_name"`
	RoomName          string          `json:"room_name"`
	RoomAlias         string          `json:"room_alias"`
	Membership        string          `json:"membership"`
	UserIsTarget      bool            `json:"user_is_target"`
	Prio              string          `json:"prio"`
	Content           json.RawMessage `json:"content"`
	Counts            counts          `json:"counts"`
	Ciphertext        string          `json:"ciphertext"`
	Ephemeral         string          `json:"ephemeral"`
	MAC               string          `json:"mac"`
	Devices           []device        `json:"devices"`
}

type counts struct {
	Unread      *int64 `json:"unread,omitempty"`
	MissedCalls *int64 `json:"missed_calls,omitempty"`
}

type device struct {
	AppID     string          `json:"app_id"`
	Pushkey   string          `json:"pushkey"`
	PushkeyTS int64           `json:"pushkey_ts"`
	Data      json.RawMessage `json:"data"`
	Tweaks    json.RawMessage `json:"tweaks"`
}

// badge reports whether the notification has only counts.
func (n *notification) badge() bool { return n.EventID == "" }

// ServeHTTP answers a notify request.
func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	body := make([]byte, max(r.ContentLength, 0))
	var request notifyRequest
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return caddyhttp.Error(http.StatusBadRequest, err)
	}
	if err := json.Unmarshal(body, &request); err != nil || request.Notification == nil {
		return caddyhttp.Error(http.StatusBadRequest, err)
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	n := request.Notification
	statuses := make([]int, len(n.Devices))
	if len(n.Devices) == 1 {
		statuses[0] = f.pushTo(r, n, 0)
	} else {
		var all sync.WaitGroup
		for i := range n.Devices {
			all.Go(func() { statuses[i] = f.pushTo(r, n, i) })
		}
		all.Wait()
	}
	answer(w, n.Devices, statuses)
	return nil
}

// pushTo pushes to a device. If there is no answer, it returns the same as for a push service that is down.
func (f *floor) pushTo(r *http.Request, n *notification, i int) int {
	status, err := f.push(r, n, &n.Devices[i])
	if err != nil {
		return http.StatusServiceUnavailable
	}
	return status
}

// answer writes the same answer as the gateway.
func answer(w http.ResponseWriter, devices []device, statuses []int) {
	status, body := http.StatusOK, append(make([]byte, 0, 64), `{"rejected":[`...)
	for i, s := range statuses {
		switch {
		case s == http.StatusGone:
			if len(body) > len(`{"rejected":[`) {
				body = append(body, ',')
			}
			body = append(append(append(body, '"'), devices[i].Pushkey...), '"')
		case s/100 != 2:
			status = http.StatusServiceUnavailable
		}
	}
	body = append(body, "]}"...)
	if status != http.StatusOK {
		w.Header().Set("Retry-After", "1")
		body = []byte(`{"errcode":"M_UNKNOWN","error":"a push service is unavailable"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*floor)(nil)
	_ caddyhttp.MiddlewareHandler = (*floor)(nil)
)
