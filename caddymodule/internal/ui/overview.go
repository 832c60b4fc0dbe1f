package ui

import (
	"cmp"
	"context"
	"errors"
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

// overview is the content of the first page.
type overview struct {
	Ready     bool
	Attention []attention
	Chart     *chart
	// NoChart is why there is no chart.
	NoChart string
	Filter  string
	// Total is how many apps there are, and Shown is how many of them the filter lets through.
	Total, Shown int
	Apps         table
	Suspicions   []suspicion
	Refused      table
	Components   table
	Alarms       table
	Hints        []describe.Fact
	Stores       []describe.Fact
}

// attention is something that needs attention.
type attention struct {
	Sentence, Explanation, Cure string
	Link, App                   string
	Form                        *form
}

// suspicion is an app with pushkeys that may be dead, or that have another key.
type suspicion struct {
	App, Link string
	Sentences []string
}

var errOverview = errors.New("the admin API answered with something other than the state of a gateway: " +
	"check the address, and use the command of the same version as the gateway")

// state asks for the state of the gateway and the history, at the same time. The second error is why there is no history.
func (p *Page) state(ctx context.Context, query url.Values) (o admin.Overview, h *history, noHistory, err error) {
	var group errgroup.Group
	group.Go(func() error {
		h, noHistory = p.history(ctx, query)
		return nil
	})
	_, err = p.api.Get(ctx, "apps", query, &o)
	if err == nil && o.Status != admin.Ready && o.Status != admin.Degraded {
		err = errOverview
	}
	_ = group.Wait()
	return o, h, noHistory, err
}

func (p *Page) overview(ctx context.Context, r *http.Request) (view, error) {
	v := view{template: "overview", Title: "Overview", Section: "/", refresh: true}
	o, h, noHistory, err := p.state(ctx, nil)
	if err != nil {
		return v, err
	}
	body := overview{Ready: o.Status == admin.Ready, Filter: r.URL.Query().Get("filter"), Total: len(o.Apps)}
	for _, d := range o.Degraded {
		body.Attention = append(body.Attention, p.attention(d))
	}
	if noHistory != nil {
		body.NoChart = noHistory.Error()
	} else {
		body.Chart = h.large(h.sums(), p.clock().Location())
	}
	p.listApps(&body, o, h)
	for _, a := range o.Apps {
		if s := p.suspicion(a); len(s.Sentences) > 0 {
			body.Suspicions = append(body.Suspicions, s)
		}
	}
	body.Refused = p.refused(o)
	p.components(&body, o)
	body.Stores = stores(o)
	v.Body = body
	return v, nil
}

// attention describes a degradation and its cure.
func (p *Page) attention(d gateway.Degradation) attention {
	a := attention{Sentence: sentence(p.clock.Degradation(d)), Cure: describe.Cure(d.Reason, d.App), App: d.App}
	if d.Reason != "component_down" { // its sentence has the explanation
		a.Explanation = sentence(d.Explanation)
	}
	if d.App != "" {
		a.Link = linkTo(d.App)
	}
	if d.Reason == "fuse_tripped" {
		f := resetting(d.App)
		a.Form = &f
	}
	return a
}

// listApps lists the apps that match the filter. Those that need attention come first.
func (p *Page) listApps(body *overview, o admin.Overview, h *history) {
	apps := slices.DeleteFunc(slices.Clone(o.Apps), func(a gateway.AppStatus) bool {
		return !strings.Contains(strings.ToLower(a.App+" "+a.Provider), strings.ToLower(strings.TrimSpace(body.Filter)))
	})
	slices.SortStableFunc(apps, func(a, b gateway.AppStatus) int { return cmp.Compare(urgency(b, o.Degraded), urgency(a, o.Degraded)) })
	body.Shown = len(apps)
	body.Apps = newTable("Apps", "App", "State", "Last hour", "Pending", "In flight", "Last delivered")
	for _, a := range apps {
		row := cells(a.App, "", "", cmp.Or(p.clock.Pending(a.Outbox), "unknown"), fmt.Sprint(a.InFlight),
			cmp.Or(p.clock.Whenever(a.LastDelivered), "not yet"))
		row[0].Link, row[0].Note, row[0].Code = linkTo(a.App), a.Provider, true
		row[1].Text, row[1].Note, row[1].Tone = stateOf(a, o.Degraded)
		if c := h.small(a.App); c != nil {
			row[2].Chart = c
		} else {
			row[2].Text = "unknown"
		}
		body.Apps.add(row...)
	}
}

// urgency returns how much an app needs attention: more for a higher number.
func urgency(a gateway.AppStatus, degraded []gateway.Degradation) int {
	switch {
	case slices.ContainsFunc(degraded, func(d gateway.Degradation) bool { return d.App == a.App }):
		return 4
	case slices.ContainsFunc(a.Troubles, func(t gateway.Trouble) bool { return t.Alarm }):
		return 3
	case a.Fuse.Tripped != nil, a.OpenHosts > 0, a.PausedHosts > 0:
		return 2
	case a.Suspected > 0, len(a.WrongKeys) > 0:
		return 1
	default:
		return 0
	}
}

// stateOf returns the state of an app, and why it is not simply ok.
func stateOf(a gateway.AppStatus, degraded []gateway.Degradation) (state, why string, tone describe.Tone) {
	state, tone = "ok", describe.Good
	var reasons []string
	for _, d := range degraded {
		if d.App == a.App {
			state, tone = "needs attention", describe.Warning
			reasons = append(reasons, strings.ReplaceAll(d.Reason, "_", " "))
		}
	}
	if len(reasons) == 0 {
		if breaker := describe.Breaker(a); breaker != "closed" {
			reasons = append(reasons, breaker)
		}
		if a.Fuse.Tripped != nil {
			reasons = append(reasons, "fuse "+describe.Fuse(a.Fuse))
		}
	}
	return state, strings.Join(reasons, ", "), tone
}

// suspicion describes the pushkeys of an app that may be dead, or that have another key.
func (p *Page) suspicion(a gateway.AppStatus) suspicion {
	s := suspicion{App: a.App, Link: linkTo(a.App)}
	if a.Suspected > 0 {
		s.Sentences = append(s.Sentences, describe.Suspected(a.Suspected))
	}
	for _, w := range a.WrongKeys {
		s.Sentences = append(s.Sentences, p.clock.WrongKeys(w))
	}
	return s
}

func (p *Page) refused(o admin.Overview) table {
	t := newTable("Refused notifications", "Reason", "Site", "Count", "Last", "Answer", "What to do")
	for _, r := range o.Refused {
		row := cells(r.Reason, r.Site, number(r.Count), p.clock.When(r.Last), r.Error, r.Hint)
		row[1].Code = true
		t.add(row...)
	}
	return t
}

func (p *Page) components(body *overview, o admin.Overview) {
	body.Components = newTable("XMPP components", "Component", "State", "Since", "Reason", "What to do")
	body.Alarms = newTable("Refused pushes of XMPP", "Component", "Reason", "Count", "Last", "Latest sender")
	said := make(map[string]bool)
	for _, c := range o.Components {
		row := cells(c.Component, "connected", p.clock.When(c.Since), c.Reason, c.Hint)
		row[0].Code, row[1].Tone = true, describe.Good
		if !c.Up {
			row[1] = cell{Text: "not connected", Tone: describe.Warning}
		}
		body.Components.add(row...)
		for _, a := range c.Alarms {
			body.Alarms.add(cells(c.Component, string(a.Reason), number(a.Count), p.clock.When(a.Last), a.Domain)...)
			if !said[string(a.Reason)] {
				said[string(a.Reason)] = true
				body.Hints = append(body.Hints, describe.Fact{Name: string(a.Reason), Value: sentence(a.Hint)})
			}
		}
	}
}

func stores(o admin.Overview) []describe.Fact {
	records := cmp.Or(o.Rejected, "unknown")
	if o.Records != nil {
		records += ", " + number(*o.Records) + " dead or suspected"
	}
	return []describe.Fact{{Name: "Store of rejected pushkeys", Value: records}, {Name: "Outbox", Value: cmp.Or(o.Outbox, "unknown")}}
}
