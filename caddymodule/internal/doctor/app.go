package doctor

import (
	"cmp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// app returns an app's status; nil if it is not configured.
func (x *examination) app(pattern string) *gateway.AppStatus {
	for i := range x.gates.Apps {
		if a := &x.gates.Apps[i]; a.App == pattern {
			return a
		}
	}
	return nil
}

// degradedCodes are the codes of what degrades an app.
var degradedCodes = map[string]string{
	"failing": "app_failing", "breaker_open": "breaker_open", "credential_expired": "credential_expired",
	"misconfigured": "app_misconfigured", "outbox_full": "outbox_full", "outbox_unreadable": "outbox_unreadable",
	"outbox_unconfirmed": "outbox_unconfirmed",
}

// judgeApp adds what is wrong with an app, once.
func (x *examination) judgeApp(app *gateway.AppStatus) {
	if x.judged[app.App] {
		return
	}
	x.judged[app.App] = true
	if app.Fuse.Tripped != nil {
		x.fuse(app.App, true)
	}
	found := len(x.report.Findings)
	for _, d := range x.gates.Degraded {
		code := degradedCodes[d.Reason]
		if code == "" || d.App != app.App && d.App != "" || x.judged[d.App+" "+code] {
			continue
		}
		x.judged[d.App+" "+code] = true
		x.report.Add(code, 0, facts{
			"app": named(app.App), "detail": withWord(cmp.Or(d.Detail, d.Error), d.Word), "explanation": sentence(d.Explanation),
		})
	}
	if !app.Proven && !x.Send && len(x.report.Findings) == found {
		x.report.Add("app_unproven", 0, facts{"app": app.App})
	}
}

// fuse adds that a fuse has tripped, once. There is a separate fuse for devices of unknown apps.
func (x *examination) fuse(pattern string, served bool) {
	app, which := named(pattern), "--app '"+pattern+"'"
	if !served {
		app, which = "unknown apps", "--unknown-apps"
	}
	if !x.judged["fuse "+which] {
		x.judged["fuse "+which] = true
		x.report.Add("fuse_tripped", 0, facts{"app": app, "which": which})
	}
}

func named(pattern string) string { return "the app " + pattern }
