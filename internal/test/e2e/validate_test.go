package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

func TestAConfigurationIsValidatedBesideARunningServer(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected file {dir}/rejected.db"), "matrix_push")
	hs := gateway.homeserver()
	dead := upDevice(service.Endpoint("dead"))
	service.Answer(dead.Pushkey, answerGone)
	wantBody(t, hs.notify(alert("$1", dead)), rejecting(dead.Pushkey))

	if out, err := gateway.command("validate", "--config", filepath.Join(gateway.dir, "Caddyfile")).CombinedOutput(); err != nil {
		t.Errorf("it is not valid: %v\n%s", err, out)
	}
	wantBody(t, hs.notify(alert("$2", dead)), rejecting(dead.Pushkey))
	if r := hs.notify(alert("$3", upDevice(service.Endpoint("alive")))); r.Status != http.StatusOK {
		t.Errorf("answered %d %s", r.Status, r.Body)
	}
}

func TestValidatingLeavesNoTrace(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	p := newProcess(t)
	file := filepath.Join(p.dir, "Caddyfile")
	config := p.expand(gatewayConfig(service.global("rejected file {dir}/rejected.db"), "matrix_push"))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := p.command("validate", "--config", file).CombinedOutput(); err != nil {
		t.Fatalf("it is not valid: %v\n%s", err, out)
	}
	for _, name := range []string{"rejected.db", "storage/matrix_push"} {
		if _, err := os.Stat(filepath.Join(p.dir, name)); !os.IsNotExist(err) {
			t.Errorf("validating left %s: %v", name, err)
		}
	}
}
