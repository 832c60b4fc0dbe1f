package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// From the newcomer's report, P3: the gateway delivered nothing, and everything said that it was fine. Each app has a single phone.
func TestAGatewayThatDeliversNothingSaysSo(t *testing.T) {
	t.Parallel()
	a, g, u := newApple(t), newGoogle(t), newPushServer(t)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(down.Close)
	nobody := "127.0.0.1:" + strconv.Itoa(freePort(t))
	gateway := newProcess(t)
	own := "https://localhost:" + strconv.Itoa(gateway.port)
	gateway.start(subscribed(strings.Replace(gatewayConfig(durable+
		a.app("org.example.ios", "", "wait 200ms")+
		g.app("org.example.android", "", "wait 200ms")+
		"app org.example.relay {\nunifiedpush {\nendpoint https://"+nobody+"\nproxy none\n}\nwait 200ms\n}\n"+
		"app org.example.proxied {\nunifiedpush {\nproxy http://"+nobody+"\n}\nwait 200ms\n}\n"+
		"app org.example.own {\nunifiedpush\nwait 200ms\n}\n"+
		u.moreUp("org.example.up", "wait 200ms"), "matrix_push"), "{port}", "{port2}", 1)) +
		"https://localhost:{port} {\n" + certificate + "\nmatrix_push\nreverse_proxy " + strings.TrimPrefix(down.URL, "http://") + "\n}\n")
	gateway.port, gateway.port2 = gateway.port2, gateway.port
	hs := gateway.homeserver()
	here := &homeserver{t: t, client: gateway.client(false), url: own + "/_matrix/push/v1/notify"}
	to := func(appID, pushkey string) device { return device{AppID: appID, Pushkey: pushkey, PushkeyTS: at(1)} }

	// A stranger's host fails all the time, too, but this app has delivered a push.
	wantBody(t, hs.notify(alert("$before", upDevice(u.Endpoint("phone")))), nothingRejected)
	wantBody(t, hs.notify(alert("$1", upDevice("https://"+nobody+"/up/stranger"))), nothingRejected)

	a.Answer("", apnstest.Answer{Reason: "ServiceUnavailable", Times: -1})
	g.Answer("", providertest.Answer{Status: http.StatusServiceUnavailable, Times: -1})
	failing := []string{"org.example.ios", "org.example.android", "org.example.relay", "org.example.proxied", "org.example.own"}
	for _, request := range []struct {
		from  *homeserver
		phone device
	}{
		{hs, iPhone("phone")},
		{hs, android("phone")},
		{hs, to("org.example.relay", "https://push.example.net/up/phone")},
		{hs, to("org.example.proxied", "https://push.example.net/up/phone")},
		{here, to("org.example.own", own+"/up/phone")},
	} {
		wantBody(t, request.from.notify(alert("$1", request.phone)), nothingRejected)
	}
	retried := func() {
		for _, app := range append(failing, "org.example.up") {
			if status, answer := gateway.adminDo(http.MethodPost, "/matrix_push/outbox/retry", `{"app":"`+app+`"}`); status != http.StatusOK {
				t.Fatalf("answered %d %s", status, answer)
			}
		}
	}
	gateway.retriedUntil(retried, func(log string) bool {
		return strings.Count(log, `"msg":"app failing: no pushes are being delivered"`) == len(failing)
	})

	r := gateway.running("", "status", "--strict")
	r.want(t, 3, "The gateway is ready, but something needs attention:")
	_, ready := gateway.adminDo(http.MethodGet, "/matrix_push/health/ready", "")
	metrics, _ := gateway.scrape()
	for _, app := range failing {
		if n := strings.Count(r.out, "- app "+app+": no push has been delivered"); n != 1 {
			t.Errorf("status has %d lines about %s:\n%s", n, app, r.out)
		}
		if !strings.Contains(ready, `{"app":"`+app+`","reason":"failing","detail":"`) {
			t.Errorf("readiness does not have %s: %s", app, ready)
		}
		if n := metrics.total("app_failing", `app="`+app+`"`); n != 1 {
			t.Errorf("the metric of %s is %v", app, n)
		}
		if n := strings.Count(gateway.log.String(), `"event":"app_failing app=`+app+" "); n != 1 {
			t.Errorf("%d events about %s", n, app)
		}
	}
	for _, text := range []string{
		"network (the proxy does not work: dial tcp " + nobody, "no push has been delivered to your push server localhost:",
	} {
		if !strings.Contains(r.out, text) {
			t.Errorf("status does not have %q:\n%s", text, r.out)
		}
	}
	if metrics.total("app_failing", `app="org.example.up"`) != 0 || strings.Contains(ready, "org.example.up") {
		t.Errorf("a stranger's host calls the operator: %s", ready)
	}
	t.Log("\n" + r.out)

	a.Answer("")
	g.Answer("")
	gateway.running(android("phone").Pushkey, "send", "--app-id", "org.example.android", "--pushkey", "-").want(t, 0)
	gateway.retriedUntil(retried, func(log string) bool {
		return strings.Contains(log, `"event":"app_recovered app=org.example.ios `) && strings.Contains(log, `"event":"app_recovered app=org.example.android `)
	})
	gateway.wantLogged(`"msg":"app works again"`)
	r = gateway.running("", "status")
	for _, app := range failing {
		works := app == "org.example.ios" || app == "org.example.android"
		if strings.Contains(r.out, "- app "+app+": no push has been delivered") == works {
			t.Errorf("of %s, status still says:\n%s", app, r.out)
		}
	}
}

// retriedUntil has pending pushes retried every few seconds, until a condition about the log holds.
func (p *process) retriedUntil(retry func(), holds func(log string) bool) {
	p.t.Helper()
	for range 30 {
		retry()
		ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
		found := p.log.waitFor(ctx, func() bool { return holds(p.log.text.String()) })
		cancel()
		if found {
			return
		}
	}
	p.t.Fatalf("it does not come to that:\n%s", tail(p.log.String()))
}

// From the newcomer's report, P4, and receivers.md 3: status went on to accuse what was fixed.
func TestStatusStopsAccusingWhatWasFixed(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]bool{"by a notification": false, "by a test push": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, g := newApple(t), newGoogle(t)
			a.expected = "the provider token is wrong"
			_, wrong := apnstest.NewKey(t)
			right := a.keyFile
			a.keyFile = writeSecret(t, "wrong.p8", wrong)
			config := func() string {
				return gatewayConfig(stateless+a.app("org.example.ios", "", "")+g.app("org.example.android", "", ""), "matrix_push")
			}
			gateway := newProcess(t)
			gateway.start(config())
			hs := gateway.homeserver()
			g.Answer("", providertest.Answer{Status: http.StatusForbidden, Body: `{"error":{"code":403,"status":"PERMISSION_DENIED"}}`, Times: -1})
			wantMisconfigured(t, hs.notify(alert("$1", iPhone("phone"))))
			wantMisconfigured(t, hs.notify(alert("$1", android("phone"))))
			r := gateway.running("", "status", "--strict")
			r.want(t, 3, "- app org.example.ios: the push service has refused the configuration since ", "- app org.example.android: the push service has refused")
			if n := strings.Count(r.out, "yes"); n != 2 {
				t.Errorf("%d problems need action:\n%s", n, r.out)
			}

			a.keyFile = right
			g.Answer("")
			if err := gateway.load(config()); err != nil {
				t.Fatal(err)
			}
			gateway.running("", "status", "--strict").want(t, 3) // nothing shows that it is right
			for i, d := range []device{iPhone("another"), android("another")} {
				if send {
					gateway.running(d.Pushkey, "send", "--app-id", d.AppID, "--pushkey", "-").want(t, 0)
				} else {
					wantBody(t, hs.insist(alert(fmt.Sprint("$fixed", i), d)), nothingRejected)
				}
			}
			r = gateway.running("", "status", "--strict")
			r.want(t, 0, "The gateway is ready.", "UNTIL", "ago)")
			if strings.Contains(r.out, "yes") || strings.Contains(r.out, "degraded") {
				t.Errorf("status goes on to accuse:\n%s", r.out)
			}
			_, answer := gateway.adminDo(http.MethodGet, "/matrix_push/apps", "")
			if strings.Count(answer, `"until":"`) != 2 || strings.Contains(answer, `"alarm":true`) {
				t.Errorf("the apps are %s", answer)
			}
			t.Log("\n" + r.out)
		})
	}
}
