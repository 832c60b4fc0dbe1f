package ui

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// pageSize is how many entries of a list are shown at a time.
const pageSize = "50"

// list is a page of a list.
type list struct {
	App, State, Prefix string
	// None is what to say if nothing is listed.
	None  string
	Table table
	// Warning is what the list lacks.
	Warning string
	// Gone means that the app is not configured any more.
	Gone bool
	// Forms are for the whole list.
	Forms []form
}

func (p *Page) pushkeys(context.Context, *http.Request) (view, error) {
	return view{template: "pushkeys", Title: "Pushkeys", Section: "/pushkeys"}, nil
}

// errDevice is a form that does not identify a device.
var errDevice = errors.New("give a hash, or the app_id and the pushkey of the pusher")

// deviceOf returns what selects the device of a form in the admin API. An error has no value of the form.
func deviceOf(r *http.Request) (map[string]any, error) {
	device := make(map[string]any)
	for _, name := range []string{"hash", "app_id", "pushkey", "endpoint", "data"} {
		if value := strings.TrimSpace(r.PostForm.Get(name)); value != "" {
			device[name] = value
		}
	}
	if data, ok := device["data"].(string); ok {
		if !json.Valid([]byte(data)) {
			return nil, errData
		}
		device["data"] = json.RawMessage(data)
	}
	if device["hash"] == nil && (device["app_id"] == nil || device["pushkey"] == nil) {
		return nil, errDevice
	}
	return device, nil
}

var errData = errors.New("the data is not valid JSON: copy the pusher's data with its braces, such as {\"endpoint\":\"https://…\"}")

// wrong returns the page for a form that must be filled in differently.
func wrong(err error) (view, error) {
	body := problem{Sentence: sentence(err.Error()), Posted: true, Unchanged: true}
	return view{template: "problem", Title: "Please correct the form", status: http.StatusBadRequest, Body: body}, nil
}

// device is the content of the page about a device.
type device struct {
	describe.Report
	Forms []form
}

func (p *Page) explain(ctx context.Context, r *http.Request) (view, error) {
	v := view{template: "device", Title: "Pushkey", Section: "/pushkeys"}
	selected, err := deviceOf(r)
	if err != nil {
		return wrong(err)
	}
	var e gateway.Explanation
	if _, err := p.api.Post(ctx, "rejected/explain", selected, adminclient.LongPatience, &e); err != nil {
		return v, err
	}
	body := device{Report: p.clock.Explanation(e)}
	if e.Record != nil {
		body.Forms = append(body.Forms, forgetting(e.PushkeyHash))
	}
	if e.Waiting && e.App != "" {
		body.Forms = append(body.Forms, retrying(e.App, e.PushkeyHash), dropping(e.App, e.PushkeyHash, ""))
	}
	v.Body = body
	return v, nil
}

func (p *Page) forget(ctx context.Context, r *http.Request) (view, error) {
	selected, err := deviceOf(r)
	if err != nil {
		return wrong(err)
	}
	var answer admin.Forgotten
	if _, err := p.api.Post(ctx, "rejected/forget", selected, adminclient.LongPatience, &answer); err != nil {
		return view{}, err
	}
	notice := describe.Report{Tone: describe.Good, Sentence: "The gateway forgot the rejection of " + answer.PushkeyHash +
		". It sends the next notification for this pushkey to its push service."}
	if answer.Forgotten == 0 {
		notice = describe.Report{Sentence: "There was no record of " + cmp.Or(answer.PushkeyHash, "this pushkey") + "."}
	}
	return p.notices.done("/pushkeys", nil, notice)
}

func (p *Page) records(ctx context.Context, r *http.Request) (view, error) {
	v := view{template: "list", Title: "Dead and suspected pushkeys", Section: "/pushkeys"}
	app, prefix, state := strings.TrimSpace(r.PostForm.Get("app")), strings.TrimSpace(r.PostForm.Get("prefix")), r.PostForm.Get("state")
	if err := admin.CheckPrefix(prefix); err != nil {
		return wrong(fmt.Errorf("the beginning of a hash %w", err))
	}
	if known, err := p.configured(ctx, app); err != nil {
		return v, err
	} else if !known {
		return wrong(errApp)
	}
	query := url.Values{"limit": {pageSize}}
	set(query, "app", app)
	set(query, "state", state)
	set(query, "prefix", prefix)
	set(query, "cursor", r.PostForm.Get("cursor"))
	var page admin.Records
	if _, err := p.api.Get(ctx, "rejected", query, &page); err != nil {
		return v, err
	}
	if page.Records == nil {
		return v, errOverview
	}
	body := list{App: app, State: state, Prefix: prefix, None: "No such pushkey is recorded as dead or suspected."}
	body.Table = newTable(v.Title, "Pushkey hash", "App", "State", "Reason", "First seen", "Last seen", "")
	for _, record := range page.Records {
		row := cells(record.PushkeyHash, record.App, describe.State(record), record.Reason,
			p.clock.When(record.FirstSeen), p.clock.When(record.LastSeen), "")
		row[6].Forms = []form{detailsOf(record.PushkeyHash), forgetting(record.PushkeyHash)}
		row[0].Code, row[1].Code = true, true
		body.Table.add(row...)
	}
	if page.Next != "" {
		body.None = "There is none in this part of the list."
		body.Forms = append(body.Forms, form{
			Action: "/pushkeys/list", Label: "Next page",
			Fields: []field{{"app", app}, {"state", state}, {"prefix", prefix}, {"cursor", page.Next}},
		})
	}
	v.Body = body
	return v, nil
}

var errApp = errors.New("no app with this pattern is configured: write it exactly as in the configuration; " +
	"for an app that was removed from there, run caddy matrix-push rejected list with its pattern")

// configured reports whether an app is configured; the empty pattern means all apps. Caddy logs the URLs of the admin API, so what somebody
// types gets into none before this check.
func (p *Page) configured(ctx context.Context, app string) (bool, error) {
	if app == "" {
		return true, nil
	}
	var o admin.Overview
	if _, err := p.api.Get(ctx, "apps", nil, &o); err != nil {
		return false, err
	}
	return slices.ContainsFunc(o.Apps, func(a gateway.AppStatus) bool { return a.App == app }), nil
}

// set sets a parameter unless it is empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
