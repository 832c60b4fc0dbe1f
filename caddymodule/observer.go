package caddymodule

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// observer writes what the engine tells into the log: nothing secret, and nothing above debug for what is as it should be.
type observer struct {
	logger *zap.Logger

	mu sync.Mutex
	// said is when each thing was last said above debug: an endpoint that a stranger chose may fail as often as he likes.
	said map[string]time.Time
}

// repeatAfter is how long the same trouble is not said again.
const repeatAfter = time.Minute

// Attempted logs one attempt.
func (o *observer) Attempted(a gateway.Attempt) {
	entry := o.logger.Check(o.level(a), "push "+a.Kind())
	if entry == nil {
		return
	}
	fields := []zap.Field{
		zap.String("app", a.App.Pattern),
		zap.String("provider", a.App.ProviderName),
		zap.String("reason", a.Outcome.Reason),
		zap.String("pushkey_hash", a.Key.Short()),
		zap.Duration("duration", a.Duration),
	}
	if a.Outcome.Err != nil {
		fields = append(fields, zap.Error(a.Outcome.Err))
	}
	entry.Write(fields...)
}

func (o *observer) level(a gateway.Attempt) zapcore.Level {
	switch {
	case a.Alarm && o.news(a.App.Pattern+" "+a.Outcome.Reason):
		return zapcore.ErrorLevel
	case a.Alarm:
		return zapcore.DebugLevel
	case a.Outcome.Kind == providers.KindRejected && !a.Outcome.Unusable:
		return zapcore.InfoLevel // once for each pushkey: what is on record is not asked for again
	default:
		return zapcore.DebugLevel
	}
}

// Answered logs nothing: Caddy's access log has what there is to say of a request.
func (o *observer) Answered(*gateway.App, gateway.Result) {}

// BreakerOpened logs that an app's push service is left alone. That of a host that a stranger chose is nobody's trouble but his.
func (o *observer) BreakerOpened(a *gateway.App, host string) {
	fields := []zap.Field{zap.String("app", a.Pattern), zap.String("provider", a.ProviderName)}
	if host != "" {
		o.logger.Debug("a push server does not work, and is left alone for a while", fields...)
		return
	}
	o.logger.Warn("the push service does not work, and is left alone for a while; pushes wait", fields...)
}

// BreakerClosed logs that a push service works again.
func (o *observer) BreakerClosed(a *gateway.App, host string) {
	level := zapcore.InfoLevel
	if host != "" {
		level = zapcore.DebugLevel
	}
	o.logger.Log(level, "the push service works again", zap.String("app", a.Pattern), zap.String("provider", a.ProviderName))
}

// FuseTripped logs that rejections are held.
func (o *observer) FuseTripped(app string, pushkeys int) {
	if app == "" {
		o.logger.Error("too many devices are of apps that are not configured: they are answered 503 instead of being rejected; "+
			"look whether an app is missing, or reset the fuse", zap.Int("pushkeys", pushkeys))
		return
	}
	o.logger.Error("too many pushkeys were rejected at once: the rejections were withdrawn, and no more are believed; "+
		"look at the app's credentials, environment and topic or project, or reset the fuse",
		zap.String("app", app), zap.Int("pushkeys", pushkeys))
}

// FuseReset logs that rejections are believed again.
func (o *observer) FuseReset(app string, byOperator bool) {
	o.logger.Info("rejections are believed again", zap.String("app", app), zap.Bool("by_operator", byOperator))
}

// StoreFailed logs that a store could not do something.
func (o *observer) StoreFailed(doing string, err error) {
	if o.news(doing) {
		o.logger.Warn("a store failed", zap.String("doing", doing), zap.Error(err))
	}
}

// news says whether something has not been said for a while. What can be said is bounded by the configuration.
func (o *observer) news(what string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if last, ok := o.said[what]; ok && now.Sub(last) < repeatAfter {
		return false
	}
	if o.said == nil {
		o.said = make(map[string]time.Time)
	}
	o.said[what] = now
	return true
}

// Interface guard
var _ gateway.Observer = (*observer)(nil)
