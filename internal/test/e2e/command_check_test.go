package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These subcommands need no running process: they make a key, and check a configuration.

func TestTheCommandMakesAKeyThatTheGatewayUses(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	file := filepath.Join(p.dir, "vapid.pem")
	r := p.ask("", "vapid-keygen", file, "--json")
	var key struct {
		PublicKey string `json:"public_key"`
	}
	if err := json.Unmarshal([]byte(r.out), &key); err != nil || r.code != 0 {
		t.Fatalf("it prints %+v", r)
	}
	p.start(gatewayConfig("rejected memory\napp org.example.web {\nwebpush {\nvapid_subject mailto:ops@example.org\nvapid_key_file "+file+"\n}\n}", "matrix_push"))
	document, err := p.homeserver().do(http.MethodGet, p.url(), "")
	if err != nil || key.PublicKey == "" || !strings.Contains(document.Body, key.PublicKey) {
		t.Errorf("the gateway shows %s, not %s: %v", document.Body, key.PublicKey, err)
	}
	p.ask("", "vapid-keygen", file).want(t, 1, "exists already")
}

func TestTheCommandChecksAConfigurationBesideARunningServer(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	config := gatewayConfig(service.global(durable), "matrix_push")
	gateway := newProcess(t)
	gateway.start(config)
	running := filepath.Join(gateway.dir, "Caddyfile")
	r := gateway.ask("", "check", "--config", running, "--live")
	r.want(t, 0, "The configuration is valid.", "vapid_subject mailto:ops@example.org", "nothing to check", "Warning: fuse off",
		"VAPID subject is an example")
	t.Log("\n" + r.out)
	gateway.ask("", "check", "--config", running, "--strict").want(t, 3)

	other := filepath.Join(gateway.dir, "Caddyfile.other")
	for _, tt := range []struct{ name, config, want string }{
		{"an option that is wrong", strings.Replace(config, "wait 20s", "wait 26s", 1), "wait: 26s"},
		{"a site without TLS", config + "http://other.test:{port2} {\nmatrix_push\n}\n", "plaintext"},
		{"an app that a site wants and there is not", strings.Replace(config, "\nmatrix_push\n}", "\nmatrix_push {\napps org.example.x\n}\n}", 1), "org.example.x"},
		{"a subject that Apple refuses", strings.Replace(config, "ops@example.org", "ops@gateway.invalid", 1), "gateway.invalid"},
		{"web push without a subject or a public name", strings.Replace(config, "vapid_subject mailto:ops@example.org", "", 1), "vapid_subject is missing"},
		{"no gateway at all", head + "https://other.test:{port2} {\n" + certificate + "\nrespond 200\n}\n", "no Matrix push gateway is configured"},
	} {
		if err := os.WriteFile(other, []byte(gateway.expand(tt.config)), 0o600); err != nil {
			t.Fatal(err)
		}
		r := gateway.ask("", "check", "--config", other, "--adapter", "caddyfile")
		r.want(t, 1, tt.want)
		if r.out != "" {
			t.Errorf("%s: it prints %q", tt.name, r.out)
		}
	}
	gateway.running("", "status").want(t, 0, "The gateway is ready.")
}

func TestTheCommandChecksCredentials(t *testing.T) {
	t.Parallel()
	a := newApple(t)
	p := newProcess(t)
	file := filepath.Join(p.dir, "Caddyfile.apns")
	for _, tt := range []struct {
		name, provider, live string
		code                 int
	}{
		{"that are good", "", "ok", 0},
		{"of another team", "team_id TEAM999999", "failed: invalid_provider_token", 1},
		{"for another app", "topic org.example.other", "failed: ", 1},
	} {
		if tt.code != 0 {
			a.expected = "t" // all violations that the fake reports are intended
		}
		config := a.app("org.example.ios", tt.provider, "")
		if strings.HasPrefix(tt.provider, "team_id") {
			config = strings.Replace(config, "team_id "+appleTeamID+"\n", "", 1)
		}
		if err := os.WriteFile(file, []byte(p.expand(gatewayConfig(stateless+config, "matrix_push"))), 0o600); err != nil {
			t.Fatal(err)
		}
		r := p.ask("", "check", "--live", "--config", file, "--adapter", "caddyfile")
		if r.code != tt.code || !strings.Contains(r.out, tt.live) || (tt.code == 1) != strings.Contains(r.err, "the check of the credentials failed for: org.example.ios") {
			t.Errorf("credentials %s: it ends with %d:\n%s%s", tt.name, r.code, r.out, r.err)
		}
		p.ask("", "check", "--config", file, "--adapter", "caddyfile").want(t, 0, "The configuration is valid.")
	}
}
