package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestMetricsAreRightAcrossReloadsUnderLoadAndWithSeveralSites(t *testing.T) {
	service := newPushServer(t)
	gateway := newProcess(t)
	config := gatewayConfig(service.global("rejected memory\noutbox file"), "matrix_push") +
		"https://other.test:{port2} {\n" + certificate + "\nmatrix_push\nmetrics /metrics\n}\n"
	gateway.start(config)
	connection := gateway.client(true)
	clients := newTraffic(t, service, gateway.url(), func() *http.Client { return connection }, 16)

	clients.while(func() {
		var before samples
		for i := range 10 {
			if err := gateway.load(strings.Replace(config, "wait 20s", fmt.Sprintf("wait %ds", 10+i), 1)); err != nil {
				t.Errorf("reload %d: %v", i, err)
			}
			for range 3 {
				_, counters := gateway.scrape()
				for series, value := range before {
					if now, there := counters[series]; counters != nil && (!there || now < value) {
						t.Errorf("reload %d: %s went from %v to %v", i, series, value, now)
					}
				}
				if counters != nil {
					before = counters
				}
			}
		}
	})
	failed, answered := clients.failures()
	for _, err := range failed {
		t.Errorf("a request got no answer: %v", err)
	}
	// The other site counts in the same series.
	other := &homeserver{t: t, client: gateway.client(false), url: "https://other.test:" + strconv.Itoa(gateway.port2) + "/_matrix/push/v1/notify"}
	endpoint := service.Endpoint("other")
	other.repeat(alert("$other", upDevice(endpoint)))

	all, _ := gateway.scrape()
	taken := float64(len(service.Messages(endpoint)))
	for _, c := range clients.clients {
		taken += float64(len(service.Messages(c.endpoint)))
	}
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"answered requests", all.total("notifications_total", `code="200"`), float64(answered + 1)},
		{"timed requests", all.total("notification_duration_seconds"), all.total("notifications_total")},
		{"devices", all.total("devices_total", `result="delivered"`), taken},
		{"pushes", all.total("pushes_total", `outcome="delivered"`), taken},
		{"timed pushes", all.total("push_duration_seconds"), taken},
		{"ages of deliveries", all.total("delivery_age_seconds"), taken},
		{"requests in flight", all.total("notifications_in_flight"), 0},
		{"pushes in flight", all.total("pushes_in_flight"), 0},
		{"entries in the outbox", all.total("outbox_entries"), 0},
		{"tripped fuses", all.total("fuse_tripped"), 0},
		{"open breakers", all.total("breakers_open"), 0},
		{"records", all.total("rejected_records"), 0},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if log := gateway.log.String(); strings.Contains(log, "duplicate metrics") || strings.Contains(log, "collected before") {
		t.Errorf("a metric was registered twice:\n%s", log)
	}
	r, err := other.do(http.MethodGet, "https://other.test:"+strconv.Itoa(gateway.port2)+"/metrics", "")
	if err != nil || !strings.Contains(r.Body, "caddy_matrix_push_pushes_total{") {
		t.Errorf("the metrics directive: %v\n%s", err, r.Body)
	}
}

func TestMetricsAndTheirGaugesOutliveAFailedReload(t *testing.T) {
	t.Parallel()
	s, config := newSceneOf(t, "rejected memory")
	service, gateway, hs := s.service, s.gateway, s.hs
	dead := service.Subscribe()
	service.Answer(dead.Path, answerGone)
	if r := hs.notify(alert("$1", webPushDevice(dead))); len(r.Rejected) != 1 {
		t.Fatalf("answered %d %s", r.Status, r.Body)
	}
	before, _ := gateway.scrape()
	if n := before.total("rejected_records"); n != 1 {
		t.Errorf("%v records", n)
	}
	for name, bad := range map[string]string{
		"another app fails to provision": strings.Replace(config, "grace_period 10s", "servers { listener_wrappers { nonsense } }", 1),
		"another app fails to start":     config + "https://other.test:{port2} {\n bind 192.0.2.1\n" + certificate + "\nrespond 200\n}\n",
		"an option of ours is wrong":     strings.Replace(config, "rejected memory", "rejected memory 0", 1),
	} {
		if err := gateway.load(bad); err == nil {
			t.Errorf("%s: the load succeeds", name)
		}
		after, _ := gateway.scrape()
		if !maps.Equal(before, after) {
			t.Errorf("%s:\n%v became\n%v", name, before, after)
		}
	}
}

func TestMetricsTellWhatBecameOfEachDevice(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory"), "matrix_push")
	hs := gateway.homeserver()
	endpoint, dead, down := service.Endpoint("phone"), service.Subscribe(), service.Endpoint("down")
	service.Answer(dead.Path, answerGone)
	service.Answer(down, providertest.Answer{Status: http.StatusServiceUnavailable})
	unusable, unknown := upDevice("nonsense"), upDevice(endpoint)
	unknown.AppID = "org.example.nobody"
	for _, request := range []string{
		alert("$1", upDevice(endpoint)),
		alert("$1", upDevice(endpoint)),      // a duplicate
		alert("$2", webPushDevice(dead)),     // rejected
		alert("$3", webPushDevice(dead)),     // rejected before
		alert("$4", upDevice(down)),          // 503
		alert("$5", unusable, unknown),       // rejected
		`{"notification":{"devices":"none"}`, // 400
	} {
		hs.notify(request)
	}
	all, _ := gateway.scrape()
	for series, want := range map[string]float64{
		`notifications_total{code="200"}`:                                                         5,
		`notifications_total{code="400"}`:                                                         1,
		`notifications_total{code="503"}`:                                                         1,
		`devices_total{app="org.example.up",provider="unifiedpush",result="delivered"}`:           1,
		`devices_total{app="org.example.up",provider="unifiedpush",result="duplicate"}`:           1,
		`devices_total{app="org.example.up",provider="unifiedpush",result="unavailable"}`:         1,
		`devices_total{app="org.example.up",provider="unifiedpush",result="rejected"}`:            1,
		`devices_total{app="org.example.web",provider="webpush",result="rejected"}`:               1,
		`devices_total{app="org.example.web",provider="webpush",result="rejected_before"}`:        1,
		`devices_total{app="_unknown",provider="",result="rejected"}`:                             1,
		`pushes_total{app="org.example.web",outcome="rejected",provider="webpush",reason="gone"}`: 1,
		`rejected_records{}`: 1,
	} {
		if got := all["caddy_matrix_push_"+series]; got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if t.Failed() {
		for _, series := range slices.Sorted(maps.Keys(all)) {
			t.Log(series, all[series])
		}
	}
	for series := range all {
		for _, secret := range []string{endpoint, dead.P256dh, "nobody", "nonsense"} {
			if strings.Contains(series, secret) {
				t.Errorf("%s shows %q", series, secret)
			}
		}
	}
}
