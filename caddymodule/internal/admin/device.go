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
	Hash     string `json:"hash"`
}

func (s deviceSelector) given() bool { return s != deviceSelector{} }

// maxFamily limits how many devices with the same pushkey one request handles.
const maxFamily = 1000

// find returns the device's key. If the app identifies devices by endpoint and none is given, it returns the keys that are recorded or were
// tried recently. If there are none of these, it returns the key without an endpoint.
func (s deviceSelector) find(ctx context.Context, g *gateway.Gateway) ([]rejected.Key, error) {
	switch {
	case s.Hash != "" && (s.AppID != "" || s.Pushkey != "" || s.Endpoint != ""):
		return nil, refuse(http.StatusBadRequest, "hash: cannot be given together with app_id, pushkey or endpoint")
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
	if s.Hash != "" || s.Endpoint != "" {
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

// device returns what is known of the device, to check whether it is unusable; nil if that is not enough.
func (s deviceSelector) device(g *gateway.Gateway) *providers.Device {
	d := &providers.Device{AppID: s.AppID, Pushkey: s.Pushkey}
	serves := g.Router.Route(s.AppID)
	switch {
	case s.AppID == "", s.Pushkey == "", serves == nil, s.Endpoint != "" && !serves.Identifies():
		return nil
	case s.Endpoint != "":
		// The pusher's auth is a secret that requests don't have, and any value will do.
		d.Data, _ = json.Marshal(map[string]string{"endpoint": s.Endpoint, "auth": anyAuth})
	case serves.Identifies() && serves.Target(d) == "":
		return nil // the data decide
	}
	return d
}

// anyAuth is the authentication secret of a subscription (RFC 8291 section 3.2): 16 bytes in base64url.
const anyAuth = "AAAAAAAAAAAAAAAAAAAAAA"

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
