package e2e

import (
	"os"
	"strings"
	"testing"
)

func TestATraceHasASpanForEachPushAndEndsAtTheGateway(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := newProcess(t)
	gateway.env = append(gateway.env, "OTEL_TRACES_EXPORTER=console", "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_SERVICE_NAME=gateway")
	gateway.start(gatewayConfig(service.global("rejected memory"), "tracing {\nspan notify\n}\nmatrix_push"))
	hs := gateway.homeserver()
	endpoint, dead := service.Endpoint("phone"), service.Subscribe()
	service.Answer(dead.Path, answerGone)
	hs.notify(alert("$1", upDevice(endpoint), webPushDevice(dead)))

	var traced string
	until(t, "both pushes' spans", func() bool {
		text, err := os.ReadFile(gateway.stdout)
		if err != nil {
			t.Fatal(err)
		}
		traced = string(text)
		return strings.Count(traced, `"Name":"matrix_push.push"`) == 2 && strings.Contains(traced, `"Name":"notify"`)
	})
	for _, attribute := range []string{
		`{"Key":"matrix_push.app","Value":{"Type":"STRING","Value":"org.example.up"}}`,
		`{"Key":"matrix_push.provider","Value":{"Type":"STRING","Value":"webpush"}}`,
		`{"Key":"matrix_push.outcome","Value":{"Type":"STRING","Value":"rejected"}}`,
		`{"Key":"matrix_push.reason","Value":{"Type":"STRING","Value":"gone"}}`,
	} {
		if !strings.Contains(traced, attribute) {
			t.Errorf("no span has %s:\n%s", attribute, traced)
		}
	}
	for _, path := range []string{endpoint, dead.Endpoint} {
		for _, m := range service.Messages(path) {
			for name := range m.Header {
				if name := strings.ToLower(name); strings.Contains(name, "trace") || strings.Contains(name, "baggage") || strings.Contains(name, "b3") {
					t.Errorf("the push has a header %s", name)
				}
			}
		}
		if len(service.Messages(path)) != 1 {
			t.Errorf("%d pushes", len(service.Messages(path)))
		}
	}
}
