package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// trial is the content of the page for a test push, and of its result.
type trial struct {
	// AppID is the app_id in the form.
	AppID string
	// Report is the result; nil before the test.
	Report   *describe.Report
	Requests []request
	// Device shows the device; nil if its hash is not known.
	Device *form
}

// request is a request that the gateway would send.
type request struct {
	Line, Size, Body   string
	Headers            []string
	Omitted, Shortened string
}

func (p *Page) test(_ context.Context, r *http.Request) (view, error) {
	body := trial{}
	if app := r.URL.Query().Get("app"); exact(app) {
		body.AppID = app
	}
	return view{template: "test", Title: "Test push", Section: "/test", Body: body}, nil
}

func (p *Page) send(ctx context.Context, r *http.Request) (view, error) {
	v := view{template: "test", Title: "Test push", Section: "/test"}
	message, err := messageOf(r)
	if err != nil {
		return wrong(err)
	}
	body := trial{AppID: r.PostForm.Get("app_id")}
	if r.PostForm.Get("do") == "send" {
		var t gateway.Trial
		if _, err := p.api.Post(ctx, "send", message, adminclient.LongPatience, &t); err != nil {
			return v, err
		}
		report := p.clock.Trial(t)
		body.Report = &report
		body.link(t.PushkeyHash)
	} else {
		var preview gateway.Preview
		if _, err := p.api.Post(ctx, "preview", message, adminclient.LongPatience, &preview); err != nil {
			return v, err
		}
		report := describe.Preview(preview)
		body.Report = &report
		for _, r := range preview.Requests {
			body.Requests = append(body.Requests, requestOf(r))
		}
		body.link(preview.PushkeyHash)
	}
	v.Body = body
	return v, nil
}

// link links to the page about the device.
func (t *trial) link(hash string) {
	if hash != "" {
		f := detailsOf(hash)
		f.Label = "What the gateway knows about this pushkey"
		t.Device = &f
	}
}

// messageOf returns the request to the admin API. An error has no value of the form.
func messageOf(r *http.Request) (map[string]any, error) {
	value := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	t := admin.TestPush{
		AppID: value("app_id"), Pushkey: value("pushkey"), Data: json.RawMessage(value("data")), Site: value("site"),
		Badge: value("kind") == "badge", Low: value("low") != "",
	}
	if !t.Badge {
		t.Body = value("text")
	}
	switch {
	case t.AppID == "" || t.Pushkey == "":
		return nil, errDevice
	case len(t.Data) > 0 && !json.Valid(t.Data):
		return nil, errData
	}
	return t.Message(), nil
}

// requestOf describes a request. A body that is JSON is indented.
func requestOf(r gateway.PreviewedRequest) request {
	shown := request{
		Line: r.Method + " " + r.URL, Size: describe.Size(r), Body: r.Body,
		Omitted: strings.Join(r.Omitted, ", "), Shortened: strings.Join(r.Shortened, ", "),
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		shown.Headers = append(shown.Headers, name+": "+r.Headers[name])
	}
	var indented bytes.Buffer
	switch {
	case r.BodyBase64 != nil:
		shown.Body = "(not text)"
	case json.Indent(&indented, []byte(r.Body), "", "  ") == nil:
		shown.Body = indented.String()
	}
	return shown
}
