package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// serveOutbox serves the number of pending pushes of each app, or a page of an app's entries.
func serveOutbox(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	values, err := parameters(r, "app", "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := pageLimit(values)
	if err != nil {
		return err
	}
	pattern := values.Get("app")
	if pattern == "" {
		return depths(w, r, g)
	}
	box, err := boxOf(r.Context(), g, pattern)
	if err != nil {
		return err
	}
	page, next, err := box.List(r.Context(), pattern, values.Get("cursor"), limit)
	if err != nil {
		return storeError("outbox", err)
	}
	answer := Entries{Entries: make([]Entry, len(page)), Next: next, Configured: configured(g, pattern)}
	for i := range page {
		answer.Entries[i] = NewEntry(page[i])
	}
	return respond(w, http.StatusOK, answer)
}

func depths(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	box, err := inspectorOf(g)
	if err != nil {
		return err
	}
	var part *outbox.PartError
	var answer Depths
	all, err := box.Depths(r.Context())
	switch {
	case errors.As(err, &part):
		answer.Unreadable = part.Parts
	case err != nil:
		return storeError("outbox", err)
	}
	answer.Apps = make([]Depth, len(all))
	for i, d := range all {
		answer.Apps[i] = Depth{
			App: d.App, Entries: d.Entries, Devices: d.Devices, Oldest: d.Oldest, Full: d.Full,
			Configured: g.Router.Configured(d.App) != nil,
		}
	}
	return respond(w, http.StatusOK, answer)
}

// retryRequest selects an app, or one of its devices.
type retryRequest struct {
	App  string `json:"app"`
	Hash string `json:"hash"`
}

// retry makes pending pushes due now.
func retry(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	var request retryRequest
	if err := decode(w, r, &request); err != nil {
		return err
	}
	box, err := boxOf(r.Context(), g, request.App)
	if err != nil {
		return err
	}
	answer := Retried{App: request.App, Configured: g.Router.Configured(request.App) != nil}
	if request.Hash == "" {
		g.Resume(request.App)
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

// DropRequest selects a device of an app, one of its entries, or all pending pushes of the app.
type DropRequest struct {
	App  string `json:"app"`
	Hash string `json:"hash,omitempty"`
	ID   string `json:"id,omitempty"`
	All  bool   `json:"all,omitempty"`
	// Cursor continues an earlier request for all.
	Cursor string `json:"cursor,omitempty"`
}

// drop drops pending pushes. An entry that is being attempted stays.
func drop(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	var request DropRequest
	if err := decode(w, r, &request); err != nil {
		return err
	}
	switch {
	case request.All && (request.Hash != "" || request.ID != ""):
		return refuse(http.StatusBadRequest, "all: cannot be used together with hash or id")
	case !request.All && request.Hash == "":
		return refuse(http.StatusBadRequest, "hash is missing: give the device's hash, or all")
	case !request.All && request.Cursor != "":
		return refuse(http.StatusBadRequest, "cursor: can be given only together with all")
	}
	box, err := boxOf(r.Context(), g, request.App)
	if err != nil {
		return err
	}
	answer := Dropped{App: request.App, Configured: configured(g, request.App)}
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

// maxDrops limits how many devices' entries are dropped at the same time: each waits for the disk.
const maxDrops = 64

// dropAll drops the pending pushes of an app, as many as it can within bulkTime.
func dropAll(ctx context.Context, box outbox.Inspector, app, cursor string) (n int, next string, err error) {
	for deadline := time.Now().Add(bulkTime); ; {
		page, next, err := box.List(ctx, app, cursor, bulkPage)
		if err != nil {
			return n, "", err
		}
		dropped, err := dropPage(ctx, box, app, page)
		n += dropped
		if err != nil || next == "" || time.Now().After(deadline) {
			return n, next, err
		}
		cursor = next
	}
}

// dropPage drops the entries of the devices of a page.
func dropPage(ctx context.Context, box outbox.Inspector, app string, page []outbox.Waiting) (n int, err error) {
	devices := make(map[[16]byte]bool)
	for _, w := range page {
		devices[w.Device] = true
	}
	drops := make(chan int, len(devices))
	var group errgroup.Group
	group.SetLimit(maxDrops)
	for device := range devices {
		group.Go(func() error {
			dropped, err := box.Drop(ctx, app, device, "")
			drops <- dropped
			return err
		})
	}
	err = group.Wait()
	close(drops)
	for dropped := range drops {
		n += dropped
	}
	return n, err
}
