package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestAProbeIsMadeAndAskedAfter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.gateway.Shared.Probes.SetKey([]byte("key"))
	var probe gateway.Probe
	answer := r.want(http.StatusOK, "POST", "/matrix_push/probe", "{}",
		`"app_id":"org.matrix-push.doctor","pushkey":"`, `"expires":"2026-03-14T12:10:00Z"`)
	if err := json.Unmarshal([]byte(answer), &probe); err != nil {
		t.Fatal(err)
	}
	about := `{"pushkey":"` + probe.Pushkey + `"}`
	if answer := r.want(http.StatusOK, "POST", "/matrix_push/probe/seen", about); strings.TrimSpace(answer) != "{}" {
		t.Errorf("before it arrived, the answer is %s", answer)
	}
	device := `{"app_id":"org.matrix-push.doctor","pushkey":"` + probe.Pushkey + `"}`
	request, refused := gateway.Decode([]byte(`{"notification":{"devices":[`+device+`]}}`), 1)
	if refused != nil {
		t.Fatal(refused)
	}
	request.Arrived = &gateway.Sighting{
		At: today, From: "192.0.2.1", Site: "push.example.org on :443", TLS: "TLS 1.3", UserAgent: "Synapse/1.163.2",
	}
	r.gateway.Notify(request, providers.Site{}, func(*gateway.App) bool { return true })
	r.want(http.StatusOK, "POST", "/matrix_push/probe/seen", about, `{"homeserver":{"at":"2026-03-14T12:00:00Z","from":"192.0.2.1",`+
		`"site":"push.example.org on :443","tls":"TLS 1.3","user_agent":"Synapse/1.163.2"}}`)
}
