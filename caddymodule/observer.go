package caddymodule

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// observer passes what the engine tells on to the log, the metrics, and those who subscribed to Caddy's events: nothing secret, and in
// the log nothing above debug for what is as it should be.
type observer struct {
	logger *zap.Logger
	emit   func(event string, data map[string]any)

	mu sync.Mutex
	// said is when each thing was last said above debug: an endpoint that a stranger chose may fail as often as he likes.
	said map[string]time.Time
}

// repeatAfter is how long the same trouble is not said again.
const repeatAfter = time.Minute

// Attempted tells of one attempt.
func (o *observer) Attempted(a gateway.Attempt) {
	metrics.push(a)
	level := o.level(a)
	switch {
	case level == zapcore.ErrorLevel:
		o.emit(eventAppMisconfigured, map[string]any{"app": a.App.Pattern, "provider": a.App.ProviderName, "reason": a.Outcome.Reason})
	case level == zapcore.InfoLevel:
		o.emit(eventPushkeyRejected, map[string]any{
			"app": a.App.Pattern, "provider": a.App.ProviderName, "reason": a.Outcome.Reason, "pushkey_hash": a.Key.Short(),
		})
	}
	if !o.logger.Core().Enabled(level) { // as debug is nearly always: not even the message is needed
		return
	}
	entry := o.logger.Check(level, "push "+a.Kind())
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
	if a.Outcome.Blocked {
		fields = append(fields, zap.String("hint", "if the push server is yours, allow its network with allow_private"))
	}
	entry.Write(fields...)
}

func (o *observer) level(a gateway.Attempt) zapcore.Level {
	switch {
	case a.Alarm && o.news(a.App.Pattern+" "+a.Outcome.Reason):
		return zapcore.ErrorLevel
	case a.Alarm:
		return zapcore.DebugLevel
	case a.Outcome.Blocked && o.news(a.App.Pattern+" "+a.Outcome.Reason):
		return zapcore.WarnLevel
	case a.Kind() == "rejected" && !a.Outcome.Unusable:
		return zapcore.InfoLevel // once for each pushkey: what is on record is not asked for again
	default:
		return zapcore.DebugLevel
	}
}

// Answered counts a device. Caddy's access log has what there is to say of a request.
func (o *observer) Answered(app *gateway.App, result gateway.Result) { metrics.device(app, result) }

// refused counts a request that is refused as a whole. That it is for want of memory is a warning, as honest ones may be among them.
func (o *observer) refused(err *gateway.Error) {
	if err.Reason == "" {
		return // its devices are counted
	}
	metrics.refusal(err.Reason)
	if err.Reason == gateway.ReasonBusy && o.news(err.Reason) {
		o.logger.Warn("requests refused: too many bytes in hand", zap.String("hint",
			"homeservers send them again; see who sends large requests in the access log, and whether a push service is slow"))
	}
}

// BreakerOpened tells that an app's push service is left alone. That of a host that a stranger chose is nobody's trouble but his.
func (o *observer) BreakerOpened(a *gateway.App, host string) {
	if host != "" {
		o.logger.Debug("a push server does not work, and is left alone for a while", nameOf(a)...)
		return
	}
	o.logger.Warn("the push service does not work, and is left alone for a while; pushes wait", nameOf(a)...)
	o.emit(eventBreakerOpened, map[string]any{"app": a.Pattern, "provider": a.ProviderName})
}

// BreakerClosed tells that a push service works again.
func (o *observer) BreakerClosed(a *gateway.App, host string) {
	if host != "" {
		o.logger.Debug("a push server works again", nameOf(a)...)
		return
	}
	o.logger.Info("the push service works again", nameOf(a)...)
	o.emit(eventBreakerClosed, map[string]any{"app": a.Pattern, "provider": a.ProviderName})
}

func nameOf(a *gateway.App) []zap.Field {
	return []zap.Field{zap.String("app", a.Pattern), zap.String("provider", a.ProviderName)}
}

// FuseTripped tells that rejections are held.
func (o *observer) FuseTripped(app, host string, pushkeys int) {
	o.emit(eventFuseTripped, withHost(host, map[string]any{"app": app, "pushkeys": pushkeys}))
	if host != "" {
		o.logger.Error("fuse tripped: a push server rejected too many pushkeys at once; the rejections are withdrawn and held",
			zap.String("app", app), zap.String("host", host), zap.Int("pushkeys", pushkeys),
			zap.String("hint", "look whether the push server works; reset the fuse if its users are really gone"))
		return
	}
	if app == "" {
		o.logger.Error("too many devices are of apps that are not configured: they are answered 503 instead of being rejected; "+
			"look whether an app is missing, or reset the fuse", zap.Int("pushkeys", pushkeys))
		return
	}
	o.logger.Error("too many pushkeys were rejected at once: the rejections were withdrawn, and no more are believed; "+
		"look at the app's credentials, environment and topic or project, or reset the fuse",
		zap.String("app", app), zap.Int("pushkeys", pushkeys))
}

// FuseReset tells that rejections are believed again.
func (o *observer) FuseReset(app, host string, byOperator bool) {
	o.emit(eventFuseReset, withHost(host, map[string]any{"app": app, "by_operator": byOperator}))
	fields := []zap.Field{zap.String("app", app), zap.Bool("by_operator", byOperator)}
	if host != "" {
		fields = append(fields, zap.String("host", host))
	}
	o.logger.Info("rejections are believed again", fields...)
}

// withHost adds a push server to an event's data, if it is about one.
func withHost(host string, data map[string]any) map[string]any {
	if host != "" {
		data["host"] = host
	}
	return data
}

// Panicked reports that an app's provider panicked. It does so once for each app of a configuration; the pushes have a metric.
func (o *observer) Panicked(a *gateway.App, p gateway.Panic) {
	o.logger.Error("the provider panicked", append(nameOf(a),
		zap.String("method", p.Method), zap.String("type", p.Type), zap.Strings("stack", p.Stack),
		zap.String("hint", "report it to the provider's author, with the stack"))...)
}

// StoreFailed tells that a store could not do something.
func (o *observer) StoreFailed(doing string, err error) {
	metrics.storeFailed(doing)
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
