package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// Each of these tests breaks something at 3 a.m. The operator then follows docs/troubleshooting.md, "My phone does not ring any more", and
// must find the cause with its commands, and not be sent elsewhere.

func TestThePageFindsAProxyThatDoesNotReportTLS(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := newProcess(t)
	gateway.start(strings.Replace(head, "{global}", "servers {\ntrusted_proxies static 127.0.0.0/8\n}\nmatrix_push {\n"+service.global("outbox off\nfuse off")+"\n}", 1) + `
http://:{port2} {
	matrix_push {
		plaintext trusted_proxy
	}
}
https://gateway.test:{port} {
	` + certificate + `
	reverse_proxy 127.0.0.1:{port2} {
		header_up -X-Forwarded-Proto
	}
}
`)
	d := upDevice(service.Endpoint("phone"))
	wantStatus(t, gateway.homeserver().notify(alert("$1", d)), http.StatusForbidden)
	page := newPhonePage(t, gateway, d)
	page.run(pageStatus).want(t, 0, "plaintext", "X-Forwarded-Proto")
	page.run(pageEndpoint).want(t, 0, "X-Forwarded-Proto", "403")
	gateway.wantLogged("X-Forwarded-Proto")
}

func TestThePageFindsNothingWrongWithAPushServerBehindTheGateway(t *testing.T) {
	t.Parallel()
	o := startOwnPush(t, "", certificate)
	d := upDevice(o.service.Endpoint("phone"))
	wantBody(t, o.at(o.here).notify(alert("$1", d)), nothingRejected)
	page := newPhonePage(t, o.gateway, d)
	page.run(pageStatus).want(t, 0, "The gateway is ready.")
	page.run(pageExplain).want(t, 0, "not recorded as dead")
	page.run(pageSend).want(t, 0, "accepted the notification")
}

func TestThePageFindsANetworkThatIsDown(t *testing.T) {
	t.Parallel()
	apns := newApple(t)
	nobody := "https://127.0.0.1:" + strconv.Itoa(freePort(t))
	gateway := startGateway(t, durable+strings.Replace(apns.app("org.example.ios", "", "wait 1s"), apns.URL, nobody, 1), "matrix_push")
	d := iPhone("phone")
	wantBody(t, gateway.homeserver().notify(alert("$1", d)), nothingRejected)
	retried := func() { gateway.running("", "outbox", "retry", "--app", d.AppID).want(t, 0) }
	gateway.retriedUntil(retried, func(log string) bool {
		return strings.Contains(log, `"msg":"app failing: no pushes are being delivered"`)
	})
	page := newPhonePage(t, gateway, d)
	page.run(pageStatus).want(t, 0, "no push has been delivered", "network")
	page.run(pageSend).want(t, 3, "network")
}

func TestThePageFindsAWrongKeyAndSeesThatItIsFixed(t *testing.T) {
	t.Parallel()
	apns := newApple(t)
	apns.expected = "InvalidProviderToken"
	right := durable + apns.app("org.example.ios", "", "wait 1s")
	gateway := startGateway(t, strings.Replace(right, appleKeyID, "WRONG12345", 1), "matrix_push")
	d := iPhone("phone")
	gateway.homeserver().notify(alert("$1", d))
	page := newPhonePage(t, gateway, d)
	page.run(pageStatus).want(t, 0, "the push service has refused the configuration since", "invalid_provider_token")
	page.run(pageSend).want(t, 3, "invalid_provider_token")
	if err := gateway.load(gatewayConfig(right, "matrix_push")); err != nil {
		t.Fatal(err)
	}
	page.run(pageSend).want(t, 0, "accepted the notification")
	page.run(pageStatus).want(t, 0, "The gateway is ready.")
}

func TestThePageFindsAPushkeyThatCanNeverWork(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global(""), "matrix_push")
	d := upDevice("http://push.example.org/up/phone")
	wantBody(t, gateway.homeserver().notify(alert("$1", d)), `{"rejected":["http://push.example.org/up/phone"]}`)
	page := newPhonePage(t, gateway, d)
	page.run(pageExplain).want(t, 3, "The pushkey is unusable", "bad_endpoint")
}

func TestThePageFindsADeadToken(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, nil)
	d := iPhone("phone")
	s.apns.Unregister(d.path(), time.Now())
	s.hs.notify(alert("$1", d))
	page := newPhonePage(t, s.gateway, d)
	page.run(pageExplain).want(t, 3, "The pushkey is recorded as dead.", "unregistered")
}

func TestThePageFindsAFuseThatTripped(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, func(*apple) string { return "fuse 50% 10m\n" })
	phone := iPhone("phone")
	for i := range 20 {
		d := iPhone("phone" + strconv.Itoa(i))
		wantBody(t, s.hs.notify(alert("$0", d)), nothingRejected)
		s.apns.Answer(d.path(), apnstest.Answer{Reason: "DeviceTokenNotForTopic"})
		s.hs.notify(alert("$1", d))
	}
	page := newPhonePage(t, s.gateway, phone)
	page.run(pageStatus).want(t, 0, "the fuse tripped because too many pushkeys were rejected")
}

func TestThePageFindsThePusherAtSynapse(t *testing.T) {
	t.Parallel()
	s := newSynapseScene(t, func(p pushServices) string { return stateless + p.apps("", "") })
	phone := s.handsets("", "event_id_only")[0]
	s.register(phone)
	page := newPhonePage(t, s.gateway, phone.device)
	page.env = append(page.env, "HOMESERVER="+s.hs.url, "TOKEN="+s.bob.token, "ADMIN_TOKEN="+s.hs.registerAdmin(t).token)
	want := []string{`"app_id":"` + phone.AppID + `"`, `"pushkey":"` + phone.Pushkey + `"`, `"url":"` + s.gateway.reachedBySynapse() + `"`}
	page.run(pagePushers).want(t, 0, want...)
	for i, block := range page.blocks {
		page.blocks[i] = strings.Replace(block, "@alice:example.org", s.bob.id, 1)
	}
	page.run(pageAdmin).want(t, 0, want...)
}
