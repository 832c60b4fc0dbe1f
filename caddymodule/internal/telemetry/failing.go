package telemetry

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// AppFailing reports that an app began to fail.
func (o *Observer) AppFailing(a *gateway.App, why gateway.Failing) {
	if o.mayLog(zapcore.WarnLevel, "app failing") {
		fields := append(nameOf(a), zap.String("reason", why.Reason), zap.Time("since", why.Since))
		if why.Detail != "" {
			fields = append(fields, zap.String("error", why.Detail))
		}
		o.logger.Warn("app failing: no pushes are being delivered",
			append(withHostField(why.Host, fields), zap.String("hint", failingHint(why)))...)
	}
	o.tell(eventAppFailing, withHost(why.Host, map[string]any{"app": a.Pattern, "provider": a.ProviderName, "reason": why.Reason}))
}

// failingHint returns what to do about an app that fails.
func failingHint(why gateway.Failing) string {
	switch {
	case why.Proxy:
		return "check the proxy that the option proxy or the environment variable HTTPS_PROXY names"
	case why.Host != "":
		return "check your push server behind this site; pushes are retried when it works again"
	default:
		return "check the push service's status page, your DNS, proxy and firewall; pushes are retried when it works again"
	}
}

// AppRecovered reports that an app works again.
func (o *Observer) AppRecovered(a *gateway.App) {
	if o.mayLog(zapcore.InfoLevel, "app failing") {
		o.logger.Info("app works again", nameOf(a)...)
	}
	o.tell(eventAppRecovered, map[string]any{"app": a.Pattern, "provider": a.ProviderName})
}
