package caddymodule

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func nothingWaits(hash string) error {
	return refuse(http.StatusNotFound, "nothing waits for the device %s", hash)
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

// maxDrops is how many devices' entries are dropped at a time: each waits for the disk.
const maxDrops = 64

// dropAll drops what waits for an app, as far as it comes in bulkTime.
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
