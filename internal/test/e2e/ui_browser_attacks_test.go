package e2e

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// hostilePage is what another website serves to somebody who has the page open.
const hostilePage = `<!doctype html>
<html lang="en"><title>A hostile page</title>
<h1>You have won</h1>
%s
<a id="link" href="%[2]s">Fetch your prize</a>
<button id="window" onclick="handle = window.open('%[2]s')">Open your prize</button>`

// attackedForms returns a form for each action of the page, as another website can send it.
func (g *uiGateway) attackedForms(at string) string {
	dead := rejected.KeyOf(g.dead.AppID, g.dead.Pushkey).String()
	var forms strings.Builder
	for i, f := range []struct{ path, fields string }{
		{"/pushkeys/forget", "hash=" + dead},
		{"/pushkeys/explain", "hash=" + dead},
		{"/outbox/retry", "app=org.example.up"},
		{"/outbox/drop", "app=org.example.up&confirmed=yes"},
		{"/fuse/reset", "app=org.example.up&confirmed=yes"},
		{"/test", "app_id=" + g.two.AppID + "&pushkey=" + g.two.Pushkey + "&do=send"},
	} {
		fmt.Fprintf(&forms, `<form method="post" action="%s">`, at+f.path)
		for field := range strings.SplitSeq(f.fields+"&token=", "&") {
			name, value, _ := strings.Cut(field, "=")
			fmt.Fprintf(&forms, `<input type="hidden" name="%s" value="%s">`, name, html.EscapeString(value))
		}
		fmt.Fprintf(&forms, `<button id="form%d">Win</button></form>`, i)
	}
	return forms.String()
}

// peek tries to read a page, to send its forms, and to embed it. It returns what that gave.
const peek = `(async () => {
	const got = [];
	const ask = async (how, url, options) => {
		try {
			const answer = await fetch(url, {credentials: "include", ...options});
			got.push(how + ": " + answer.status + " " + await answer.text());
		} catch {}
	};
	const at = document.getElementById("link").href;
	for (const mode of ["cors", "no-cors"]) await ask(mode, at, {mode});
	for (const form of document.forms) {
		for (const mode of ["cors", "no-cors"]) await ask(mode, form.action, {mode, method: "POST", body: new URLSearchParams(new FormData(form))});
	}
	for (const [tag, name] of [["script", "src"], ["img", "src"], ["link", "href"]]) {
		const e = document.createElement(tag);
		if (tag === "link") e.rel = "stylesheet";
		e[name] = at;
		await new Promise(done => { e.onload = () => { got.push(tag); done() }; e.onerror = done; document.body.append(e) });
	}
	for (const [tag, name] of [["iframe", "src"], ["object", "data"]]) {
		const e = document.createElement(tag);
		e[name] = at;
		await new Promise(done => { e.onload = e.onerror = done; document.body.append(e) });
		try { if (e.contentDocument.body.innerText) got.push(tag) } catch {}
	}
	return got;
})()`

func TestV46_NoOtherWebsiteReachesThePageInARealBrowser(t *testing.T) {
	t.Parallel()
	inUIBrowsers(t, func(t *testing.T, b *browsertest.Browser) {
		g := newUIGateway(t)
		open, unopened := g.gateway.startUI(g.address()), g.gateway.startUI(g.address())
		refused(t, b.Open(open.url), "no session")
		p := open.typed(b)
		arrived := g.arrivals(g.two)

		hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") != "" {
				t.Error("another port gets the cookie")
			}
			target := open.pages + "/"
			if r.URL.Path == "/once" {
				target = unopened.url + unopened.once
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, hostilePage, g.attackedForms(open.pages), target)
		}))
		t.Cleanup(hostile.Close)
		elsewhere := strings.Replace(hostile.URL, "127.0.0.1", "evil.test", 1)
		for _, from := range []string{hostile.URL + "/", elsewhere + "/", hostile.URL + "/once", elsewhere + "/once"} {
			g.attack(t, b, from)
		}
		for _, name := range []string{"rebound.test", "localhost"} {
			for _, s := range []*uiSession{open, unopened} {
				rebound := b.Open(strings.Replace(s.url, "127.0.0.1", name, 1) + s.once)
				refused(t, rebound, "served only at "+s.url)
				g.sameOrigin(t, rebound)
				rebound.Close()
			}
		}

		g.wantState(true, 2, 4)
		if n := g.arrivals(g.two); n != arrived {
			t.Errorf("%d pushes arrived, want %d", n, arrived)
		}
		p.Navigate(open.pages + "/")
		p.shows("The gateway is ready, but something needs attention.")
		unopened.typed(b).shows("org.example.up") // nobody has used it up
	}, browsertest.Hosts("evil.test", "rebound.test"))
}

// attack visits a hostile page, and does what it asks for.
func (g *uiGateway) attack(t *testing.T, b *browsertest.Browser, from string) {
	t.Helper()
	hostile := b.Open(from)
	var got []string
	if hostile.Evaluate(peek, &got); len(got) > 0 {
		t.Errorf("%s got %q", from, got)
	}
	hostile.Click("#window")
	hostile.Wait(`handle.closed || (() => { try { return !handle.document } catch { return true } })()`)
	var forms int
	hostile.Evaluate(`document.forms.length`, &forms)
	for i := range forms {
		hostile.Click(fmt.Sprint("#form", i))
		hostile.Wait(`!document.getElementById("window") && document.readyState === "complete"`)
		refused(t, hostile, "Another website sent this request.")
		hostile.Navigate(from)
	}
	hostile.Click("#link")
	hostile.Wait(`!document.getElementById("window") && document.readyState === "complete"`)
	refused(t, hostile, "Another website sent this request.")
	hostile.Close()
}

// sameOrigin sends the page's forms from a page that the browser takes for one of the same website, as after DNS rebinding.
func (g *uiGateway) sameOrigin(t *testing.T, p *browsertest.Page) {
	t.Helper()
	var statuses []int
	p.Evaluate(`(async () => {
		const page = new DOMParser().parseFromString(`+string(mustMarshal(g.attackedForms("")))+`, "text/html");
		const statuses = [(await fetch("/")).status];
		for (const form of page.forms) {
			const path = form.getAttribute("action");
			statuses.push((await fetch(path, {method: "POST", body: new URLSearchParams(new FormData(form))})).status);
		}
		return statuses;
	})()`, &statuses)
	for _, status := range statuses {
		if status != http.StatusForbidden {
			t.Errorf("%s is answered with %v", p.URL(), statuses)
		}
	}
}
