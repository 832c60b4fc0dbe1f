package e2e

import (
	"crypto/rand"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/autopushtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// subscribed opens the page, subscribes, and signs in.
func (w *webClient) subscribed(b *browsertest.Browser) *browsertest.Page {
	w.t.Helper()
	p := b.Open(w.url)
	turnOn(p)
	w.signIn(p)
	waitState(p, accountState, "registered")
	return p
}

// waitOnlyPusher waits until the homeserver has one pusher, for the newest of a number of subscriptions, and the gateway delivers to it.
func (w *webClient) waitOnlyPusher(subscriptions int) {
	w.t.Helper()
	until(w.t, "one pusher, for the newest subscription", func() bool {
		pushers, all := w.hs.registered(), w.service.Subscriptions()
		return len(all) == subscriptions && len(pushers) == 1 &&
			pushers[0]["data"].(map[string]any)["endpoint"] == all[len(all)-1].Endpoint
	})
	w.receives(says("$"+rand.Text(), "!room:hs.test", "It goes on"))
}

func TestV06_TheWorkerRenewsASubscriptionThatThePushServiceHasForgotten(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	b := w.firefox()
	w.subscribed(b).Close()
	w.service.Forget()
	w.waitOnlyPusher(2)
	p := b.Open(w.url)
	waitState(p, accountState, "registered")
	waitShown(p, seen{"Alice Liddell in Mad Tea Party", "It goes on"})
}

// While nobody is there to ask, a worker that can't renew the subscription says so with a notification.
func TestV06_AWorkerThatCannotRenewTheSubscriptionSaysSo(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	b := w.firefox()
	w.subscribed(b).Close()
	w.hs.expire(true)
	w.service.Forget()
	b.ClickNotification("Push notifications have stopped")
	p := b.Opened(w.url)
	p.WaitText(accountMessage, "The homeserver has ended your session. Sign in again.")
	waitShown(p)
	w.signIn(p)
	waitState(p, accountState, "registered")
	w.waitOnlyPusher(2)
}

func TestV06_ANewKeyAtTheGatewayMakesThePageSubscribeAgain(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	p := w.subscribed(w.firefox())
	key := filepath.Join(w.gateway.dir, "another.pem")
	w.gateway.ask("", "vapid-keygen", key).want(t, 0)
	if err := w.gateway.load(w.configured("vapid_key_file " + key)); err != nil {
		t.Fatal(err)
	}
	p.Navigate(w.url)
	p.WaitText(pushMessage, "The gateway has a new key, so this browser has subscribed again.")
	w.waitOnlyPusher(2)
	first := w.service.Wait(w.service.Subscriptions()[0].Endpoint, gaveUp)
	if first.Unregistered != http.StatusOK || first.Key == w.subscription().Key {
		t.Errorf("the browser gave the earlier subscription up because of %d", first.Unregistered)
	}
}

func TestV06_ARejectedSubscriptionIsReplacedWhenThePageIsOpened(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	p := w.subscribed(w.firefox())
	w.service.Answer(w.subscription().Endpoint, providertest.Answer{Status: http.StatusGone})
	w.hs.notify(w.gateway.homeserver(), says("$1", "!room:hs.test", "Nobody hears this"))
	if left := w.hs.registered(); len(left) != 0 {
		t.Fatalf("%d pushers are left", len(left))
	}
	p.Navigate(w.url)
	p.WaitText(pushMessage, "The subscription has been renewed.")
	w.waitOnlyPusher(2)
}

// The browser tells the push service, and the gateway rejects the pushkey at the next event.
func TestV06_ABrowserThatMayNoLongerNotifyEndsTheSubscription(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	b := w.firefox()
	p := w.subscribed(b)
	b.Deny(w.url)
	const permission = 202
	w.service.Wait(w.subscription().Endpoint, func(sub autopushtest.Subscription) bool { return sub.Unregistered == permission })
	p.WaitText(pushMessage, "The browser blocks notifications from this page. Allow them")
	waitState(p, pushState, "unavailable")
	w.hs.notify(w.gateway.homeserver(), says("$1", "!room:hs.test", "Nobody hears this"))
	if left := w.hs.registered(); len(left) != 0 {
		t.Errorf("%d pushers are left", len(left))
	}
}

func TestV06_AnEndedSessionNeedsOnlyAnotherSignIn(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	p := w.subscribed(w.firefox())
	_, before := w.hs.session()
	for _, soft := range []bool{true, false} {
		w.hs.expire(soft)
		p.Navigate(w.url)
		p.WaitText(accountMessage, "The homeserver has ended your session. Sign in again. This browser stays subscribed.")
		waitState(p, pushState, "on")
		w.signIn(p)
		waitState(p, accountState, "registered")
		w.waitOnlyPusher(1)
		p.WaitText("#latest", "It goes on") // this moves the buttons
		if _, deviceID := w.hs.session(); deviceID != before {
			t.Error("the page has made another session")
		}
	}
	p.Click("#sign-out")
	waitState(p, accountState, "signed-out")
	p.WaitText(accountMessage, "You have signed out, and the session has ended.")
	if token, _ := w.hs.session(); token != "" || len(w.hs.registered()) > 0 {
		t.Error("the session or the pusher is still there")
	}
	if given := w.service.Wait(w.subscription().Endpoint, gaveUp); given.Unregistered != http.StatusOK {
		t.Errorf("the browser gave the subscription up because of %d", given.Unregistered)
	}
}

// gaveUp reports whether the browser has told the push service that a subscription has ended.
func gaveUp(sub autopushtest.Subscription) bool { return sub.Unregistered != 0 }

// The session of a token belongs to another client. Homeservers sign that client out if a login continues its session.
func TestV06_APasswordDoesNotContinueTheSessionOfAToken(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	p := w.firefox().Open(w.url)
	turnOn(p)
	signInWithToken(p, w.hs.URL, w.hs.newToken())
	waitState(p, accountState, "registered")
	_, other := w.hs.session()
	w.hs.expire(true)
	p.Navigate(w.url)
	p.WaitText(accountMessage, "The homeserver has ended your session. Sign in again.")
	w.signIn(p)
	waitState(p, accountState, "registered")
	if _, own := w.hs.session(); own == other {
		t.Error("the page has continued the session of another client")
	}
}

// The browser reports news, such as that the user has allowed notifications, while an action runs.
func TestV06_ACheckWaitsForTheActionAndKeepsItsMessage(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	p := w.firefox().Open(w.url)
	waitState(p, pushState, "off")
	const news = `navigator.serviceWorker.dispatchEvent(new MessageEvent("message", {data: {type: "renewed"}}))`
	p.Evaluate(`new Promise(held => navigator.locks.request("registration", () => {
		held();
		return new Promise(release => globalThis.release = release);
	}))`, nil)
	p.Click("#turn-on")
	p.Wait(`navigator.locks.query().then(({pending}) => pending.length === 1)`)
	p.Evaluate(news, nil)
	wantText(p, "The browser is subscribing …")
	p.Evaluate(`release()`, nil)
	waitState(p, pushState, "on")
	wantText(p, "To try it, press “Send me one”.")
	p.Evaluate(news, nil)
	waitState(p, pushState, "on")
	wantText(p, "To try it, press “Send me one”.")
	w.gateway.terminate()
	p.Evaluate(news, nil)
	wantSaid(p, pushMessage, "does not answer")
	w.gateway.start(w.configured(""))
	p.Evaluate(news, nil)
	wantText(p, "")
}

// wantText wants exactly this message about notifications.
func wantText(p *browsertest.Page, text string) {
	p.Wait(`document.querySelector("` + pushMessage + `").innerText === "` + text + `"`)
}

// A gateway may still push for a user whose session has ended, while another user is signed in.
func TestV06_AnotherUserDoesNotSeeThePushesOfTheEarlierOne(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	p := w.subscribed(w.firefox())
	earlier := w.hs.registered()
	w.hs.expire(true)
	p.Navigate(w.url)
	p.WaitText(accountMessage, "The homeserver has ended your session. Sign in again.")
	w.hs.change(func() { w.hs.user = "carol" })
	w.signIn(p)
	waitState(p, accountState, "registered")
	w.waitOnlyPusher(1)
	waitShown(p, seen{"Alice Liddell in Mad Tea Party", "It goes on"})
	w.hs.change(func() { w.hs.pushers = earlier })
	w.receives(says("$secret", "!room:hs.test", "For Bob’s eyes only"))
	waitShown(p, seen{"Alice Liddell in Mad Tea Party", "It goes on"}, seen{"Nothing new", ""})
}
