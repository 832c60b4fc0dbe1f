package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// uiGateway is a gateway in trouble. The fuse of org.example.up has tripped, and two of its devices have two pending pushes each. Two
// pushkeys of org.example.other are dead.
type uiGateway struct {
	*unreliable
	gateway     *process
	one, two    device
	dead, other device
}

func newUIGateway(t *testing.T) *uiGateway {
	t.Helper()
	g := &uiGateway{unreliable: newUnreliable(t), gateway: newProcess(t)}
	g.gateway.start(gatewayConfig(durable+"fuse 50% 10m\n"+g.moreUp("org.example.up", "wait 200ms")+g.moreUp("org.example.other", ""), "matrix_push"))
	hs := g.gateway.homeserver()
	die := func(d device) device {
		wantBody(t, hs.notify(alert("$0", d)), nothingRejected)
		g.set(behaviour{status: http.StatusGone}, d)
		hs.notify(alert("$1", d))
		canaries.note(aPushkey, d.Pushkey)
		return d
	}
	g.dead, g.other = die(g.phoneOf("org.example.other", "dead")), die(g.phoneOf("org.example.other", "other"))
	for i := range 20 {
		die(g.phone("phone" + strconv.Itoa(i)))
	}
	until(t, "nothing is pending that the fuse holds back", func() bool {
		_ = g.gateway.request(http.MethodPost, "/matrix_push/outbox/drop", "application/json", `{"app":"org.example.up","all":true}`)
		_, _, pending := g.state()
		return pending == 0
	})
	g.one, g.two = g.phone("one"), g.phone("two")
	for _, d := range []device{g.one, g.two} {
		canaries.note(aPushkey, d.Pushkey)
		g.set(behaviour{status: http.StatusServiceUnavailable, retryAfter: "3600"}, d)
		for _, event := range []string{"$1", "$2"} {
			wantBody(t, hs.notify(alert(event+d.Pushkey, d)), nothingRejected)
		}
	}
	g.wantState(true, 2, 4)
	return g
}

func (g *uiGateway) address() string { return "unix/" + g.gateway.dir + "/admin.sock" }

// state returns whether the fuse is tripped, how many pushkeys are recorded, and how many pushes are pending.
func (g *uiGateway) state() (tripped bool, records, pending int) {
	g.t.Helper()
	var o struct {
		Records int `json:"rejected_records"`
		Apps    []struct {
			App    string
			Outbox struct{ Entries int }
		}
	}
	status, answer := g.gateway.adminDo(http.MethodGet, "/matrix_push/apps", "")
	if err := json.Unmarshal([]byte(answer), &o); err != nil || status != http.StatusOK {
		g.t.Fatalf("answered %d %s", status, answer)
	}
	for _, a := range o.Apps {
		pending += a.Outbox.Entries
	}
	return g.gateway.fuses()["org.example.up"].Tripped != nil, o.Records, pending
}

func (g *uiGateway) wantState(tripped bool, records, pending int) {
	g.t.Helper()
	if a, b, c := g.state(); a != tripped || b != records || c != pending {
		g.t.Errorf("the fuse is tripped: %t, %d pushkeys are recorded, and %d pushes are pending, want %t, %d and %d", a, b, c, tripped, records, pending)
	}
}

func TestV41_APersonManagesTheGatewayInARealBrowser(t *testing.T) {
	t.Parallel()
	inUIBrowsers(t, func(t *testing.T, b *browsertest.Browser) {
		g := newUIGateway(t)
		s := g.gateway.startUI(g.address())
		p := s.typed(b)
		p.shows("The gateway is ready, but something needs attention.", "org.example.up: the fuse tripped", "org.example.other")
		refused(t, b.Open(s.url+s.once), "works only once")
		g.manages(t, p)
	})
}

func TestV42_EverythingButTheRefreshingWorksWithoutJavaScript(t *testing.T) {
	t.Parallel()
	b, g := browsertest.Chromium(t), newUIGateway(t)
	tab := b.Open("about:blank")
	tab.ForbidScripts()
	s := g.gateway.startUI(g.address())
	tab.Navigate(s.url + s.once)
	p := uiPage{tab, s}
	p.shows("The gateway is ready, but something needs attention.")
	var scripted bool
	if p.Evaluate(`Boolean(document.querySelector(".pause"))`, &scripted); scripted {
		t.Error("the page's script has run")
	}
	g.manages(t, p)
}

// manages does everything that the page can do, as a person does, and wants its effect at the gateway.
func (g *uiGateway) manages(t *testing.T, p uiPage) {
	t.Helper()
	dead, one := rejected.KeyOf(g.dead.AppID, g.dead.Pushkey).String(), rejected.KeyOf(g.one.AppID, g.one.Pushkey).String()
	p.Type("#filter", "OTHER")
	p.leave(func() { p.Press(browsertest.Enter) }, "1 of 2 apps match.")
	p.follow(`.filter a`, "2 apps.")

	p.follow(`nav a[href$="/pushkeys"]`, "Find a device by its hash")
	p.Type("#app_id", g.dead.AppID)
	p.Type("#pushkey", g.dead.Pushkey)
	p.follow(`[aria-labelledby=by-value] button`, dead, "gone")
	p.follow(`nav a[href$="/pushkeys"]`)
	p.Type("#hash", dead[:10])
	p.leave(func() { p.Press(browsertest.Enter) }, dead, "gone")
	p.follow(`form[action$="/pushkeys/forget"] button`, "The gateway forgot the rejection of "+dead)
	g.wantState(true, 1, 4)
	p.follow(`[aria-labelledby=list] button`, "Dead and suspected pushkeys", "org.example.other")
	p.follow(`tbody form[action$="/pushkeys/explain"] button`, "gone")

	p.follow(`nav a[href$="/outbox"]`, "org.example.up")
	p.follow(`form[action$="/outbox/list"] button`, one, "alert")
	p.follow(`tr:has(input[value="`+one+`"]) form[action$="/outbox/drop"] button`, "Drop the push", "Dropped pushes are lost")
	g.wantState(true, 1, 4)
	p.follow(`.forms a`, "Pending pushes")
	g.wantState(true, 1, 4)
	p.follow(`form[action$="/outbox/list"] button`, one)
	p.follow(`tr:has(input[value="` + one + `"]) form[action$="/outbox/drop"] button`)
	p.follow(`form[action$="/outbox/drop"] button`, "1 push dropped.")
	g.wantState(true, 1, 3)
	g.set(behaviour{}, g.two)
	p.follow(`form[action$="/outbox/retry"] button`, "The gateway retries the pending pushes of the app org.example.up now.")
	g.await("the other device's pushes arrive", func() bool { return g.arrivals(g.two) == 2 })
	p.follow(`form[action$="/outbox/drop"] button`, "Drop all pending pushes of the app org.example.up?")
	p.follow(`form[action$="/outbox/drop"] button`, "dropped.")
	p.loaded("There are no pending pushes.")

	p.follow(`nav a[href$="/"]`)
	p.follow(`.attention a`, "tripped for 1 host", "needs attention")
	p.follow(`form[action$="/fuse/reset"] button`, "Reset the fuse of the app org.example.up?", "Fix the cause first.")
	g.wantState(true, 1, 0)
	p.follow(`form[action$="/fuse/reset"] button`, "The fuse is reset.")
	g.wantState(false, 1, 0)
	p.follow(`nav a[href$="/"]`, "The gateway is ready.")

	g.testsAPush(t, p)
	if at, err := url.Parse(p.URL()); err != nil || at.RawQuery != "" {
		t.Errorf("the URL is %s", p.URL())
	}
}

// testsAPush previews a test push, and sends one to a device that takes it, and one to a device that is dead.
func (g *uiGateway) testsAPush(t *testing.T, p uiPage) {
	t.Helper()
	fill := func(d device) {
		p.Type("#app_id", d.AppID)
		p.Type("#pushkey", d.Pushkey)
	}
	before := g.arrivals(g.two)
	p.follow(`nav a[href$="/test"]`, "Send a test push")
	fill(g.two)
	p.Type("#text", "Hello from the page")
	canaries.note(aText, "Hello from the page")
	p.follow(`button[value=preview]`, "Nothing was sent. The gateway would send this notification", "POST https://127.0.0.1")
	if n := g.arrivals(g.two); n != before {
		t.Errorf("%d pushes arrived, want %d", n, before)
	}
	fill(g.two)
	p.follow(`button[value=send]`, "The push service accepted the notification")
	if n := g.arrivals(g.two); n != before+1 {
		t.Errorf("%d pushes arrived, want %d", n, before+1)
	}
	fill(g.dead)
	p.follow(`button[value=send]`, "The notification was not delivered.", "rejected: gone")
	p.Click(`input[value=badge]`)
	p.follow(`form[action$="/pushkeys/explain"] button`, "Find another device")
	if strings.Contains(p.Text("main"), g.dead.Pushkey) {
		t.Error("the page shows the pushkey")
	}
}
