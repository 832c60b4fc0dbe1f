package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// serveRejected serves a page of records. A page for one app or state may be short or empty without being the last.
func serveRejected(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	values, err := parameters(r, "app", "state", "prefix", "cursor", "limit")
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
	lister, err := listerOf(g)
	if err != nil {
		return err
	}
	only := filter{values.Get("app"), values.Get("state")}
	if only.state != "" && only.state != StateDead && only.state != StateSuspected {
		return refuse(http.StatusBadRequest, "state: must be %s or %s", StateDead, StateSuspected)
	}
	if q.Cursor == "" {
		if err := knownApp(r.Context(), g, lister, only.app); err != nil {
			return err
		}
	}
	records, next, err := listRecords(r.Context(), lister, q, only)
	if err != nil {
		return storeError("rejected", err)
	}
	return respond(w, http.StatusOK, Records{Records: records, Next: next, Configured: configured(g, only.app)})
}

// The states of a record. A pushkey that was registered again may be in both.
const (
	StateDead      = "dead"
	StateSuspected = "suspected"
)

// filter selects records of an app, in a state; all if empty.
type filter struct{ app, state string }

func (f filter) matches(r gateway.RecordStatus) bool {
	return (f.app == "" || r.App == f.app) &&
		(f.state != StateDead || r.Dead()) && (f.state != StateSuspected || r.Suspicion != nil)
}

// listRecords returns about as many matching records as the query asks for, or what it finds within bulkTime.
func listRecords(
	ctx context.Context, lister rejected.Lister, q rejected.Query, only filter,
) (records []gateway.RecordStatus, next string, err error) {
	wanted := q.Limit
	if only != (filter{}) {
		q.Limit = max(q.Limit, defaultPage)
	}
	records = []gateway.RecordStatus{}
	for deadline := time.Now().Add(bulkTime); ; {
		page, next, err := lister.List(ctx, q)
		if err != nil {
			return nil, "", err
		}
		for _, e := range page {
			if record := gateway.NewRecordStatus(e.Key, e.Record); only.matches(record) {
				records = append(records, record)
			}
		}
		if next == "" || len(records) >= wanted || time.Now().After(deadline) {
			return records, next, nil
		}
		q.Cursor = next
	}
}

// explainRequest selects a device, and the site to which homeservers send its notifications: `host` or `host:port`.
type explainRequest struct {
	deviceSelector
	Site string `json:"site"`
}

// explain serves everything that is known about a device.
func explain(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	var device explainRequest
	if err := decode(w, r, &device); err != nil {
		return err
	}
	if device.Hash != "" && device.Site != "" {
		return refuse(http.StatusBadRequest, "site: cannot be used together with hash")
	}
	site, err := (&sendRequest{Site: device.Site}).address()
	if err != nil {
		return err
	}
	known := gateway.Described{AppID: device.AppID, Device: device.device(g), Site: site}
	keys, err := device.find(r.Context(), g)
	if err != nil && device.Endpoint != "" && known.Device != nil && g.Unusable(known.Device) != nil {
		keys, err = []rejected.Key{rejected.KeyOf(device.AppID, device.Pushkey)}, nil // an invalid endpoint identifies no device
	}
	if err != nil {
		return err
	}
	if len(keys) > 1 {
		return severalEndpoints(keys)
	}
	key := keys[0]
	e, err := g.Explain(r.Context(), key, known)
	if err != nil {
		return storeError("explaining", err)
	}
	if device.Hash != "" && !e.Known() {
		return refuse(http.StatusNotFound, "nothing is known about the device %s", key)
	}
	if !e.Known() && e.Unusable == nil && device.anyEndpoint(g) {
		e.Note = "without an endpoint, only recorded or recently tried devices are found: give the endpoint from the pusher's data"
	}
	return respond(w, http.StatusOK, e)
}

// forgetRequest selects one device, or an app's devices that were rejected since a time.
type forgetRequest struct {
	deviceSelector
	App    string `json:"app"`
	Since  string `json:"since"`
	Cursor string `json:"cursor"`
}

// forget removes records.
func forget(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	var request forgetRequest
	if err := decode(w, r, &request); err != nil {
		return err
	}
	switch {
	case request.given() && (request.App != "" || request.Since != "" || request.Cursor != ""):
		return refuse(http.StatusBadRequest, "app, since: cannot be used together with a device")
	case request.given():
		return forgetDevice(w, r, g, request.deviceSelector)
	case request.App == "":
		return refuse(http.StatusBadRequest, "app is missing: give app and since, or a device")
	case request.Since == "":
		return refuse(http.StatusBadRequest, "since is missing: give the time of the first rejection to forget")
	}
	return forgetApp(w, r, g, request)
}

func forgetDevice(w http.ResponseWriter, r *http.Request, g *gateway.Gateway, device deviceSelector) error {
	keys, err := device.find(r.Context(), g)
	if err != nil {
		return err
	}
	answer := Forgotten{}
	if len(keys) == 1 {
		answer.PushkeyHash = keys[0].String()
	}
	for _, key := range keys {
		known, err := g.Forget(r.Context(), key)
		if err != nil {
			return storeError("rejected", err)
		}
		if known {
			answer.Forgotten++
		}
	}
	if answer.Forgotten == 0 && device.AppID != "" && g.Router.Route(device.AppID) == nil {
		return refuse(http.StatusNotFound, "%s", g.Router.Missing("there is no record of the device, and no app serves", device.AppID))
	}
	return respond(w, http.StatusOK, answer)
}

func forgetApp(w http.ResponseWriter, r *http.Request, g *gateway.Gateway, request forgetRequest) error {
	since, err := time.Parse(time.RFC3339, request.Since)
	if err != nil {
		return refuse(http.StatusBadRequest, "since: must be a time such as 2026-03-14T09:00:00Z")
	}
	lister, err := listerOf(g)
	if err != nil {
		return err
	}
	if request.Cursor == "" {
		if err := knownApp(r.Context(), g, lister, request.App); err != nil {
			return err
		}
	}
	answer := Forgotten{Next: request.Cursor, Configured: configured(g, request.App)}
	for deadline := time.Now().Add(bulkTime); ; {
		n, next, err := g.ForgetSince(r.Context(), lister, request.App, since, rejected.Query{Cursor: answer.Next, Limit: bulkPage})
		if err != nil {
			return storeError("rejected", err)
		}
		answer.Forgotten, answer.Next = answer.Forgotten+n, next
		if next == "" || time.Now().After(deadline) {
			return respond(w, http.StatusOK, answer)
		}
	}
}
