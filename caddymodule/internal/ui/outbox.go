package ui

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
)

func (p *Page) outbox(ctx context.Context, _ *http.Request) (view, error) {
	v := view{template: "list", Title: "Pending pushes", Section: "/outbox", refresh: true}
	var answer admin.Depths
	if _, err := p.api.Get(ctx, "outbox", nil, &answer); err != nil {
		return v, err
	}
	if answer.Apps == nil {
		return v, errOverview
	}
	body := list{Warning: describe.Unreadable(answer.Unreadable), None: "There are no pending pushes.", Table: newTable(v.Title, "App", "Pushes", "Devices", "Oldest", "Configured", "")}
	for _, d := range answer.Apps {
		row := cells(d.App, number(d.Entries), number(d.Devices), p.clock.When(d.Oldest), "yes", "")
		row[0].Code = true
		if d.Configured {
			row[0].Link = linkTo(d.App)
		} else {
			row[4] = cell{Text: "no", Tone: describe.Warning}
		}
		row[5].Forms = []form{
			{Action: "/outbox/list", Label: "List", About: d.App, Fields: []field{{"app", d.App}}},
			retrying(d.App, ""), dropping(d.App, "", ""),
		}
		body.Table.add(row...)
	}
	v.Body = body
	return v, nil
}

func (p *Page) entries(ctx context.Context, r *http.Request) (view, error) {
	app := r.PostForm.Get("app")
	v := view{template: "list", Title: "Pending pushes of " + app, Section: "/outbox"}
	query := url.Values{"app": {app}, "limit": {pageSize}}
	set(query, "cursor", r.PostForm.Get("cursor"))
	var page admin.Entries
	if _, err := p.api.Get(ctx, "outbox", query, &page); err != nil {
		return v, err
	}
	if page.Entries == nil {
		return v, errOverview
	}
	body := list{None: "There are no pending pushes for this app.", Gone: page.Configured != nil && !*page.Configured}
	body.Table = newTable(v.Title, "Pushkey hash", "Kind", "Bytes", "Accepted", "Expires", "Next attempt", "Failed attempts", "")
	for _, e := range page.Entries {
		due := p.clock.When(e.Due)
		if e.Running {
			due = "in progress"
		}
		row := cells(e.PushkeyHash, describe.Kind(e.Badge, e.Wake), number(e.Size), p.clock.When(e.Accepted), p.clock.When(e.Expires),
			due, fmt.Sprint(e.Attempts), "")
		row[7].Forms = []form{detailsOf(e.PushkeyHash), retrying(app, e.PushkeyHash), dropping(app, e.PushkeyHash, e.ID)}
		row[0].Code, row[0].Note = true, e.ID
		body.Table.add(row...)
	}
	if len(page.Entries) > 0 {
		body.Forms = append(body.Forms, retrying(app, ""), dropping(app, "", ""))
		body.Forms[0].Label = "Retry all now"
	}
	if page.Next != "" {
		next := form{Action: "/outbox/list", Label: "Next page", Fields: []field{{"app", app}, {"cursor", page.Next}}}
		body.Forms = slices.Insert(body.Forms, 0, next)
	}
	v.Body = body
	return v, nil
}

func (p *Page) retry(ctx context.Context, r *http.Request) (view, error) {
	app := r.PostForm.Get("app")
	request := map[string]string{"app": app}
	if hash := r.PostForm.Get("hash"); hash != "" {
		request["hash"] = hash
	}
	var answer admin.Retried
	if _, err := p.api.Post(ctx, "outbox/retry", request, adminclient.LongPatience, &answer); err != nil {
		return view{}, err
	}
	notice := describe.Report{Tone: describe.Good, Sentence: "The gateway retries the pending pushes of the app " + app + " now."}
	switch {
	case !answer.Configured:
		notice = describe.Report{Tone: describe.Warning, Sentence: "The app " + app + " is not configured. " +
			"Its pending pushes will be retried if you configure it again before they expire."}
	case answer.PushkeyHash != "":
		notice.Sentence = "The gateway retries the pending pushes of " + answer.PushkeyHash + " now."
	}
	return p.notices.done("/outbox", nil, notice)
}

// dropping returns the form that drops pending pushes: all of an app, those of a device, or one.
func dropping(app, hash, id string) form {
	f := form{Action: "/outbox/drop", Label: "Drop…", About: app, Fields: []field{{"app", app}}, Danger: true}
	if hash == "" {
		f.Label = "Drop all…"
		return f
	}
	f.About, f.Fields = hash, append(f.Fields, field{"hash", hash})
	if id != "" {
		f.Fields = append(f.Fields, field{"id", id})
	}
	return f
}

func (p *Page) drop(ctx context.Context, r *http.Request) (view, error) {
	request := admin.DropRequest{
		App: r.PostForm.Get("app"), Hash: r.PostForm.Get("hash"), ID: r.PostForm.Get("id"), Cursor: r.PostForm.Get("cursor"),
	}
	request.All = request.Hash == ""
	what := "all pending pushes of the app " + request.App
	switch {
	case request.ID != "":
		what = "the push " + request.ID
	case !request.All:
		what = "the pending pushes of " + request.Hash
	}
	fields := []field{{"app", request.App}, {"hash", request.Hash}, {"id", request.ID}}
	if r.PostForm.Get("confirmed") == "" {
		return confirm(confirmation{
			Question: "Drop " + what + "?",
			Effects: []string{
				"Dropped pushes are lost: the homeserver does not send them again.",
				"A push that is being sent is not dropped.",
			},
			Form: form{Action: "/outbox/drop", Label: "Drop", Fields: fields, Danger: true}, Back: "/outbox",
		})
	}
	var answer admin.Dropped
	if _, err := p.api.Post(ctx, "outbox/drop", request, adminclient.LongPatience, &answer); err != nil {
		return view{}, err
	}
	earlier, _ := strconv.Atoi(r.PostForm.Get("dropped")) // empty in the first round
	answer.Dropped += earlier
	if answer.Next != "" {
		fields = append(fields, field{"cursor", answer.Next}, field{"dropped", strconv.Itoa(answer.Dropped)})
		return confirm(confirmation{
			Question: fmt.Sprintf("%s dropped so far. Drop the others, too?", describe.Count(answer.Dropped, "push", "pushes")),
			Form:     form{Action: "/outbox/drop", Label: "Continue", Fields: fields, Danger: true},
			Back:     "/outbox",
		})
	}
	dropped := describe.Count(answer.Dropped, "push", "pushes") + " dropped."
	return p.notices.done("/outbox", nil, describe.Report{Tone: describe.Good, Sentence: dropped})
}

// confirmation asks before something that cannot be undone.
type confirmation struct {
	Question string
	Effects  []string
	Form     form
	// Back is where to go instead.
	Back string
}

// confirm returns the page with the question. Its form says that the answer is yes.
func confirm(c confirmation) (view, error) {
	c.Form.Fields = append(c.Form.Fields, field{"confirmed", "yes"})
	return view{template: "confirm", Title: "Please confirm", Section: c.Back, Body: c}, nil
}
