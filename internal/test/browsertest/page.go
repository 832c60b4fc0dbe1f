package browsertest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Page is an open tab.
type Page struct {
	b  *Browser
	id string
}

// Notification is a notification that a worker shows.
type Notification struct {
	Title string          `json:"title"`
	Body  string          `json:"body"`
	Tag   string          `json:"tag"`
	Data  json.RawMessage `json:"data"`
}

// Open opens a page at a URL.
func (b *Browser) Open(url string) *Page {
	b.t.Helper()
	ctx, cancel := b.soon()
	defer cancel()
	id, err := b.driver.open(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &Page{b, id}
	b.pages = append(b.pages, p)
	p.Navigate(url)
	return p
}

// Close closes the page. The browser goes on, so its workers still receive pushes.
func (p *Page) Close() {
	p.b.t.Helper()
	ctx, cancel := p.b.soon()
	defer cancel()
	if err := p.b.driver.closePage(ctx, p.id); err != nil {
		p.b.t.Fatal(err)
	}
	p.b.pages = slices.DeleteFunc(p.b.pages, func(other *Page) bool { return other == p })
}

// Navigate goes to a URL as if a person had typed it, and waits until it is loaded. An answer with any status is fine: see [Page.Status].
func (p *Page) Navigate(url string) {
	p.b.t.Helper()
	ctx, cancel := p.b.soon()
	defer cancel()
	if err := p.b.driver.navigate(ctx, p.id, url); err != nil {
		p.b.t.Fatal(err)
	}
	p.Wait(`document.readyState === "complete"`)
}

// Status returns the HTTP status with which the page was answered.
func (p *Page) Status() (status int) {
	p.b.t.Helper()
	p.Evaluate(`performance.getEntriesByType("navigation")[0].responseStatus`, &status)
	return status
}

// URL returns the page's address.
func (p *Page) URL() (url string) {
	p.b.t.Helper()
	p.Evaluate(`location.href`, &url)
	return url
}

// Text returns the text of the first element that a selector selects, as it is shown.
func (p *Page) Text(selector string) (text string) {
	p.b.t.Helper()
	p.Evaluate(`document.querySelector(`+quote(selector)+`).innerText`, &text)
	return text
}

// Evaluate evaluates a JavaScript expression, which may contain await, and decodes its result as JSON. The result may be nil. The page's
// Content-Security-Policy does not apply to the expression.
func (p *Page) Evaluate(expression string, result any) {
	p.b.t.Helper()
	if err := p.evaluate(expression, result); err != nil {
		p.b.t.Fatal(err)
	}
}

func (p *Page) evaluate(expression string, result any) error {
	ctx, cancel := p.b.soon()
	defer cancel()
	text, err := p.b.driver.evaluate(ctx, p.id, `(async () => JSON.stringify(await (`+expression+`)) ?? "null")()`)
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal([]byte(text), result)
}

// Wait waits until a JavaScript expression, which may contain await, is true. The page may be replaced by another one while it waits.
func (p *Page) Wait(condition string) {
	p.b.t.Helper()
	// The page looks once each time, because it may have been replaced by another page, and may not run scripts.
	expression := `Boolean(await (` + condition + `))`
	var last error
	for end := time.Now().Add(p.b.patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var holds bool
		if last = p.evaluate(expression, &holds); holds {
			return
		}
		if p.b.program.WaitExit(0) {
			break
		}
	}
	p.b.t.Fatalf("in %s, this does not become true: %s (%v)", p.b.name, condition, last)
}

// WaitText waits until the first element that a selector selects shows a text.
func (p *Page) WaitText(selector, text string) {
	p.b.t.Helper()
	p.Wait(`document.querySelector(` + quote(selector) + `).innerText.includes(` + quote(text) + `)`)
}

// Viewport sets the size of the page, in CSS pixels.
func (p *Page) Viewport(width, height int) {
	p.b.t.Helper()
	ctx, cancel := p.b.soon()
	defer cancel()
	if err := p.b.driver.viewport(ctx, p.id, width, height); err != nil {
		p.b.t.Fatal(err)
	}
	p.Wait(fmt.Sprintf(`innerWidth === %d && innerHeight === %d`, width, height))
}

// The colour schemes that a person may prefer.
const (
	Light = "light"
	Dark  = "dark"
)

// Scheme makes the page believe that the person prefers a colour scheme, [Light] or [Dark].
func (p *Page) Scheme(scheme string) {
	p.b.t.Helper()
	ctx, cancel := p.b.soon()
	defer cancel()
	if err := p.b.driver.scheme(ctx, p.id, scheme); err != nil {
		p.b.t.Fatal(err)
	}
	p.Wait(`matchMedia("(prefers-color-scheme: ` + scheme + `)").matches`)
}

// ForbidScripts makes the pages that this tab loads from now on run no scripts, as a person's settings may. Only Chromium can do this.
func (p *Page) ForbidScripts() {
	p.b.t.Helper()
	ctx, cancel := p.b.soon()
	defer cancel()
	if err := p.b.driver.forbidScripts(ctx, p.id); err != nil {
		p.b.t.Fatal(err)
	}
}

// Screenshot returns an image of the whole page, at least as large as its viewport, as PNG.
func (p *Page) Screenshot() []byte {
	p.b.t.Helper()
	image, err := p.screenshot()
	if err != nil {
		p.b.t.Fatal(err)
	}
	return image
}

func (p *Page) screenshot() ([]byte, error) {
	ctx, cancel := p.b.soon()
	defer cancel()
	encoded, err := p.b.driver.screenshot(ctx, p.id)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(encoded)
}

// WaitNotifications waits until the page's worker shows a number of notifications, and returns them like [Page.Notifications]. A browser
// answers a push before the notification is there.
func (p *Page) WaitNotifications(n int) []Notification {
	p.b.t.Helper()
	p.Wait(fmt.Sprintf(`navigator.serviceWorker.getRegistration().then(r => r.getNotifications()).then(shown => shown.length >= %d)`, n))
	return p.Notifications()
}

// Notifications returns the notifications that the page's worker shows, sorted by title and body.
func (p *Page) Notifications() (shown []Notification) {
	p.b.t.Helper()
	p.Evaluate(`(async () => {
		const registration = await navigator.serviceWorker.getRegistration();
		const shown = await registration.getNotifications();
		const text = n => n.title + "\n" + n.body;
		return shown.sort((a, b) => text(a) < text(b) ? -1 : 1).map(({title, body, tag, data}) => ({title, body, tag, data}));
	})()`, &shown)
	return shown
}
