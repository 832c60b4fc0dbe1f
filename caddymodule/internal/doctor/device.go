package doctor

import (
	"encoding/json"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// device adds what the gateway knows about a pusher's device.
func (x *examination) device(p *Pusher, e *gateway.Explanation, data json.RawMessage) error {
	p.App, p.Last = e.App, e.Last
	served := e.Unusable == nil || e.Unusable.Reason != "unknown_app"
	switch {
	case e.Arrival.Result == gateway.ArrivesUnserved:
		x.report.Add("site_without_app", p.Index, facts{"detail": e.Arrival.Detail})
	case !served:
		x.report.Add("app_unknown", p.Index, facts{"detail": strings.TrimSuffix(e.Unusable.Detail, ".")})
	case e.Unusable != nil:
		x.report.Add("pushkey_unusable", p.Index, facts{
			"reason": e.Unusable.Reason, "detail": e.Unusable.Detail, "explanation": sentence(e.Unusable.Explanation),
		})
	default:
		p.tried = e.Record == nil && !e.Waiting
		x.verdict(p, e)
	}
	if e.Waiting {
		x.report.Add("pending_pushes", p.Index, facts{"app": e.App})
	}
	if e.Held == gateway.HeldByFuse {
		x.fuse(e.App, served)
	}
	if app := x.app(p.App); app != nil {
		p.Provider = app.Provider
		x.judgeApp(app)
		x.presentation(p, app, data)
	}
	return nil
}

// verdict adds what push services said about the device.
func (x *examination) verdict(p *Pusher, e *gateway.Explanation) {
	now, last := x.Now(), e.Last
	delivered := last != nil && last.Outcome == "delivered"
	r := e.Record
	switch {
	case r != nil && r.Dead() && delivered && last.At.After(r.FirstSeen):
		x.report.Add("pushkey_was_dead", p.Index, facts{"when": at(last.At, now)})
	case r != nil && r.Dead():
		until := "an unknown time"
		if r.CondemnedUntil != nil {
			until = at(*r.CondemnedUntil, now)
		}
		x.report.Add("pushkey_dead", p.Index, facts{"reason": r.Reason, "until": until})
	case r != nil && r.Suspicion != nil:
		x.report.Add("pushkey_suspected", p.Index, facts{"since": at(r.Suspicion.Since, now), "hash": e.PushkeyHash[:8]})
	case e.Held == gateway.HeldByDoubt:
		x.report.Add("rejection_doubted", p.Index, facts{"reason": last.Reason, "app": e.App, "explanation": sentence(last.Explanation)})
	case e.Held != "", last == nil:
	case last.Outcome == "retry", last.Outcome == "misconfigured", last.Outcome == "unauthorized",
		last.Outcome == "dropped" && last.Reason != "no_badges":
		x.report.Add("last_attempt_failed", p.Index, facts{
			"reason": withWord(last.Reason, last.Word), "when": at(last.At, now), "explanation": sentence(last.Explanation),
		})
	}
}

// presentation adds why a push may arrive, but show nothing.
func (x *examination) presentation(p *Pusher, app *gateway.AppStatus, data json.RawMessage) {
	var members struct {
		Format  string `json:"format"`
		Payload struct {
			APS struct {
				Alert json.RawMessage `json:"alert"`
			} `json:"aps"`
		} `json:"default_payload"`
	}
	_ = json.Unmarshal(data, &members)
	if app.Content == "full" {
		return
	}
	if app.Provider == "apns" && members.Payload.APS.Alert == nil && !strings.HasSuffix(p.AppID, ".voip") {
		x.report.Add("ios_without_aps", p.Index, facts{"app": app.App})
	}
	if members.Format != "event_id_only" {
		x.report.Add("content_left_out", p.Index, facts{"app": app.App})
	}
}

// withWord adds the push service's own reason to a reason.
func withWord(reason, word string) string {
	if word == "" {
		return reason
	}
	return reason + ", " + word
}

// sentence makes a sentence of an explanation, which begins with a small letter and has no full stop.
func sentence(text string) string {
	if text == "" {
		return "To see more, run: caddy matrix-push status"
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
