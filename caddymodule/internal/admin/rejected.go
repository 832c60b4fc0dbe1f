package caddymodule

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminapi"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// bulkTime is how long a request may work through a store before it answers how far it came.
	bulkTime = 5 * time.Second
	// bulkPage is how much of a store is read at a time.
	bulkPage = 1000
	// maxCandidates bounds the hashes that an ambiguous prefix is answered with.
	maxCandidates = 20
)

// lister is the store, if its records can be looked through.
func (a *App) lister() (rejected.Lister, error) {
	lister, ok := a.gateway.Rejected.(rejected.Lister)
	if !ok {
		return nil, refuse(http.StatusNotImplemented, "the rejected store %s cannot be looked through", guestName(a.gateway.Rejected))
	}
	return lister, nil
}

// rejected serves the records, a page at a time. A page of one app's may be short, or empty, without being the last.
func (a *Admin) rejected(w http.ResponseWriter, r *http.Request, app *App) error {
	values, err := parameters(r, "app", "prefix", "cursor", "limit")
	if err != nil {
		return err
	}
	q := rejected.Query{Cursor: values.Get("cursor")}
	if q.Limit, err = pageLimit(values); err != nil {
		return err
	}
	if q.Prefix, err = hashPrefix("prefix", values.Get("prefix")); err != nil {
		return err
	}
	lister, err := app.lister()
	if err != nil {
		return err
	}
	records, next, err := listRecords(r.Context(), lister, q, values.Get("app"))
	if err != nil {
		return storeError("rejected", err)
	}
	return respond(w, http.StatusOK, adminapi.Records{Records: records, Next: next})
}

// listRecords collects roughly as many records as the query wants, of one app unless that is empty, as far as it comes in bulkTime.
func listRecords(ctx context.Context, lister rejected.Lister, q rejected.Query, app string) (records []gateway.RecordStatus, next string, err error) {
	wanted := q.Limit
	if app != "" {
		q.Limit = max(q.Limit, defaultPage)
	}
	records = []gateway.RecordStatus{}
	for deadline := time.Now().Add(bulkTime); ; {
		page, next, err := lister.List(ctx, q)
		if err != nil {
			return nil, "", err
		}
		for _, e := range page {
			if app == "" || e.Record.App == app {
				records = append(records, gateway.NewRecordStatus(e.Key, e.Record))
			}
		}
		if next == "" || len(records) >= wanted || time.Now().After(deadline) {
			return records, next, nil
		}
		q.Cursor = next
	}
}

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

// find finds the device's key. Without an endpoint, there are several if the app tells devices apart by it: those that are on record or were
// tried lately, and the key without one if there is none.
func (s deviceSelector) find(ctx context.Context, app *App) ([]rejected.Key, error) {
	switch {
	case s.Hash != "" && (s.AppID != "" || s.Pushkey != "" || s.Endpoint != ""):
		return nil, refuse(http.StatusBadRequest, "hash: it cannot be given together with app_id, pushkey and endpoint")
	case s.Hash != "":
		key, err := findHash(ctx, app, s.Hash)
		return []rejected.Key{key}, err
	case s.AppID == "":
		return nil, refuse(http.StatusBadRequest, "app_id is missing: give app_id and pushkey, or hash")
	case s.Pushkey == "":
		return nil, refuse(http.StatusBadRequest, "pushkey is missing: give app_id and pushkey, or hash")
	}
	plain := rejected.KeyOf(s.AppID, s.Pushkey)
	switch {
	case s.Endpoint != "":
		key, err := s.at(app.gateway.Router.Route(s.AppID))
		return []rejected.Key{key}, err
	case !s.anyEndpoint(app):
		return []rejected.Key{plain}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, bulkTime)
	defer cancel()
	found, err := app.gateway.Find(ctx, plain.Family(), maxFamily)
	if err != nil {
		return nil, storeError("rejected", err)
	}
	if len(found) == 0 {
		found = append(found, plain)
	}
	return found, nil
}

// anyEndpoint reports whether it may stand for devices with several endpoints.
func (s deviceSelector) anyEndpoint(app *App) bool {
	if s.Hash != "" || s.Endpoint != "" {
		return false
	}
	serves := app.gateway.Router.Route(s.AppID)
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
func (s deviceSelector) device(app *App) *providers.Device {
	d := &providers.Device{AppID: s.AppID, Pushkey: s.Pushkey}
	serves := app.gateway.Router.Route(s.AppID)
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
func findHash(ctx context.Context, app *App, hash string) (rejected.Key, error) {
	prefix, key, whole, err := parseHash(hash)
	if err != nil || whole {
		return key, err
	}
	ctx, cancel := context.WithTimeout(ctx, bulkTime)
	defer cancel()
	found, err := app.gateway.Find(ctx, prefix, maxCandidates)
	switch {
	case err != nil:
		return key, storeError("rejected", err)
	case len(found) > 1:
		return key, ambiguous(found)
	case len(found) == 1:
		return found[0], nil
	}
	if _, err := app.lister(); err != nil {
		return key, refuse(http.StatusNotImplemented, "%w: give all of the hash", err)
	}
	return key, refuse(http.StatusNotFound, "nothing is known of a device whose hash begins with %s", prefix)
}

// explain serves all that is known of a device.
func (a *Admin) explain(w http.ResponseWriter, r *http.Request, app *App) error {
	var device deviceSelector
	if err := decode(w, r, &device); err != nil {
		return err
	}
	var unusable *gateway.UnusableStatus
	if d := device.device(app); d != nil {
		unusable = app.gateway.Unusable(d)
	}
	keys, err := device.find(r.Context(), app)
	if err != nil && unusable != nil && device.Endpoint != "" {
		keys, err = []rejected.Key{rejected.KeyOf(device.AppID, device.Pushkey)}, nil // an endpoint that is none tells no devices apart
	}
	if err != nil {
		return err
	}
	if len(keys) > 1 {
		return severalEndpoints(keys)
	}
	key := keys[0]
	e, err := app.gateway.Explain(r.Context(), key, device.AppID)
	if err != nil {
		return storeError("explaining", err)
	}
	if device.Hash != "" && !e.Known() {
		return refuse(http.StatusNotFound, "nothing is known of the device %s", key)
	}
	e.Unusable = unusable
	if !e.Known() && unusable == nil && device.anyEndpoint(app) {
		e.Note = "without the endpoint, only devices are found that are on record or were tried lately: give the endpoint of the pusher's data"
	}
	return respond(w, http.StatusOK, e)
}

// forgetRequest names one device, or an app's that were rejected since a time.
type forgetRequest struct {
	deviceSelector
	App    string `json:"app"`
	Since  string `json:"since"`
	Cursor string `json:"cursor"`
}

// forget removes records.
func (a *Admin) forget(w http.ResponseWriter, r *http.Request, app *App) error {
	var request forgetRequest
	if err := decode(w, r, &request); err != nil {
		return err
	}
	switch {
	case request.given() && (request.App != "" || request.Since != "" || request.Cursor != ""):
		return refuse(http.StatusBadRequest, "app, since: they cannot be given together with a device")
	case request.given():
		return forgetDevice(w, r, app, request.deviceSelector)
	case request.App == "":
		return refuse(http.StatusBadRequest, "app is missing: give app and since, or a device")
	case request.Since == "":
		return refuse(http.StatusBadRequest, "since is missing: give the time of the first rejection to be forgotten")
	}
	return forgetApp(w, r, app, request)
}

func forgetDevice(w http.ResponseWriter, r *http.Request, app *App, device deviceSelector) error {
	keys, err := device.find(r.Context(), app)
	if err != nil {
		return err
	}
	answer := adminapi.Forgotten{}
	if len(keys) == 1 {
		answer.PushkeyHash = keys[0].String()
	}
	for _, key := range keys {
		known, err := app.gateway.Forget(r.Context(), key)
		if err != nil {
			return storeError("rejected", err)
		}
		if known {
			answer.Forgotten++
		}
	}
	return respond(w, http.StatusOK, answer)
}

func forgetApp(w http.ResponseWriter, r *http.Request, app *App, request forgetRequest) error {
	since, err := time.Parse(time.RFC3339, request.Since)
	if err != nil {
		return refuse(http.StatusBadRequest, "since: it has to be a time such as 2026-03-14T09:00:00Z")
	}
	lister, err := app.lister()
	if err != nil {
		return err
	}
	answer := adminapi.Forgotten{Next: request.Cursor}
	for deadline := time.Now().Add(bulkTime); ; {
		n, next, err := app.gateway.ForgetSince(r.Context(), lister, request.App, since, rejected.Query{Cursor: answer.Next, Limit: bulkPage})
		if err != nil {
			return storeError("rejected", err)
		}
		answer.Forgotten, answer.Next = answer.Forgotten+n, next
		if next == "" || time.Now().After(deadline) {
			return respond(w, http.StatusOK, answer)
		}
	}
}
