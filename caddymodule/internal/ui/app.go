package ui

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// app is the content of the page of an app.
type app struct {
	App       string
	State     string
	Tone      describe.Tone
	Attention []attention
	Chart     *chart
	NoChart   string
	Facts     []describe.Fact
	Forms     []form
	Suspicion suspicion
	Hosts     table
	Troubles  table
	Meanings  []describe.Fact
	// Key is the public key that clients subscribe with; empty if the app has none.
	Key string
	// TestLink is the page for a test push.
	TestLink string
}

func (p *Page) app(ctx context.Context, r *http.Request) (view, error) {
	name := r.URL.Query().Get("app")
	v := view{template: "app", Title: "App " + name, Section: "/app", refresh: true}
	var key string
	var group errgroup.Group
	group.Go(func() error {
		key = p.key(ctx, name)
		return nil
	})
	o, h, noHistory, err := p.state(ctx, url.Values{"app": {name}})
	_ = group.Wait()
	if err != nil {
		return v, err
	}
	i := slices.IndexFunc(o.Apps, func(a gateway.AppStatus) bool { return a.App == name })
	if i < 0 {
		return v, errOverview
	}
	a := o.Apps[i]
	body := app{App: name, Suspicion: p.suspicion(a), Forms: appForms(a), TestLink: "/test?" + url.Values{"app": {name}}.Encode()}
	body.State, _, body.Tone = stateOf(a, o.Degraded)
	for _, d := range o.Degraded {
		if d.App == name {
			shown := p.attention(d)
			shown.Link, shown.Form = "", nil // it is this page, which has the form below
			body.Attention = append(body.Attention, shown)
		}
	}
	if noHistory != nil {
		body.NoChart = noHistory.Error()
	} else {
		body.Chart = h.large(h.sumsOf(name), p.clock().Location())
	}
	body.Facts = p.appFacts(a, o)
	body.Hosts = p.heldHosts(a)
	body.Troubles, body.Meanings = p.troubles(a)
	body.Key = key
	v.Body = body
	return v, nil
}

func (p *Page) appFacts(a gateway.AppStatus, o admin.Overview) []describe.Fact {
	proven := "no: rejections that a wrong setting could cause are doubted until a push is delivered"
	if a.Proven {
		proven = "yes"
	}
	facts := []describe.Fact{
		{Name: "Provider", Value: a.Provider},
		{Name: "Breaker", Value: describe.Breaker(a)},
		{Name: "Fuse", Value: fmt.Sprintf("%s, %d of %d recent pushkeys dead", describe.Fuse(a.Fuse), a.Fuse.Dead, a.Fuse.Pushkeys)},
		{Name: "In flight", Value: fmt.Sprint(a.InFlight)},
		{Name: "Pending pushes", Value: p.pending(a, o)},
		{Name: "Last delivered", Value: cmp.Or(p.clock.Whenever(a.LastDelivered), "not since "+cmp.Or(p.clock.When(o.Since), "the start"))},
		{Name: "Failing since", Value: p.clock.Whenever(a.Failing)},
		{Name: "Settings proven", Value: proven},
		{Name: "Content", Value: a.Content},
		{Name: "Credential expires", Value: p.clock.Whenever(a.CredentialExpiry)},
	}
	if a.Fuse.Tripped != nil {
		facts[2].Value = describe.Fuse(a.Fuse)
	}
	return facts
}

func (p *Page) pending(a gateway.AppStatus, o admin.Overview) string {
	if a.Outbox == nil {
		if o.Outbox == "off" {
			return "no outbox"
		}
		return "unknown"
	}
	text := p.clock.Pending(a.Outbox)
	if a.Outbox.Full {
		text += ", full"
	}
	return text
}

// appForms returns what can be done about an app.
func appForms(a gateway.AppStatus) (forms []form) {
	if a.Fuse.Tripped != nil {
		forms = append(forms, resetting(a.App))
	}
	if a.Outbox != nil && a.Outbox.Entries > 0 {
		list := form{Action: "/outbox/list", Label: "List pending pushes", Fields: []field{{"app", a.App}}}
		again := retrying(a.App, "")
		again.Label = "Retry pending pushes now"
		forms = append(forms, list, again)
	}
	return append(forms, form{Action: "/pushkeys/list", Label: "List dead and suspected pushkeys", Fields: []field{{"app", a.App}}})
}

// heldHosts lists the push servers whose rejections the fuse holds back.
func (p *Page) heldHosts(a gateway.AppStatus) table {
	t := newTable("Push servers whose rejections the fuse holds back", "Host", "Since", "Dead", "Pushkeys")
	for _, h := range a.Fuse.Hosts {
		row := cells(h.Host, p.clock.When(h.Tripped), number(h.Dead), number(h.Pushkeys))
		row[0].Code = true
		t.add(row...)
	}
	return t
}

// troubles lists why pushes were not delivered, and explains each reason once.
func (p *Page) troubles(a gateway.AppStatus) (t table, meanings []describe.Fact) {
	t = newTable("Problems since the process began", "Problem", "Count", "Since", "Last", "Until", "Action needed")
	for _, trouble := range a.Troubles {
		row := cells(describe.WithWord(trouble.Reason, trouble.Word), number(trouble.Count),
			p.clock.When(trouble.Since), p.clock.When(trouble.Last), cmp.Or(p.clock.When(trouble.Until), "—"), "no")
		row[0].Note = trouble.Detail
		if trouble.Alarm {
			row[5] = cell{Text: "yes", Tone: describe.Bad}
		}
		t.add(row...)
	}
	meanings = describe.Meanings(a)
	for i := range meanings {
		meanings[i].Value = sentence(meanings[i].Value)
	}
	return t, meanings
}

// key returns the public key of an app; empty if it has none, or if the gateway does not say it.
func (p *Page) key(ctx context.Context, name string) string {
	var answer admin.Keys
	if _, err := p.api.Get(ctx, "keys", url.Values{"app_id": {name}}, &answer); err != nil {
		return ""
	}
	for _, k := range answer.Keys {
		if k.App == name {
			return k.ApplicationServerKey
		}
	}
	return ""
}

// exact reports whether a pattern is the app_id itself.
func exact(pattern string) bool { return !strings.ContainsAny(pattern, "*?") }
