package telemetry

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

const (
	// ExpiryNotice is how long before a credential's expiry the first warning comes: someone else may have to renew it.
	ExpiryNotice = 30 * 24 * time.Hour
	// expiryReminder is how often expiring credentials are reported. A gateway may run for longer than a certificate lasts.
	expiryReminder = 24 * time.Hour
)

// WatchExpiry reports credentials that expire soon, now and every day until ctx is done. An expired credential does not stop everything
// else from starting.
func (o *Observer) WatchExpiry(ctx context.Context, apps []*gateway.App) {
	reminder := time.NewTicker(expiryReminder)
	defer reminder.Stop()
	for {
		for _, app := range apps {
			o.credentialExpires(app, app.CredentialExpiry())
		}
		select {
		case <-reminder.C:
		case <-ctx.Done():
			return
		}
	}
}

func (o *Observer) credentialExpires(app *gateway.App, end time.Time) {
	left := time.Until(end)
	if end.IsZero() || left >= ExpiryNotice {
		return
	}
	fields := append(nameOf(app), zap.Time("expiry", end))
	if left < 0 {
		o.logger.Error("credential has expired", fields...)
	} else {
		o.logger.Warn("credential expires soon", fields...)
	}
	o.emit(eventExpiring, map[string]any{
		"app": app.Pattern, "provider": app.ProviderName, "expiry": end.UTC().Format(time.RFC3339), "expired": left < 0,
	})
}
