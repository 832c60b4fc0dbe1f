package caddymodule

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// observer writes what the engine tells into the log: nothing secret, and nothing above debug for what is as it should be.
type observer struct{ logger *zap.Logger }

// Attempted logs one attempt.
func (o *observer) Attempted(a gateway.Attempt) {
	entry := o.logger.Check(level(a), "push "+a.Outcome.Kind.String())
	if entry == nil {
		return
	}
	fields := []zap.Field{
		zap.String("app", a.App.Pattern),
		zap.String("provider", a.App.ProviderName),
		zap.String("reason", a.Outcome.Reason),
		zap.String("pushkey_hash", a.Key.String()[:8]),
		zap.Duration("duration", a.Duration),
	}
	if a.Outcome.Err != nil {
		fields = append(fields, zap.Error(a.Outcome.Err))
	}
	entry.Write(fields...)
}

func level(a gateway.Attempt) zapcore.Level {
	switch {
	case a.Alarm:
		return zapcore.ErrorLevel
	case a.Outcome.Kind == providers.KindRejected && !a.Outcome.Unusable:
		return zapcore.InfoLevel
	default:
		return zapcore.DebugLevel
	}
}

// StoreFailed logs that a store could not do something.
func (o *observer) StoreFailed(doing string, err error) {
	o.logger.Warn("a store failed", zap.String("doing", doing), zap.Error(err))
}
