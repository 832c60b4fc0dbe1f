package ui

import (
	"context"
	"errors"
	"net/http"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
)

// handler returns what to show for a request. A form has been read by then.
type handler func(context.Context, *http.Request) (view, error)

// route is what an address shows, and what a form that is sent there does.
type route struct{ get, post handler }

// router has the routes by path.
type router struct {
	*Page
	routes map[string]route
}

func (p *Page) routes() router {
	return router{p, map[string]route{
		"/":                 {get: p.overview},
		"/app":              {get: p.app},
		"/pushkeys":         {get: p.pushkeys},
		"/pushkeys/explain": {post: p.explain},
		"/pushkeys/forget":  {post: p.forget},
		"/pushkeys/list":    {post: p.records},
		"/outbox":           {get: p.outbox},
		"/outbox/list":      {post: p.entries},
		"/outbox/retry":     {post: p.retry},
		"/outbox/drop":      {post: p.drop},
		"/fuse/reset":       {post: p.resetFuse},
		"/test":             {get: p.test, post: p.send},
	}}
}

// ServeHTTP serves a request that the guard has let through. Its path begins below the folder.
func (p router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if file, ok := files[r.URL.Path]; ok && r.Method != http.MethodPost {
		w.Header().Set("Content-Type", file.kind)
		_, _ = w.Write(file.content)
		return
	}
	serves, ok := p.routes[r.URL.Path]
	if !ok {
		http.Error(w, "There is no such page.", http.StatusNotFound)
		return
	}
	handle := serves.get
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		handle = serves.post
	default:
		handle = nil
	}
	if handle == nil {
		refuse(w, "This address serves something else, so nothing was changed. Begin at "+p.origin()+p.inside("/")+".")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.patience)
	defer cancel()
	v, err := handle(ctx, r)
	if err != nil {
		v = problemOf(err, r)
	}
	if v.location != "" {
		http.Redirect(w, r, p.inside(v.location), http.StatusSeeOther)
		return
	}
	if r.Method != http.MethodPost {
		v.refresh = v.refresh || err != nil
		v.Notice = p.notices.of(r)
	}
	p.show(w, v)
}

// problem is why a page cannot be shown.
type problem struct {
	Sentence string
	// Candidates are the devices that a request may have meant.
	Candidates []form
	// Unreachable means that the admin API gave no answer that this program understands, or refuses this program.
	Unreachable bool
	// Posted means that a form was sent, and Unchanged that the form certainly changed nothing.
	Posted, Unchanged bool
}

// problemOf returns the page for an error. What the admin API refuses, it explains itself.
func problemOf(err error, r *http.Request) view {
	v := view{template: "problem", Title: "The gateway cannot be asked", status: http.StatusBadGateway}
	body := problem{Sentence: sentence(err.Error()), Unreachable: true, Posted: r.Method == http.MethodPost}
	var refused *adminclient.Error
	if errors.As(err, &refused) && refused.Explained {
		v.status, body.Sentence = refused.Status, sentence(refused.Failure.Error)
		failed := refused.Status >= http.StatusInternalServerError
		body.Unchanged = body.Posted && !failed
		switch refused.Status {
		case http.StatusUnauthorized, http.StatusForbidden: // Caddy's own: a gateway has no reason for them
		case http.StatusServiceUnavailable:
			v.Title = cannotNow
		default:
			// Of the pages that only show something, that of an app is the only one that can ask for what does not exist.
			body.Unreachable = !failed && !body.Posted && r.URL.Path != "/app"
			switch {
			case failed:
				v.Title = cannotNow
			case !body.Unreachable:
				v.Title = "The gateway refused that"
			}
		}
		for _, hash := range refused.Failure.Candidates {
			body.Candidates = append(body.Candidates, detailsOf(hash))
		}
	}
	v.Body = body
	return v
}

const cannotNow = "The gateway cannot do that now"
