package e2e

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// wantHistory wants the history of an app to have what the metric of pushes counts, with at least these outcomes.
func (p *process) wantHistory(app string, outcomes ...string) {
	p.t.Helper()
	counted := make(map[string]float64)
	all, _ := p.scrape()
	for series, n := range all {
		if !strings.HasPrefix(series, "caddy_matrix_push_pushes_total{") || !strings.Contains(series, `app="`+app+`"`) {
			continue
		}
		_, outcome, _ := strings.Cut(series, `outcome="`)
		outcome, _, _ = strings.Cut(outcome, `"`)
		counted[outcome] += n
	}
	if got := p.history(app); !maps.Equal(got, counted) {
		p.t.Errorf("app %s: the history has %v, the metric %v", app, got, counted)
	}
	for _, outcome := range outcomes {
		if counted[outcome] == 0 {
			p.t.Errorf("app %s: no push is %s: %v", app, outcome, counted)
		}
	}
}

func TestV21_TheHistoryHasWhatTheMetricOfPushesCountsAcrossReloads(t *testing.T) {
	t.Parallel()
	s, config := newSceneOf(t, "rejected memory")
	service, gateway, hs := s.service, s.gateway, s.hs
	phone, down, missing, dead := service.Endpoint("phone"), service.Endpoint("down"), service.Endpoint("missing"), service.Subscribe()
	service.Answer(down, providertest.Answer{Status: http.StatusServiceUnavailable})
	service.Answer(missing, providertest.Answer{Status: http.StatusNotFound})
	service.Answer(dead.Path, answerGone)
	push := func(name string) {
		t.Helper()
		for i, d := range []device{upDevice(phone), upDevice(down), upDevice(missing), upDevice("nonsense"), webPushDevice(dead)} {
			hs.notify(alert("$"+name+string(rune('a'+i)), d))
		}
		gateway.wantHistory("org.example.up", "delivered", "retry", "suspected", "rejected")
		gateway.wantHistory("org.example.web", "rejected")
	}
	load := func(config string) {
		t.Helper()
		if err := gateway.load(config); err != nil {
			t.Fatal(err)
		}
	}
	push("first")
	load(strings.Replace(config, "wait 20s", "wait 19s", 1))
	push("reloaded")
	for _, bad := range []string{
		strings.Replace(config, "app org.example.up", "app org.example.renamed", 1) + "https://other.test:{port2} {\n bind 192.0.2.1\n" + certificate + "\nrespond 200\n}\n",
		strings.Replace(config, "wait 20s", "wait 26s", 1),
	} {
		if gateway.load(bad) == nil {
			t.Error("a bad configuration loads")
		}
	}
	push("failed")
	load(config)
	push("again")

	load(strings.Replace(config, "app org.example.up", "app org.example.renamed", 1))
	if got := gateway.history("org.example.up"); got != nil {
		t.Errorf("an app that is not configured has the history %v", got)
	}
	load(config)
	if got := gateway.history("org.example.up"); got == nil || len(got) > 0 {
		t.Errorf("an app that was not configured for a while has the history %v", got)
	}
	gateway.wantHistory("org.example.web", "rejected")
}

func TestV20_PushesByXMPPAreInTheHistory(t *testing.T) {
	t.Parallel()
	g, e := newGoogle(t), newEjabberd(t)
	p, _ := e.gateway(stateless+g.app(xmppApp, "", ""), xmppComponent)
	g.Unregister(fcmToken("bob"))
	e.want("result", "ej.test", fcmToken("alice"))
	e.want("cancel item-not-found", "ej.test", fcmToken("bob"))
	p.wantHistory(xmppApp, "delivered", "rejected")
}
