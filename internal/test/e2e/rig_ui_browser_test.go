package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// uiBrowsers start the browsers that the page of `caddy matrix-push ui` is for.
var uiBrowsers = map[string]func(testing.TB, ...browsertest.Option) *browsertest.Browser{
	"Firefox": browsertest.Firefox, "Chromium": browsertest.Chromium,
}

// inUIBrowsers runs a test in each browser.
func inUIBrowsers(t *testing.T, test func(t *testing.T, b *browsertest.Browser), options ...browsertest.Option) {
	for name, start := range uiBrowsers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, options...))
		})
	}
}

// uiPage is the page in a tab of a real browser. What it shows, and its URLs, are kept like a log.
type uiPage struct {
	*browsertest.Page
	session *uiSession
}

// typed types the URL that the command printed into a new tab.
func (s *uiSession) typed(b *browsertest.Browser) uiPage {
	s.t.Helper()
	p := uiPage{b.Open(s.url + s.once), s}
	if p.Status() != http.StatusOK {
		s.t.Fatalf("the URL is answered with %d", p.Status())
	}
	s.entered(p.URL())
	return p
}

// follow clicks on a link or a button, and waits until the page that it leads to has these texts.
func (p uiPage) follow(selector string, texts ...string) {
	p.session.t.Helper()
	p.leave(func() { p.Click(selector) }, texts...)
}

// leave does something that leads to another page, and waits until that page has these texts.
func (p uiPage) leave(do func(), texts ...string) {
	p.session.t.Helper()
	p.Evaluate(`document.documentElement.dataset.left = ""`, nil)
	do()
	p.Wait(`document.readyState === "complete" && !("left" in document.documentElement.dataset)`)
	p.shows(texts...)
}

// shows waits until these texts are in the page.
func (p uiPage) shows(texts ...string) {
	p.session.t.Helper()
	p.Wait(string(mustMarshal(append([]string{}, texts...))) + `.every(text => document.body.innerText.replace(/\s+/g, " ").includes(text))`)
	p.keep()
}

// loaded loads the page again until it shows a text.
func (p uiPage) loaded(text string) {
	p.session.t.Helper()
	until(p.session.t, "the page shows "+text, func() bool {
		p.Navigate(p.URL())
		return strings.Contains(p.Text("main"), text)
	})
	p.keep()
}

func (p uiPage) keep() {
	p.session.t.Helper()
	var page string
	p.Evaluate(`document.documentElement.outerHTML`, &page)
	p.session.keep(p.URL(), page)
}

// refused wants a tab to show a refusal with this text, and nothing of the gateway.
func refused(t *testing.T, p *browsertest.Page, text string) {
	t.Helper()
	p.WaitText("body", text)
	if shown := p.Text("body"); p.Status() != http.StatusForbidden || strings.Contains(shown, "Overview") {
		t.Errorf("%s is answered with %d: %s", p.URL(), p.Status(), shown)
	}
}
