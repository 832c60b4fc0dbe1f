package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// P17: nothing in a whole start's log was about the gateway.
func TestAStartIsLoggedInThreeLinesAndAReloadOnlyIfItChangesSomething(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := newProcess(t)
	// Nothing listens there. A gateway starts without its Redis.
	gateway.start(gatewayConfig(service.global("outbox file {dir}/outbox.db\nrejected redis redis://someone:hunter2@127.0.0.1:{port2}/3"), "matrix_push"))
	stores := gateway.expand(`"rejected":"redis 127.0.0.1:{port2}/3","outbox":"file {dir}/outbox.db"`)
	gateway.wantLogged(`"msg":"opened the stores for rejections and pending pushes",` + stores + `}`)
	start := []string{`"msg":"gateway started","version":"`, `"caddy_version":"`, `"msg":"apps configured","apps":{`, `"org.example.up":"unifiedpush"`, `"msg":"opened the stores for rejections and pending pushes"`}
	log := gateway.log.String()
	for _, text := range start {
		if strings.Count(log, text) != 1 {
			t.Errorf("%s is %d times in the log of a start:\n%s", text, strings.Count(log, text), log)
		}
	}

	if err := gateway.set("apps/matrix_push/apps/org.example.up/ttl", `"3h"`); err != nil {
		t.Fatal(err)
	}
	if err := gateway.set("apps/matrix_push/apps/org.example.new", `{"provider":{"name":"unifiedpush"}}`); err != nil {
		t.Fatal(err)
	}
	gateway.wantLogged(`"msg":"configuration reloaded; apps or stores changed",` + stores + `,"apps":{"org.example.new":"unifiedpush",`)
	if err := gateway.request(http.MethodPost, "/load", "text/caddyfile", gateway.expand(gatewayConfig(service.global("rejected memory"), "matrix_push"))); err != nil {
		t.Fatal(err)
	}
	gateway.wantLogged(`"msg":"configuration reloaded; apps or stores changed","rejected":"memory","outbox":"off","apps":{"org.example.up":"unifiedpush"`)
	gateway.terminate()
	log = gateway.log.String()
	for text, want := range map[string]int{"gateway started": 1, "apps configured": 1, "opened the stores for rejections and pending pushes": 1, "configuration reloaded; apps or stores changed": 2} {
		if got := strings.Count(log, `"msg":"`+text+`"`); got != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", text, got, want, log)
		}
	}
	if strings.Contains(log, "hunter2") {
		t.Errorf("the log has the password:\n%s", log)
	}
}
