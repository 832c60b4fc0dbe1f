package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// After a reload failed, Caddy's admin API belongs to the failed configuration. The gateway's routes must belong to the one that serves.
func TestTheAdminAPIAnswersAfterFailedReloads(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	config := gatewayConfig(service.global(durable), "matrix_push")
	gateway := newProcess(t)
	gateway.start(config)
	hs := gateway.homeserver()
	dead, alive := upDevice(service.Endpoint("dead")), service.Endpoint("alive")
	service.Answer("/up/dead", answerGone)
	wantBody(t, hs.notify(alert("$1", dead)), rejecting(dead.Pushkey))

	busy, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(gateway.port2))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	other := func(directive string) string {
		return "https://other.test:{port2} {\n" + directive + "\n" + certificate + "\nrespond 200\n}\n"
	}
	for _, bad := range []struct{ name, config string }{
		{"before any reload", ""},
		{"an option of ours is wrong", strings.Replace(config, "wait 20s", "wait 26s", 1)},
		{"another app's module is unknown", strings.Replace(config, "grace_period 10s", "servers { listener_wrappers { nonsense } }", 1)},
		{"our store cannot be opened", strings.Replace(config, "{dir}/rejected.db", "{dir}/cert.pem", 1)},
		{"another app fails to start, perhaps after ours", config + other("bind 192.0.2.1")},
		{"a port is in use", config + other("bind 127.0.0.1")},
	} {
		if bad.config != "" && gateway.load(bad.config) == nil {
			t.Errorf("%s: the load succeeds", bad.name)
		}
		device, _ := json.Marshal(map[string]string{"app_id": dead.AppID, "pushkey": dead.Pushkey})
		for _, tt := range []struct{ method, path, body, want string }{
			{"GET", "apps", "", `"status":"ready"`},
			{"GET", "health/live", "", `{"status":"live"}`},
			{"GET", "health/ready", "", `{"status":"ready","degraded":[]}`},
			{"GET", "history", "", `"minutes":60,"apps":[{"app":"org.example.up","outcomes":{"rejected":[`},
			{"GET", "fuses", "", `"app":"org.example.up"`},
			{"POST", "fuses/reset", `{"app":"org.example.up"}`, "was_tripped"},
			{"GET", "rejected", "", `"reason":"gone"`},
			{"POST", "rejected/explain", string(device), `"verdicts":1`},
			{"POST", "rejected/forget", `{"app":"org.example.up","since":"2200-01-01T00:00:00Z"}`, `{"forgotten":0}`},
			{"GET", "outbox", "", `{"apps":[]}`},
			{"POST", "outbox/retry", `{"app":"org.example.up"}`, `"configured":true`},
			{"POST", "outbox/drop", `{"app":"org.example.up","all":true}`, `"dropped":0`},
			{"POST", "send", `{"notification":{"devices":[{"app_id":"org.example.up","pushkey":"` + alive + `"}]}}`, `"outcome":"delivered"`},
		} {
			status, answer := gateway.adminDo(tt.method, "/matrix_push/"+tt.path, tt.body)
			if status != http.StatusOK || !strings.Contains(answer, tt.want) {
				t.Errorf("%s: %s is answered %d %s", bad.name, tt.path, status, answer)
			}
			if strings.Contains(answer, "/up/") {
				t.Errorf("%s: %s shows an endpoint's path: %s", bad.name, tt.path, answer)
			}
		}
	}
	if n := len(service.Messages(alive)); n != 6 {
		t.Errorf("%d of 6 test notifications arrived", n)
	}
	for _, secret := range []string{"/up/dead", "/up/alive"} {
		if strings.Contains(gateway.log.String(), secret) {
			t.Errorf("the log shows %s", secret)
		}
	}
}
