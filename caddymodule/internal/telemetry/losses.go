package telemetry

import (
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// unwanted are the reasons of pushes that were dropped because there was nothing to show, or because options say so.
var unwanted = []string{"no_badges", "events_only", "nothing_to_do", "not_for_push_type"}

// isLoss reports whether a notification was lost, although it should have been delivered.
func isLoss(a *gateway.Attempt) bool {
	return a.Outcome.Kind == providers.KindDropped && !slices.Contains(unwanted, a.Outcome.Reason)
}

// isMadeUp reports whether anyone can make up such a dropped push.
func isMadeUp(a *gateway.Attempt) bool { return isLoss(a) && !a.Known }

// isNewLoss reports whether a dropped push deserves a line: one a minute for each app and reason. Pushes to devices that were delivered to
// before have a separate line, so strangers cannot hide them.
func (o *Observer) isNewLoss(a *gateway.Attempt) bool {
	of := " dropped for a known device "
	if !a.Known {
		of = " dropped "
	}
	return o.news(a.App.Pattern + of + a.Outcome.Reason)
}

// Lost reports that the outbox dropped pushes by itself.
func (o *Observer) Lost(a *gateway.App, why outbox.Loss, pushes int) {
	reason := string(why)
	metrics.dropped(a, reason, pushes)
	if o.news(a.Pattern+" lost "+reason) && o.mayLog(zapcore.WarnLevel, "push dropped") {
		o.logger.Warn("pushes dropped by the outbox", append(nameOf(a), zap.String("reason", reason), zap.Int("pushes", pushes),
			zap.String("hint", lostHint(why)))...)
	}
}

// lostHint returns what to do about pushes that the outbox dropped by itself.
func lostHint(why outbox.Loss) string {
	if why == outbox.LossExpired {
		return "nobody tried to deliver them before they expired; check whether the app is missing from the configuration"
	}
	return "the outbox's file or Redis was damaged, or an incompatible version wrote the pushes"
}

// lossHint returns what to do about a dropped push.
func lossHint(a *gateway.Attempt) string {
	switch reason := a.Outcome.Reason; {
	case reason == "own_path":
		return "if pushes may go to this path, add the path to own_paths"
	case a.Outcome.Blocked:
		return "if the push server is yours, allow its network with allow_private"
	case reason == "too_large":
		return "the notification does not fit even without its content; a client's default_payload may be too large"
	case reason == "expired":
		return "it could not be delivered within the app's ttl; `caddy matrix-push status` shows why pushes fail"
	case reason == "displaced":
		return "the outbox is full; `caddy matrix-push status` shows which app is failing"
	case reason == "given_up":
		return "no action is needed, unless the push server is yours: nothing was ever delivered to the device"
	case reason == string(outbox.LossUnreadable):
		return lostHint(outbox.LossUnreadable)
	default:
		return "the provider's page explains the reason; `caddy matrix-push rejected explain` shows the device's latest attempt"
	}
}
