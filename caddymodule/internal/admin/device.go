package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// deviceSelector selects a device in a request's body: by its values, or by its hash.
type deviceSelector struct {
	AppID   string `json:"app_id"`
	Pushkey string `json:"pushkey"`
	// Endpoint is the endpoint in the pusher's data, for apps whose devices can share a pushkey.
	Endpoint string `json:"endpoint"`
	// Data is the pusher's data, in place of the endpoint.
	Data json.RawMessage `json:"data"`
	Hash string          `json:"hash"`
}

func (s deviceSelector) given() bool { return s.Hash != "" || s.valued() }

// valued reports whether any of the device's values is given.
func (s deviceSelector) valued() bool {
	return s.AppID != "" || s.Pushkey != "" || s.Endpoint != "" || len(s.Data) > 0
}

// maxFamily limits how many devices with the same pushkey one request handles.
const maxFamily = 1000

// find returns the device's key. If the app identifies devices by endpoint and none is given, it returns the keys that are recorded or were
// tried recently. If there are none of these, it returns the key without an endpoint.
func (s deviceSelector) find(ctx context.Context, g *gateway.Gateway) ([]rejected.Key, error) {
	switch {
	case s.Hash != "" && s.valued():
		return nil, refuse(http.StatusBadRequest, "hash: cannot be used together with app_id, pushkey, endpoint or data")
	case s.Endpoint != "" && len(s.Data) > 0:
		return nil, refuse(http.StatusBadRequest, "endpoint: cannot be used together with data, which contains it")
	case s.Hash != "":
		key, err := findHash(ctx, g, s.Hash)
		return []rejected.Key{key}, err
	case s.AppID == "":
		return nil, refuse(http.StatusBadRequest, "app_id is missing: give app_id and pushkey, or hash")
	case s.Pushkey == "":
		return nil, refuse(http.StatusBadRequest, "pushkey is missing: give app_id and pushkey, or hash")
	}
	plain := rejected.KeyOf(s.AppID, s.Pushkey)
	switch {
	case len(s.Data) > 0:
		if serves := g.Router.Route(s.AppID); serves != nil {
			plain = rejected.KeyAt(s.AppID, s.Pushkey, serves.Target(&providers.Device{AppID: s.AppID, Pushkey: s.Pushkey, Data: s.Data}))
		}
		return []rejected.Key{plain}, nil
	case s.Endpoint != "":
		key, err := s.at(g.Router.Route(s.AppID))
		return []rejected.Key{key}, err
	case !s.anyEndpoint(g):
		return []rejected.Key{plain}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, bulkTime)
	defer cancel()
	found, err := g.Find(ctx, plain.Family(), maxFamily)
	if err != nil {
		return nil, storeError("rejected", err)
	}
	if len(found) == 0 {
		found = append(found, plain)
	}
	return found, nil
}

// anyEndpoint reports whether the selector may match devices with several endpoints.
func (s deviceSelector) anyEndpoint(g *gateway.Gateway) bool {
	if s.Hash != "" || s.Endpoint != "" || len(s.Data) > 0 {
		return false
	}
	serves := g.Router.Route(s.AppID)
	return serves != nil && serves.Identifies()
}

// at returns the key of the device at the endpoint.
func (s deviceSelector) at(serves *gateway.App) (rejected.Key, error) {
	if serves == nil || !serves.Identifies() {
		return rejected.Key{}, refuse(http.StatusBadRequest, "endpoint: app_id and pushkey identify the devices of this app; leave it out")
	}
	data, err := json.Marshal(map[string]string{"endpoint": s.Endpoint})
	if err != nil {
		return rejected.Key{}, err
	}
	target := serves.Target(&providers.Device{AppID: s.AppID, Pushkey: s.Pushkey, Data: data})
	if target == "" {
		return rejected.Key{}, refuse(http.StatusBadRequest,
			"endpoint: must be the https URL from the pusher's data; leave it out if the pushkey is a whole subscription")
	}
	return rejected.KeyAt(s.AppID, s.Pushkey, target), nil
}

// device returns the device, to check whether it is unusable; nil if what is given is not enough.
func (s deviceSelector) device(g *gateway.Gateway) *providers.Device {
	d := &providers.Device{AppID: s.AppID, Pushkey: s.Pushkey, Data: s.Data}
	serves := g.Router.Route(s.AppID)
	switch {
	case s.AppID == "", s.Pushkey == "", serves == nil, s.Endpoint != "" && !serves.Identifies():
		return nil
	case len(s.Data) > 0, !serves.Identifies():
		return d
	case s.Endpoint != "":
		d.Data = dataWith(s.Endpoint)
		return d
	case strings.HasPrefix(strings.TrimSpace(s.Pushkey), "{"), g.Unusable(d) == nil:
		return d // the pushkey is a whole subscription
	}
	// The data decide, unless the device is unusable with valid data, too.
	if d.Data = dataWith(anyEndpoint); serves.Target(d) == "" || g.Unusable(d) == nil {
		return nil
	}
	return d
}

const (
	// anyEndpoint is an endpoint that a subscription can have. Nothing is sent to it.
	anyEndpoint = "https://push.example.org/"
	// anyAuth is the authentication secret of a subscription (RFC 8291 section 3.2): 16 bytes in base64url. The pusher's own is a secret
	// that requests don't have, and any value will do.
	anyAuth = "AAAAAAAAAAAAAAAAAAAAAA"
)

// dataWith returns a pusher's data with this endpoint.
func dataWith(endpoint string) json.RawMessage {
	data, _ := json.Marshal(map[string]string{"endpoint": endpoint, "auth": anyAuth})
	return data
}

// findHash finds the key whose hash starts with the given prefix, among the devices that are recorded or were tried recently.
func findHash(ctx context.Context, g *gateway.Gateway, hash string) (rejected.Key, error) {
	prefix, key, whole, err := parseHash(hash)
	if err != nil || whole {
		return key, err
	}
	ctx, cancel := context.WithTimeout(ctx, bulkTime)
	defer cancel()
	found, err := g.Find(ctx, prefix, maxCandidates)
	switch {
	case err != nil:
		return key, storeError("rejected", err)
	case len(found) > 1:
		return key, ambiguous(found)
	case len(found) == 1:
		return found[0], nil
	}
	if _, err := listerOf(g); err != nil {
		return key, refuse(http.StatusNotImplemented, "%w: give the whole hash", err)
	}
	return key, refuse(http.StatusNotFound, "nothing is known about a device whose hash starts with %s", prefix)
}

// waitingDevice finds the device with pending pushes of an app whose hash starts with the given prefix.
func waitingDevice(ctx context.Context, box outbox.Inspector, app, hash string) (rejected.Key, error) {
	prefix, key, whole, err := parseHash(hash)
	if err != nil || whole {
		return key, err
	}
	ctx, cancel := context.WithTimeout(ctx, bulkTime)
	defer cancel()
	var found []rejected.Key
	for cursor := ""; ; {
		page, next, err := box.List(ctx, app, cursor, bulkPage)
		if err != nil {
			return key, storeError("outbox", err)
		}
		for _, w := range page {
			if k := rejected.Key(w.Device); strings.HasPrefix(k.String(), prefix) && !slices.Contains(found, k) {
				found = append(found, k)
			}
		}
		if cursor = next; next == "" || len(found) >= maxCandidates {
			break
		}
	}
	switch len(found) {
	case 0:
		return key, nothingWaits(prefix)
	case 1:
		return found[0], nil
	}
	return key, ambiguous(found)
}

func nothingWaits(hash string) error {
	return refuse(http.StatusNotFound, "there are no pending pushes for the device %s", hash)
}
