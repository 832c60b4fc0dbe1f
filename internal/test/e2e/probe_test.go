package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAProbeOfOneGatewayIsSeenByAnotherWithTheSameStorage(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	config := gatewayConfig(service.global(""), "matrix_push")
	one, other, stranger := newProcess(t), newProcess(t), newProcess(t)
	one.start(config)
	other.start(strings.ReplaceAll(config, "{dir}/storage", one.dir+"/storage"))
	stranger.start(config)

	probe := one.probe()
	wantBody(t, other.homeserver().notify(badge(1, probe)), nothingRejected)
	if s := one.seen(probe); s.Homeserver != nil || s.Doctor != nil {
		t.Errorf("the first gateway has seen %+v", s)
	}
	s := other.seen(probe).Homeserver
	if s == nil || s.From != "127.0.0.1" || s.TLS != "TLS 1.3" || !strings.HasPrefix(s.Site, "gateway.test on :") {
		t.Errorf("the other gateway has seen %+v", s)
	}
	probe.Data = map[string]any{probe.AppID: true}
	r := other.homeserver().notify(badge(1, probe)) // as doctor asks through a load balancer
	var answer struct {
		Seen sightings `json:"org.matrix-push.doctor"`
	}
	err := json.Unmarshal([]byte(r.Body), &answer)
	if err != nil || len(r.Rejected) > 0 || answer.Seen.Doctor == nil || answer.Seen.Homeserver == nil {
		t.Errorf("doctor is answered %s", r.Body)
	}
	wantBody(t, stranger.homeserver().notify(badge(1, probe)), rejecting(probe.Pushkey))
}

func TestAProbeIsSeenOverAReloadAndCountedNowhere(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	config := gatewayConfig(service.global("fuse 50% 10m\n"), "matrix_push")
	gateway := newProcess(t)
	gateway.start(config)
	probe := gateway.probe()
	wantBody(t, gateway.homeserver().notify(badge(1, probe)), nothingRejected)
	if err := gateway.load(strings.Replace(config, "grace_period 10s", "grace_period 9s", 1)); err != nil {
		t.Fatal(err)
	}
	wantBody(t, gateway.homeserver().insist(badge(1, probe)), nothingRejected)
	if gateway.seen(probe).Homeserver == nil {
		t.Error("after the reload, the sighting is forgotten")
	}
	for app, fuse := range gateway.fuses() {
		if fuse.Pushkeys > 0 {
			t.Errorf("the fuse of %q counts %d pushkeys", app, fuse.Pushkeys)
		}
	}
	if all, _ := gateway.scrape(); all.total("devices_total") != 0 {
		t.Error("the metrics count a device")
	}
	if log := gateway.log.String(); strings.Count(log, `"msg":"probe arrived"`) != 1 || strings.Contains(log, probe.Pushkey) {
		t.Error("the log does not have one line about the probe, or shows its pushkey")
	}
}
