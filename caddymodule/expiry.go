package caddymodule

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// expiryNotice is how long before its end the operator is told of a credential's: renewing one may take another person.
	expiryNotice = 30 * 24 * time.Hour
	// expiryReminder is how often, since a gateway may run for longer than a certificate lasts.
	expiryReminder = 24 * time.Hour
)

// watchExpiry tells the operator of credentials that end soon, now and every day until ctx is done. One that has ended does not keep
// everything else from starting.
func watchExpiry(ctx context.Context, logger *zap.Logger, apps []*gateway.App) {
	reminder := time.NewTicker(expiryReminder)
	defer reminder.Stop()
	for {
		for _, app := range apps {
			if p, ok := app.Provider.(providers.Expirer); ok {
				tellExpiry(logger, app.Pattern, p.CredentialExpiry())
			}
		}
		select {
		case <-reminder.C:
		case <-ctx.Done():
			return
		}
	}
}

func tellExpiry(logger *zap.Logger, app string, end time.Time) {
	switch left := time.Until(end); {
	case end.IsZero():
	case left < 0:
		logger.Error("the credential has expired", zap.String("app", app), zap.Time("expiry", end))
	case left < expiryNotice:
		logger.Warn("the credential expires soon", zap.String("app", app), zap.Time("expiry", end))
	}
}
