package caddymodule

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminapi"
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
	values, err := parameters(r, "app", "cursor", "limit")
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
	answer := adminapi.Entries{Entries: make([]adminapi.Entry, len(page)), Next: next}
	for i := range page {
		answer.Entries[i] = adminapi.NewEntry(page[i])
	}
	return respond(w, http.StatusOK, answer)
}

func depths(w http.ResponseWriter, r *http.Request, app *App, box outbox.Inspector) error {
	all, err := box.Depths(r.Context())
	if err != nil {
		return storeError("outbox", err)
	}
	apps := make([]adminapi.Depth, len(all))
	for i, d := range all {
		apps[i] = adminapi.Depth{
			App: d.App, Entries: d.Entries, Devices: d.Devices, Oldest: d.Oldest, Full: d.Full,
			Configured: app.gateway.Router.Configured(d.App) != nil,
		}
	}
	return respond(w, http.StatusOK, adminapi.Depths{Apps: apps})
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
	answer := adminapi.Retried{App: request.App, Configured: app.gateway.Router.Configured(request.App) != nil}
	if request.Hash == "" {
		app.gateway.Resume(request.App)
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
	answer := adminapi.Dropped{App: request.App}
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
