package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

func TestV09_ThePageIsAccessibleInEachState(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	b := w.firefox()
	p := b.Open(w.url)
	for _, step := range []struct {
		state string
		do    func()
	}{
		{"off, signed out", func() { waitState(p, pushState, "off") }},
		{"signing in with a token", func() { p.Click(`input[value="token"]`) }},
		{"a problem", func() {
			signInWithToken(p, w.hs.URL, "no token")
			wantSaid(p, accountMessage, "The homeserver has ended your session")
		}},
		{"on, signed in", func() {
			p.Click(`input[value="password"]`)
			turnOn(p)
			w.signIn(p)
			waitState(p, accountState, "registered")
		}},
		{"a push", func() {
			p.Click("#send")
			p.WaitText(pushMessage, "It works")
		}},
		{"denied", func() {
			b.Deny(strings.TrimSuffix(w.url, "/"))
			waitState(p, pushState, "unavailable")
		}},
	} {
		step.do()
		for _, width := range []int{1280, 390, 320} {
			for _, scheme := range []string{browsertest.Light, browsertest.Dark} {
				p.Viewport(width, 800)
				p.Scheme(scheme)
				var wide int
				if p.Evaluate(`document.documentElement.scrollWidth`, &wide); wide > width {
					t.Errorf("%s: the page is %d pixels wide in a window of %d", step.state, wide, width)
				}
				if width == 320 { // only the width differs from 390
					continue
				}
				for _, violation := range p.Axe() {
					t.Error(fmt.Sprintf("%s, %d pixels, %s: ", step.state, width, scheme) + violation)
				}
			}
		}
	}
}

// A person without a mouse gets as far as one with a mouse.
func TestV09_ThePageWorksWithTheKeyboard(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	p := w.firefox().Open(w.url)
	waitState(p, pushState, "off")
	p.Evaluate(`document.querySelector("#turn-on").focus()`, nil)
	p.Press(browsertest.Enter)
	waitState(p, pushState, "on")
	p.Wait(`document.activeElement.id === "notifications-heading"`) // the button has gone
	p.Press(browsertest.Tab)
	p.Wait(`document.activeElement.id === "send"`)
	p.Press(browsertest.Space)
	p.WaitText(pushMessage, "It works")
	waitShown(p, seen{"Alice in Test room", "Hello! This push came through your gateway."})
	p.Evaluate(`document.querySelector("#turn-off").focus()`, nil)
	for _, text := range []string{w.hs.URL, "", w.hs.user, w.hs.password, "Bob’s desk"} { // the second is the kind of sign-in
		p.Press(browsertest.Tab)
		for _, character := range text {
			p.Press(browsertest.Key(character))
		}
	}
	p.Press(browsertest.Enter)
	waitState(p, accountState, "registered")
}
