package ui

import (
	"context"
	"net/http"
	"net/url"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
)

// resetting returns the form that resets the fuse of an app. Without an app, it is the fuse for devices of unknown apps.
func resetting(app string) form {
	return form{Action: "/fuse/reset", Label: "Reset the fuse…", About: app, Fields: []field{{"app", app}}, Danger: true}
}

func (p *Page) resetFuse(ctx context.Context, r *http.Request) (view, error) {
	app, whose, path, query := r.PostForm.Get("app"), "for devices of unknown apps", "/", url.Values{}
	request := make(map[string]string)
	if app != "" {
		whose, path, request["app"] = "of the app "+app, "/app", app
		query.Set("app", app)
	}
	if r.PostForm.Get("confirmed") == "" {
		f := resetting(app)
		f.Label = "Reset the fuse"
		return confirm(confirmation{
			Question: "Reset the fuse " + whose + "?",
			Effects: []string{
				"The gateway then reports dead pushkeys to homeservers again, and the homeservers delete these pushers. Fix the cause first.",
				"The gateway retries the app's pending pushes immediately.",
			},
			Form: f, Back: "/",
		})
	}
	var answer admin.FuseReset
	if _, err := p.api.Post(ctx, "fuses/reset", request, adminclient.LongPatience, &answer); err != nil {
		return view{}, err
	}
	notice := describe.Report{Tone: describe.Good, Sentence: "The fuse is reset. Rejections are no longer held back."}
	if !answer.WasTripped {
		notice = describe.Report{Sentence: "The fuse was not tripped. Its counters are reset."}
	}
	return p.notices.done(path, query, notice)
}
