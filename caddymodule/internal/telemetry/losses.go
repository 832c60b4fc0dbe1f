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

// Forgot reports that delivered events were forgotten early.
func (o *Observer) Forgot(events int) {
	metrics.eventsForgotten.Add(float64(events))
	if o.news("events forgotten") && o.mayLog(zapcore.WarnLevel, "events forgotten") {
		o.logger.Warn("delivered events forgotten early; there are too many", zap.Int("events", events),
			zap.String("hint", "if a homeserver sends one of them again, the device gets a second alert; with outbox redis, increase max_events"))
	}
}

// lostHint returns what to do about pushes that the outbox dropped by itself.
func lostHint(why outbox.Loss) string {
	if why == outbox.LossExpired {
		return "nobody tried to deliver them before they expired; check whether the app is missing from the configuration"
	}
	return "the outbox's file or Redis was damaged, or an incompatible version wrote the pushes"
}
