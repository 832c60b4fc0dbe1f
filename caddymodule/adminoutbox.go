package caddymodule

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// inspector is the outbox, if it can be looked into.
func (a *App) inspector() (outbox.Inspector, error) {
	inspector, ok := a.gateway.Outbox.(outbox.Inspector)
	if !ok {
		return nil, refuse(http.StatusNotImplemented, "the outbox %s cannot be looked into", guestName(a.gateway.Outbox))
	}
	return inspector, nil
}

// outbox serves how much waits for each app, or an app's entries, a page at a time.
func (a *Admin) outbox(w http.ResponseWriter, r *http.Request, app *App) error {
	values, err := query(r, "app", "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := pageLimit(values)
	if err != nil {
		return err
	}
	box, err := app.inspector()
	if err != nil {
		return err
	}
	pattern := values.Get("app")
	if pattern == "" {
		return depths(w, r, app, box)
	}
	page, next, err := box.List(r.Context(), pattern, values.Get("cursor"), limit)
	if err != nil {
		return storeError("outbox", err)
	}
	entries := make([]waiting, len(page))
	for i := range page {
		entries[i] = newWaiting(page[i])
	}
	return respond(w, http.StatusOK, struct {
		Entries []waiting `json:"entries"`
		Next    string    `json:"next,omitempty"`
	}{entries, next})
}

// depth is how much waits for an app.
type depth struct {
	App     string `json:"app"`
	Entries int    `json:"entries"`
	Devices int    `json:"devices"`
	// Oldest is when the oldest entry was accepted.
	Oldest time.Time `json:"oldest,omitzero"`
	// Configured says whether the app is; the entries of one that is not wait until they expire.
	Configured bool `json:"configured"`
}

func depths(w http.ResponseWriter, r *http.Request, app *App, box outbox.Inspector) error {
	all, err := box.Depths(r.Context())
	if err != nil {
		return storeError("outbox", err)
	}
	apps := make([]depth, len(all))
	for i, d := range all {
		apps[i] = depth{d.App, d.Entries, d.Devices, d.Oldest, app.gateway.Router.Configured(d.App) != nil}
	}
	return respond(w, http.StatusOK, map[string][]depth{"apps": apps})
}

// waiting is an entry of the outbox as an operator sees it.
type waiting struct {
	ID          string    `json:"id"`
	App         string    `json:"app"`
	PushkeyHash string    `json:"pushkey_hash"`
	Badge       bool      `json:"badge"`
	Size        int       `json:"size"`
	Accepted    time.Time `json:"accepted"`
	Expires     time.Time `json:"expires"`
	// Due is when the device is tried next, and until when the attempt's lease lasts if one is under way.
	Due time.Time `json:"due"`
	// Attempts is how often in a row the device could not be served.
	Attempts int  `json:"attempts"`
	Running  bool `json:"running"`
}

func newWaiting(w outbox.Waiting) waiting {
	return waiting{
		w.ID, w.App, hex.EncodeToString(w.Device[:]), w.Badge, w.Size, w.Accepted, w.Expires, w.Due, w.Attempts, w.Running,
	}
}

// retryRequest names an app, or one of its devices.
type retryRequest struct {
	App  string `json:"app"`
	Hash string `json:"hash"`
}

// retry lets what waits be tried at once.
func (a *Admin) retry(w http.ResponseWriter, r *http.Request, app *App) error {
	var request retryRequest
	if err := decode(w, r, &request); err != nil {
		return err
	}
	box, err := app.boxOf(r.Context(), request.App)
	if err != nil {
		return err
	}
	answer := struct {
		App         string `json:"app"`
		PushkeyHash string `json:"pushkey_hash,omitempty"`
		// Configured says whether anybody tries: nothing of an app that is not configured is tried.
		Configured bool `json:"configured"`
	}{App: request.App, Configured: app.gateway.Router.Configured(request.App) != nil}
	if request.Hash == "" {
		if err := box.Rouse(r.Context(), request.App); err != nil {
			return storeError("outbox", err)
		}
		return respond(w, http.StatusOK, answer)
	}
	device, err := waitingDevice(r.Context(), box, request.App, request.Hash)
	if err != nil {
		return err
	}
	found, err := box.RouseDevice(r.Context(), request.App, device)
	switch {
	case err != nil:
		return storeError("outbox", err)
	case !found:
		return nothingWaits(hex.EncodeToString(device[:]))
	}
	answer.PushkeyHash = hex.EncodeToString(device[:])
	return respond(w, http.StatusOK, answer)
}

// dropRequest names a device of an app, one of its entries, or all that waits for the app.
type dropRequest struct {
	App    string `json:"app"`
	Hash   string `json:"hash"`
	ID     string `json:"id"`
	All    bool   `json:"all"`
	Cursor string `json:"cursor"`
}

// dropped is the answer to it.
type dropped struct {
	App         string `json:"app"`
	PushkeyHash string `json:"pushkey_hash,omitempty"`
	Dropped     int    `json:"dropped"`
	// Next is the cursor to go on with, if the request could not work through all that waits.
	Next string `json:"next,omitempty"`
}

// drop gives up what waits. An entry at which an attempt is under way stays.
func (a *Admin) drop(w http.ResponseWriter, r *http.Request, app *App) error {
	var request dropRequest
	if err := decode(w, r, &request); err != nil {
		return err
	}
	switch {
	case request.All && (request.Hash != "" || request.ID != ""):
		return refuse(http.StatusBadRequest, "all: it cannot be given together with hash or id")
	case !request.All && request.Hash == "":
		return refuse(http.StatusBadRequest, "hash is missing: give the device's hash, or all")
	case !request.All && request.Cursor != "":
		return refuse(http.StatusBadRequest, "cursor: it goes with all alone")
	}
	box, err := app.boxOf(r.Context(), request.App)
	if err != nil {
		return err
	}
	answer := dropped{App: request.App}
	if request.All {
		answer.Dropped, answer.Next, err = dropAll(r.Context(), box, request.App, request.Cursor)
		if err != nil {
			return storeError("outbox", err)
		}
		return respond(w, http.StatusOK, answer)
	}
	device, err := waitingDevice(r.Context(), box, request.App, request.Hash)
	if err != nil {
		return err
	}
	answer.PushkeyHash = hex.EncodeToString(device[:])
	if answer.Dropped, err = box.Drop(r.Context(), request.App, device, request.ID); err != nil {
		return storeError("outbox", err)
	}
	return respond(w, http.StatusOK, answer)
}

// boxOf is the outbox, if it can be looked into and the app is one that is configured or has entries.
func (a *App) boxOf(ctx context.Context, pattern string) (outbox.Inspector, error) {
	if pattern == "" {
		return nil, refuse(http.StatusBadRequest, "app is missing")
	}
	box, err := a.inspector()
	if err != nil {
		return nil, err
	}
	if a.gateway.Router.Configured(pattern) != nil {
		return box, nil
	}
	all, err := box.Depths(ctx)
	if err != nil {
		return nil, storeError("outbox", err)
	}
	for _, d := range all {
		if d.App == pattern {
			return box, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "there is no app %q, and nothing waits for one", pattern)
}
