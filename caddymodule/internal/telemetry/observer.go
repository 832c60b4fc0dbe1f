// Package telemetry is what operators see of the gateway: log lines, fields of the access log, metrics and events. Nothing of it has a
// pushkey or content.
package telemetry

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// Observer passes what the engine reports on to the log, the metrics, and those who subscribed to Caddy's events: nothing secret, and in
// the log nothing above debug for what is as it should be. However much strangers cause, the lines and events of a minute are bounded.
type Observer struct {
	logger *zap.Logger
	emit   func(event string, data map[string]any)

	mu sync.Mutex
	// said is when each thing was last said above debug: an endpoint that a stranger chose may fail as often as he likes.
	said map[string]time.Time

	lines, events allowance
}

// NewObserver returns an observer that logs there, and emits events by calling emit.
func NewObserver(logger *zap.Logger, emit func(event string, data map[string]any)) *Observer {
	return &Observer{logger: logger, emit: emit}
}

// repeatAfter is how long the same trouble is not said again.
const repeatAfter = time.Minute

// Attempted tells of one attempt.
func (o *Observer) Attempted(a gateway.Attempt) {
	metrics.push(a)
	level := o.level(a)
	switch {
	case level == zapcore.ErrorLevel:
		o.tell(eventAppMisconfigured, withWord(a.Outcome.Word, map[string]any{
			"app": a.App.Pattern, "provider": a.App.ProviderName, "reason": a.Outcome.Reason,
		}))
	case level == zapcore.InfoLevel && !a.Outcome.Unusable:
		o.tell(eventPushkeyRejected, withWord(a.Outcome.Word, map[string]any{
			"app": a.App.Pattern, "provider": a.App.ProviderName, "reason": a.Outcome.Reason, "pushkey_hash": a.Key.Short(),
		}))
	}
	if a.WrongKeys > 0 {
		o.wrongKeys(a)
	}
	if level > zapcore.DebugLevel && !o.mayLog(level, "push "+a.Kind()) {
		level = zapcore.DebugLevel
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
	if a.Outcome.Word != "" {
		fields = append(fields, zap.String("word", a.Outcome.Word))
	}
	if a.Outcome.Err != nil {
		fields = append(fields, zap.Error(a.Outcome.Err))
	}
	if a.Outcome.Blocked {
		fields = append(fields, zap.String("hint", blockedHint(a.Outcome.Reason)))
	}
	entry.Write(fields...)
}

// wrongKeys warns that devices at a host have another key than the app's. The engine says so once a minute for each host.
func (o *Observer) wrongKeys(a gateway.Attempt) {
	if o.mayLog(zapcore.WarnLevel, "wrong key") {
		o.logger.Warn("subscriptions were made for another key", append(withHostField(a.Host, nameOf(a.App)), zap.Int("devices", a.WrongKeys),
			zap.String("hint", "restore the VAPID key that they were made for; if it is gone, their clients must subscribe again"))...)
	}
}

// blockedHint is what may be done about a push that the configuration keeps back.
func blockedHint(reason string) string {
	if reason == "own_path" {
		return "if pushes belong there, add the path to own_paths"
	}
	return "if the push server is yours, allow its network with allow_private"
}

func (o *Observer) level(a gateway.Attempt) zapcore.Level {
	switch {
	case a.Alarm && o.news(a.App.Pattern+" "+a.Outcome.Reason):
		return zapcore.ErrorLevel
	case a.Alarm:
		return zapcore.DebugLevel
	case a.Outcome.Blocked && o.news(a.App.Pattern+" "+a.Outcome.Reason):
		return zapcore.WarnLevel
	case a.Outcome.Unusable && o.news(a.App.Pattern+" unusable "+a.Outcome.Reason):
		return zapcore.InfoLevel // one of them is: the client, or who set it up, got something wrong
	case a.Kind() == "rejected" && !a.Outcome.Unusable && (a.Known || !a.Chosen):
		return zapcore.InfoLevel // made-up pushkeys are nobody's news
	default:
		return zapcore.DebugLevel
	}
}

// Refused tells that the outbox had no room for a push. That of a stranger, or of one device alone, is nobody's trouble but theirs.
func (o *Observer) Refused(a *gateway.App, why gateway.Refusal) {
	metrics.refusedByOutbox(a, why)
	if why == gateway.RefusedFull && o.news("outbox full "+a.Pattern) {
		o.logger.Warn("outbox full: pushes are refused", append(nameOf(a),
			zap.String("hint", "find out what is down with `caddy matrix-push status`; max_per_app and max_size of the outbox are the app's room"))...)
	}
}

// Answered counts a device. Caddy's access log has what there is to say of a request.
func (o *Observer) Answered(app *gateway.App, result gateway.Result) { metrics.device(app, result) }

// RequestRefused counts a request that is refused as a whole. That it is for want of memory is a warning, as honest ones may be among them.
func (o *Observer) RequestRefused(err *gateway.Error) {
	if err.Reason == "" {
		return // its devices are counted
	}
	metrics.refusal(err.Reason)
	if err.Reason == gateway.ReasonBusy && o.news(err.Reason) {
		o.logger.Warn("requests refused: too many bytes in hand", zap.String("hint",
			"homeservers send them again; see who sends large requests in the access log, and whether a push service is slow"))
	}
}

// HostPaused reports that a push server that devices chose limits the gateway. It is nobody's trouble but that of its users.
func (o *Observer) HostPaused(a *gateway.App, host string) {
	o.logger.Debug("push server limits the gateway; its pushes pause", withHostField(host, nameOf(a))...)
}

// BreakerOpened tells that an app's push service is left alone. That of a host that a stranger chose is nobody's trouble but his.
func (o *Observer) BreakerOpened(a *gateway.App, host string) {
	if host != "" {
		o.logger.Debug("a push server does not work, and is left alone for a while", nameOf(a)...)
		return
	}
	if o.mayLog(zapcore.WarnLevel, "breaker") {
		o.logger.Warn("the push service does not work, and is left alone for a while; pushes wait", nameOf(a)...)
	}
	o.tell(eventBreakerOpened, map[string]any{"app": a.Pattern, "provider": a.ProviderName})
}

// BreakerClosed tells that a push service works again.
func (o *Observer) BreakerClosed(a *gateway.App, host string) {
	if host != "" {
		o.logger.Debug("a push server works again", nameOf(a)...)
		return
	}
	if o.mayLog(zapcore.InfoLevel, "breaker") {
		o.logger.Info("the push service works again", nameOf(a)...)
	}
	o.tell(eventBreakerClosed, map[string]any{"app": a.Pattern, "provider": a.ProviderName})
}

func nameOf(a *gateway.App) []zap.Field {
	return []zap.Field{zap.String("app", a.Pattern), zap.String("provider", a.ProviderName)}
}

// FuseTripped reports that rejections are held. Somebody is called only if devices that were delivered to before are enough for it: the
// others may be made up.
func (o *Observer) FuseTripped(app, host string, pushkeys int, alarm bool) {
	fields := aboutFuse(app, host, zap.Int("pushkeys", pushkeys))
	if !alarm {
		if o.news("fuse tripped for strangers: "+app) && o.mayLog(zapcore.WarnLevel, "fuse") {
			o.logger.Warn("fuse tripped for devices that were never delivered to; their rejections are withdrawn and held",
				append(fields, zap.String("hint", "somebody makes up pushkeys, or the gateway is new to its devices; nothing to do otherwise"))...)
		}
		return
	}
	o.tell(eventFuseTripped, withHost(host, map[string]any{"app": app, "pushkeys": pushkeys}))
	switch {
	case !o.mayLog(zapcore.ErrorLevel, "fuse"):
	case host != "":
		o.logger.Error("fuse tripped: a push server rejected too many pushkeys at once; the rejections are withdrawn and held",
			append(fields, zap.String("hint", "look whether the push server works; reset the fuse if its users are really gone"))...)
	case app == "":
		o.logger.Error("too many devices are of apps that are not configured: they are answered 503 instead of being rejected; "+
			"look whether an app is missing, or reset the fuse", zap.Int("pushkeys", pushkeys))
	default:
		o.logger.Error("too many pushkeys were rejected at once: the rejections were withdrawn, and no more are believed; "+
			"look at the app's credentials, environment and topic or project, or reset the fuse", fields...)
	}
}

// FuseReset tells that rejections are believed again. If nobody was called when they were not, it is worth a line a minute.
func (o *Observer) FuseReset(app, host string, byOperator, alarm bool) {
	if alarm || byOperator {
		o.tell(eventFuseReset, withHost(host, map[string]any{"app": app, "by_operator": byOperator}))
	} else if !o.news("fuse reset for strangers: " + app) {
		return
	}
	if o.mayLog(zapcore.InfoLevel, "fuse") {
		o.logger.Info("rejections are believed again", aboutFuse(app, host, zap.Bool("by_operator", byOperator))...)
	}
}

// aboutFuse are the fields of a line about a fuse.
func aboutFuse(app, host string, more ...zap.Field) []zap.Field {
	return append(withHostField(host, []zap.Field{zap.String("app", app)}), more...)
}

// withHostField adds a push server to a line's fields, if it is about one.
func withHostField(host string, fields []zap.Field) []zap.Field {
	if host == "" {
		return fields
	}
	return append(fields, zap.String("host", host))
}

// withWord adds a push service's word to an event's data, if it gave one.
func withWord(word string, data map[string]any) map[string]any {
	if word != "" {
		data["word"] = word
	}
	return data
}

// withHost adds a push server to an event's data, if it is about one.
func withHost(host string, data map[string]any) map[string]any {
	if host != "" {
		data["host"] = host
	}
	return data
}

// Panicked reports that an app's provider panicked. It does so once for each app of a configuration; the pushes have a metric.
func (o *Observer) Panicked(a *gateway.App, p gateway.Panic) {
	o.logger.Error("the provider panicked", append(nameOf(a),
		zap.String("method", p.Method), zap.String("type", p.Type), zap.Strings("stack", p.Stack),
		zap.String("hint", "report it to the provider's author, with the stack"))...)
}

// StoreFailed tells that a store could not do something.
func (o *Observer) StoreFailed(doing string, err error) {
	metrics.storeFailed(doing)
	if o.news(doing) && o.mayLog(zapcore.WarnLevel, "a store failed") {
		o.logger.Warn("a store failed", zap.String("doing", doing), zap.Error(err))
	}
}

// WarmFailed logs that a provider could not get ready for its first push. Nothing is lost with it, and if there is something to fix, the
// first push has the reason.
func (o *Observer) WarmFailed(app *gateway.App, err error) {
	o.logger.Debug("the provider could not get ready for the first push, which tries again", append(nameOf(app), zap.Error(err))...)
}

// UntargetedDropped logs how many records of an earlier version were dropped for an app, as they don't say which target they are about.
func (o *Observer) UntargetedDropped(app string, records int) {
	o.logger.Info("rejections of an earlier version dropped", zap.String("app", app), zap.Int("records", records),
		zap.String("hint", "they don't say for which endpoint they were; the gateway learns again which pushkeys are dead"))
}

// news says whether something has not been said for a while. What can be said is bounded by the configuration.
func (o *Observer) news(what string) bool {
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
var _ gateway.Observer = (*Observer)(nil)
