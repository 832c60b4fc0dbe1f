package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// listerOf returns the rejected store if it can list its records.
func listerOf(g *gateway.Gateway) (rejected.Lister, error) {
	lister, ok := g.Rejected.(rejected.Lister)
	if !ok {
		return nil, refuse(http.StatusNotImplemented, "the rejected store %s cannot list its records", caddy.GetModuleName(g.Rejected))
	}
	return lister, nil
}

// inspectorOf returns the outbox if it can list its entries.
func inspectorOf(g *gateway.Gateway) (outbox.Inspector, error) {
	inspector, ok := g.Outbox.(outbox.Inspector)
	if !ok {
		return nil, refuse(http.StatusNotImplemented, "the outbox %s cannot list its entries", caddy.GetModuleName(g.Outbox))
	}
	return inspector, nil
}

// boxOf returns the outbox if it can list its entries and the app is configured or has entries.
func boxOf(ctx context.Context, g *gateway.Gateway, pattern string) (outbox.Inspector, error) {
	if pattern == "" {
		return nil, refuse(http.StatusBadRequest, "app is missing")
	}
	box, err := inspectorOf(g)
	if err != nil {
		return nil, err
	}
	if g.Router.Configured(pattern) != nil {
		return box, nil
	}
	all, err := box.Depths(ctx)
	for _, d := range all {
		if d.App == pattern {
			return box, nil
		}
	}
	if err != nil {
		return nil, storeError("outbox", err)
	}
	return nil, noApp(g, pattern)
}

// storeError returns the error to answer with when a store's operation fails. A store's errors contain no pushkeys.
func storeError(what string, err error) error {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, rejected.ErrCursor), errors.Is(err, outbox.ErrCursor):
		return refuse(http.StatusBadRequest, "cursor: %w", err)
	case errors.Is(err, rejected.ErrNotOpen), errors.Is(err, outbox.ErrNotOpen):
		status = http.StatusServiceUnavailable
	}
	return refuse(status, "%s: %w", what, err)
}
