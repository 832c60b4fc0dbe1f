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

// deviceSelector names a device in a request's body: by its values, or by its hash.
type deviceSelector struct {
	AppID   string `json:"app_id"`
	Pushkey string `json:"pushkey"`
	// Endpoint is that in the pusher's data, for an app that tells devices with the same pushkey apart by it.
	Endpoint string `json:"endpoint"`
	Hash     string `json:"hash"`
}

func (s deviceSelector) given() bool { return s != deviceSelector{} }

// maxFamily bounds the devices with the same pushkey that are worked on at a time.
const maxFamily = 1000

// find finds the device's key. Without an endpoint, there are several if the app tells devices apart by it: those that are on record or
// were tried lately, and the key without one if there is none.
func (s deviceSelector) find(ctx context.Context, g *gateway.Gateway) ([]rejected.Key, error) {
	switch {
	case s.Hash != "" && (s.AppID != "" || s.Pushkey != "" || s.Endpoint != ""):
		return nil, refuse(http.StatusBadRequest, "hash: it cannot be given together with app_id, pushkey and endpoint")
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

// anyEndpoint reports whether it may stand for devices with several endpoints.
func (s deviceSelector) anyEndpoint(g *gateway.Gateway) bool {
	if s.Hash != "" || s.Endpoint != "" {
		return false
	}
	serves := g.Router.Route(s.AppID)
	return serves != nil && serves.Identifies()
}

// at is the key of the device at the endpoint.
func (s deviceSelector) at(serves *gateway.App) (rejected.Key, error) {
	if serves == nil || !serves.Identifies() {
		return rejected.Key{}, refuse(http.StatusBadRequest, "endpoint: app_id and pushkey name the device of this app: leave it out")
	}
	data, err := json.Marshal(map[string]string{"endpoint": s.Endpoint})
	if err != nil {
		return rejected.Key{}, err
	}
	target := serves.Target(&providers.Device{AppID: s.AppID, Pushkey: s.Pushkey, Data: data})
	if target == "" {
		return rejected.Key{}, refuse(http.StatusBadRequest,
			"endpoint: it has to be an https URL as in the pusher's data; leave it out if the pushkey is a whole subscription")
	}
	return rejected.KeyAt(s.AppID, s.Pushkey, target), nil
}

// device is the device as far as it is known, for what makes one unusable; nil if too little of it is.
func (s deviceSelector) device(g *gateway.Gateway) *providers.Device {
	d := &providers.Device{AppID: s.AppID, Pushkey: s.Pushkey}
	serves := g.Router.Route(s.AppID)
	switch {
	case s.AppID == "", s.Pushkey == "", serves == nil, s.Endpoint != "" && !serves.Identifies():
		return nil
	case s.Endpoint != "":
		// The pusher's auth is a secret that nobody is asked for: any one will do.
		d.Data, _ = json.Marshal(map[string]string{"endpoint": s.Endpoint, "auth": anyAuth})
	case serves.Identifies() && serves.Target(d) == "":
		return nil // its data decide
	}
	return d
}

// anyAuth is the authentication secret of a subscription (RFC 8291 section 3.2): 16 bytes in base64url.
const anyAuth = "AAAAAAAAAAAAAAAAAAAAAA"

// findHash finds the key whose hash begins with what is given, among the devices on record and those that were tried lately.
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
		return key, refuse(http.StatusNotImplemented, "%w: give all of the hash", err)
	}
	return key, refuse(http.StatusNotFound, "nothing is known of a device whose hash begins with %s", prefix)
}

// waitingDevice finds the device of an app whose hash begins with what is given.
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
	return refuse(http.StatusNotFound, "nothing waits for the device %s", hash)
}
