// Package telemetry provides what operators see of the gateway: log lines, fields of the access log, metrics and events. None of them
// contain pushkeys or content.
package telemetry

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// Observer turns the engine's reports into log lines, metrics and events. They contain no secrets. Normal operation logs only at debug
// level. The lines and events of a minute are limited, whatever strangers cause.
type Observer struct {
	logger *zap.Logger
	emit   func(event string, data map[string]any)

	mu sync.Mutex
	// said is when each thing was last logged above debug level: an endpoint that a stranger chose may fail any number of times.
	said map[string]time.Time

	lines, events allowance
}

// NewObserver returns an observer that logs to logger and emits events by calling emit.
func NewObserver(logger *zap.Logger, emit func(event string, data map[string]any)) *Observer {
	return &Observer{logger: logger, emit: emit}
}

// repeatAfter is the least time between two log lines about the same problem.
const repeatAfter = time.Minute

// Attempted reports one attempt.
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
	if level > zapcore.DebugLevel && !o.mayLogOf(level, "push "+a.Kind(), isMadeUp(&a)) {
		level = zapcore.DebugLevel
	}
	if !o.logger.Core().Enabled(level) { // the usual case for debug: not even the message is needed
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
	if hint := hintFor(&a); hint != "" {
		fields = append(fields, zap.String("hint", hint))
	}
	entry.Write(fields...)
}

// wrongKeys warns that devices at a host use another key than the app's. The engine reports this once a minute for each host.
func (o *Observer) wrongKeys(a gateway.Attempt) {
	if o.mayLog(zapcore.WarnLevel, "wrong key") {
		o.logger.Warn("subscriptions were made for a VAPID key that is not the gateway's", append(withHostField(a.Host, nameOf(a.App)),
			zap.Int("devices", a.WrongKeys),
			zap.String("hint", "restore the VAPID key that they were made for; if it is lost, their clients must subscribe again"))...)
	}
}

// hintFor returns what the reason of an attempt means and what to do about it, if the operator may have to do something.
func hintFor(a *gateway.Attempt) string {
	if !a.Alarm && !a.Outcome.Blocked && !a.Outcome.Unusable && !isLoss(a) {
		return ""
	}
	switch means := a.App.Explain(a.Outcome.Reason); {
	case means != "":
		return means
	case a.Outcome.Blocked:
		return "the app's settings block this push"
	case isLoss(a):
		return "`caddy matrix-push rejected explain` shows the device's latest attempt"
	default:
		return ""
	}
}

func (o *Observer) level(a gateway.Attempt) zapcore.Level {
	switch {
	case a.Alarm && o.news(a.App.Pattern+" "+a.Outcome.Reason):
		return zapcore.ErrorLevel
	case a.Alarm:
		return zapcore.DebugLevel
	case isLoss(&a) && o.isNewLoss(&a):
		return zapcore.WarnLevel
	case a.Outcome.Unusable && o.news(a.App.Pattern+" unusable "+a.Outcome.Reason):
		return zapcore.InfoLevel // one is enough: the client, or its setup, is wrong
	case a.Kind() == "rejected" && !a.Outcome.Unusable && (a.Known || !a.Chosen):
		return zapcore.InfoLevel // other pushkeys may be made up
	default:
		return zapcore.DebugLevel
	}
}

// Refused reports that the outbox had no room for a push. It logs only a full app: the limits for strangers and for a single device
// affect only them.
func (o *Observer) Refused(a *gateway.App, why gateway.Refusal) {
	metrics.refusedByOutbox(a, why)
	if why == gateway.RefusedFull && o.news("outbox full "+a.Pattern) {
		o.logger.Warn("outbox full: pushes are refused", append(nameOf(a), zap.String("hint",
			"run `caddy matrix-push status` to see which app is failing; the outbox options max_per_app and max_size set the limits"))...)
	}
}

// Answered counts a device. The request itself is in Caddy's access log.
func (o *Observer) Answered(app *gateway.App, result gateway.Result) { metrics.device(app, result) }

// HostPaused reports that a push server that devices chose rate-limits the gateway. This affects only the server's users.
func (o *Observer) HostPaused(a *gateway.App, host string) {
	o.logger.Debug("push server rate-limits the gateway; pushes to it are paused", withHostField(host, nameOf(a))...)
}

// BreakerOpened reports that an app's breaker opened. If it is for a host that devices chose, only that host's users are affected.
func (o *Observer) BreakerOpened(a *gateway.App, host string) {
	if host != "" {
		o.logger.Debug("breaker opened: push server failing", nameOf(a)...)
		return
	}
	if o.mayLog(zapcore.WarnLevel, "breaker") {
		o.logger.Warn("breaker opened: push service failing", append(nameOf(a),
			zap.String("hint", "`caddy matrix-push status` shows why it fails; pushes are retried when it works again"))...)
	}
	o.tell(eventBreakerOpened, map[string]any{"app": a.Pattern, "provider": a.ProviderName})
}

// BreakerClosed reports that a push service works again.
func (o *Observer) BreakerClosed(a *gateway.App, host string) {
	if host != "" {
		o.logger.Debug("breaker closed: push server works again", nameOf(a)...)
		return
	}
	if o.mayLog(zapcore.InfoLevel, "breaker") {
		o.logger.Info("breaker closed: push service works again", nameOf(a)...)
	}
	o.tell(eventBreakerClosed, map[string]any{"app": a.Pattern, "provider": a.ProviderName})
}

func nameOf(a *gateway.App) []zap.Field {
	return []zap.Field{zap.String("app", a.Pattern), zap.String("provider", a.ProviderName)}
}

// FuseTripped reports that rejections are held. It is an error only if devices that got pushes before are enough to trip the fuse: the
// others may be made up.
func (o *Observer) FuseTripped(app, host string, pushkeys int, alarm bool) {
	fields := aboutFuse(app, host, zap.Int("pushkeys", pushkeys))
	if !alarm {
		if o.news("fuse tripped for strangers: "+app) && o.mayLog(zapcore.WarnLevel, "fuse") {
			o.logger.Warn("fuse tripped: too many devices rejected that never got a push; the gateway does not report these rejections to homeservers",
				append(fields, zap.String("hint", "someone is making up pushkeys, or this gateway has not delivered to its devices before; no action is needed"))...)
		}
		return
	}
	o.tell(eventFuseTripped, withHost(host, map[string]any{"app": app, "pushkeys": pushkeys}))
	switch {
	case !o.mayLog(zapcore.ErrorLevel, "fuse"):
	case host != "":
		o.logger.Error("fuse tripped: push server rejected too many pushkeys; the gateway does not report these rejections to homeservers",
			append(fields, zap.String("hint", "check whether the push server works; reset the fuse only if its users are really gone"))...)
	case app == "":
		o.logger.Error("fuse tripped: too many devices of unknown apps; requests for them are answered with 503",
			zap.Int("pushkeys", pushkeys), zap.String("hint", "check whether an app is missing from the configuration; if not, reset the fuse"))
	default:
		o.logger.Error("fuse tripped: too many pushkeys rejected; the gateway reports no further rejections to homeservers",
			append(fields, zap.String("hint", "check the app's credentials, environment and topic or project; then reset the fuse"))...)
	}
}

// FuseReset reports that rejections are accepted again. If the fuse tripped without an alarm, it logs at most one line a minute.
func (o *Observer) FuseReset(app, host string, byOperator, alarm bool) {
	if alarm || byOperator {
		o.tell(eventFuseReset, withHost(host, map[string]any{"app": app, "by_operator": byOperator}))
	} else if !o.news("fuse reset for strangers: " + app) {
		return
	}
	if o.mayLog(zapcore.InfoLevel, "fuse") {
		o.logger.Info("fuse reset: rejections are no longer held back", aboutFuse(app, host, zap.Bool("by_operator", byOperator))...)
	}
}

// aboutFuse returns the fields of a line about a fuse.
func aboutFuse(app, host string, more ...zap.Field) []zap.Field {
	return append(withHostField(host, []zap.Field{zap.String("app", app)}), more...)
}

// withHostField adds a push server to a line's fields, if the line is about one.
func withHostField(host string, fields []zap.Field) []zap.Field {
	if host == "" {
		return fields
	}
	return append(fields, zap.String("host", host))
}

// withWord adds the push service's own reason to an event's data, if there is one.
func withWord(word string, data map[string]any) map[string]any {
	if word != "" {
		data["word"] = word
	}
	return data
}

// withHost adds a push server to an event's data, if the event is about one.
func withHost(host string, data map[string]any) map[string]any {
	if host != "" {
		data["host"] = host
	}
	return data
}

// Panicked reports that an app's provider panicked. The engine calls it once for each app of a configuration; a metric counts the pushes.
func (o *Observer) Panicked(a *gateway.App, p gateway.Panic) {
	o.logger.Error("provider panicked", append(nameOf(a),
		zap.String("method", p.Method), zap.String("type", p.Type), zap.Strings("stack", p.Stack),
		zap.String("hint", "report the stack to the provider's author"))...)
}

// StoreFailed reports that a store's operation failed.
func (o *Observer) StoreFailed(doing string, err error) {
	metrics.storeFailed(doing)
	if o.news(doing) && o.mayLog(zapcore.WarnLevel, "store operation failed") {
		o.logger.Warn("store operation failed", zap.String("doing", doing), zap.Error(err))
	}
}

// Probed reports that a request for a probe arrived. Each probe causes two lines at most, and only the admin API makes probes.
func (o *Observer) Probed(by gateway.Sighting, isDoctor bool) {
	sender := "homeserver"
	if isDoctor {
		sender = "doctor"
	}
	if o.mayLog(zapcore.InfoLevel, "probe") {
		o.logger.Info("probe arrived", zap.String("sender", sender), zap.String("from", by.From), zap.String("site", by.Site),
			zap.String("tls", by.TLS), zap.String("user_agent", printable(by.UserAgent, maxPath)))
	}
}

// WarmFailed logs that a provider could not prepare for its first push. Nothing is lost: the first push connects by itself, and reports
// what is wrong.
func (o *Observer) WarmFailed(app *gateway.App, err error) {
	o.logger.Debug("connecting in advance failed; the gateway connects when it sends the first push", append(nameOf(app), zap.Error(err))...)
}

// UntargetedDropped logs how many records of an earlier version were dropped for an app because they don't name a target.
func (o *Observer) UntargetedDropped(app string, records int) {
	o.logger.Info("rejections recorded by an earlier version were dropped", zap.String("app", app), zap.Int("records", records),
		zap.String("hint", "the records don't name their endpoints; the gateway learns again which pushkeys are dead"))
}

// news reports whether something has not been logged for a while. The configuration bounds how many different things there are.
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
