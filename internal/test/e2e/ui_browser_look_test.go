package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// uiPages are the pages in the order in which they are visited: a selector to click on, after texts were typed into fields, or a path.
var uiPages = []struct {
	name, path, click string
	fields            []string
	texts             []string
}{
	{name: "the overview", path: "/", texts: []string{
		"something needs attention", "the push service has refused the configuration", "XMPP components", "not connected", "chat.example.net", "7 apps.",
	}},
	{name: "an app in trouble", path: "/app?app=org.example.up", texts: []string{"ntfy.example.com:443", "tripped"}},
	{name: "an app of webpush", path: "/app?app=org.example.web", texts: []string{"Application server key", "updates.push.services.mozilla.com"}},
	{name: "pushkeys", path: "/pushkeys", texts: []string{"Find a device by its hash"}},
	{name: "a list of pushkeys", click: "[aria-labelledby=list] button", texts: []string{"Next page", "suspected"}},
	{name: "a pushkey", click: `form[action$="/pushkeys/explain"] button`, texts: []string{"The pushkey is recorded as dead."}},
	{name: "after an action", click: `form[action$="/pushkeys/forget"] button`, texts: []string{"The gateway forgot the rejection"}},
	{name: "the outbox", path: "/outbox", texts: []string{"org.example.gone"}},
	{name: "pending pushes", click: `form[action$="/outbox/list"] button`, texts: []string{"in progress", "badge"}},
	{name: "a question", click: "main .danger", texts: []string{"Dropped pushes are lost"}},
	{name: "a test push", path: "/test", texts: []string{"Send a test push"}},
	{
		name: "what would be sent", click: "button[value=preview]", fields: []string{"#app_id", "org.example.web", "#pushkey", "none"},
		texts: []string{"Nothing was sent.", "POST https://updates.push.services.mozilla.com/…"},
	},
	{
		name: "the verdict", click: "button[value=send]", fields: []string{"#app_id", "org.example.up", "#pushkey", "none"},
		texts: []string{"The notification was not delivered."},
	},
	{name: "a mistake", path: "/app?app=org.example.typo", texts: []string{"The gateway cannot be asked"}},
}

func TestV47_ThePagesAreAccessibleAndFitEachScreen(t *testing.T) {
	t.Parallel()
	b, process := browsertest.Chromium(t), newProcess(t)
	many := process.startUI(troubled(t, 200)).typed(b)
	many.shows("204 apps. Those that need attention come first.", "org.example.app200", "push.example.org")
	many.looksGood(t, "a list of many apps", 1280)
	s := process.startUI(troubled(t, 3))
	p := s.typed(b)
	for _, page := range uiPages {
		for i := 0; i < len(page.fields); i += 2 {
			p.Type(page.fields[i], page.fields[i+1])
		}
		if page.path != "" {
			p.Navigate(s.pages + page.path)
			p.shows(page.texts...)
		} else {
			p.follow(page.click, page.texts...)
		}
		for _, width := range []int{1280, 390, 320} {
			p.looksGood(t, page.name, width)
		}
		p.Viewport(1280, 800)
	}
}

// looksGood wants the page to fit a width, and axe-core to find nothing in it, in light and dark.
func (p uiPage) looksGood(t *testing.T, name string, width int) {
	t.Helper()
	p.Viewport(width, 800)
	var wide int
	if p.Evaluate(`document.documentElement.scrollWidth`, &wide); wide > width {
		t.Errorf("%s is %d pixels wide, the screen %d", name, wide, width)
	}
	for _, scheme := range []string{browsertest.Dark, browsertest.Light} {
		p.Scheme(scheme)
		if violations := p.Axe(); len(violations) > 0 {
			t.Errorf("axe-core finds in %s, %s, %d pixels wide:\n%s", name, scheme, width, strings.Join(violations, "\n"))
		}
	}
}

// controls are what the keyboard reaches, in order.
const controls = `[...document.querySelectorAll("a, button, input:not([type=hidden]), textarea, summary")]`

// focused wants the focus at a control, where a person sees it.
const focused = `(() => {
	const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
	return ` + controls + `.indexOf(e) === %d && box.width > 0 && box.x >= 0 && box.right <= innerWidth && box.y >= 0 &&
		box.bottom <= innerHeight && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
})()`

func TestV48_ThePageIsUsedWithTheKeyboardOnly(t *testing.T) {
	t.Parallel()
	inUIBrowsers(t, func(t *testing.T, b *browsertest.Browser) {
		s := newProcess(t).startUI(troubled(t, 3))
		p := s.typed(b)
		p.Viewport(1280, 800)
		var count int
		p.Evaluate(controls+".length", &count)
		for i := range count {
			p.Press(browsertest.Tab)
			// Browsers scroll to the element with the focus, which takes them a moment.
			p.Wait(fmt.Sprintf(focused, i))
		}

		p.Navigate(s.pages + "/pushkeys")
		p.Press(browsertest.Tab)
		p.Press(browsertest.Enter) // Skip to the content
		p.Wait(`document.activeElement.id === "main"`)
		p.Press(browsertest.Tab)
		p.Wait(`document.activeElement.id === "hash"`)
		p.Press("2", "7", "c", "4")
		p.leave(func() { p.Press(browsertest.Enter) }, "The pushkey is recorded as dead.")
	})
}
