package e2e

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
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
	p.ask("", "vapid-keygen", file).want(t, 1, "already exists")
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
		"VAPID subject is a placeholder", "Store of rejected pushkeys: file (in use by a running Caddy). Outbox: file (in use by a running Caddy).")
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

// names returns the names of everything below a directory.
func names(t *testing.T, dir string) (list string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		list += path + "\n"
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestTheCommandFindsWhatWouldKeepAConfigurationFromStarting(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write("garbage.db", []byte(strings.Repeat("garbage ", 1000)))
	p.write("taken", []byte("a file"))
	good := "rejected file {dir}/new/rejected.db\noutbox file {dir}/new/folder/outbox.db\n"
	apns := "app org.example.ios {\napns {\ncertificate_file {dir}/cert.pem {dir}/key.pem\n}\n}\n"
	const notApples = "certificate_file: the certificate is not Apple's for push, but a TLS server's: get one"
	for _, tt := range []struct{ name, config, want string }{
		{"nothing", gatewayConfig(good, "matrix_push"), ""},
		{
			"a folder of the outbox that cannot be created", gatewayConfig("rejected memory\noutbox file /proc/none/outbox.db", "matrix_push"),
			"outbox: /proc/none/outbox.db cannot be created: the directory /proc/none cannot be created in /proc: ",
		},
		{
			"a folder of the rejected store that cannot be created", gatewayConfig("rejected file /proc/none/rejected.db", "matrix_push"),
			"rejected: /proc/none/rejected.db cannot be created: ",
		},
		{"an outbox that is not a database", gatewayConfig("outbox file {dir}/garbage.db", "matrix_push"), "outbox: {dir}/garbage.db is damaged or not a database"},
		{"a rejected store that is not a database", gatewayConfig("rejected file {dir}/garbage.db", "matrix_push"), "rejected: {dir}/garbage.db is damaged"},
		{
			"a folder for the VAPID key that is a file", strings.Replace(gatewayConfig(good, "matrix_push"), "{dir}/storage", "{dir}/taken", 1),
			`app "*": the VAPID key in Caddy's storage: `,
		},
		{"a certificate that is not Apple's", gatewayConfig(stateless+apns, "matrix_push"), notApples},
		{
			"the same with a topic", gatewayConfig(stateless+strings.Replace(apns, "apns {", "apns {\ntopic org.example.ios", 1), "matrix_push"), notApples,
		},
	} {
		if runtime.GOOS != "linux" && strings.Contains(tt.config, "/proc/") {
			continue
		}
		p.write("Caddyfile", []byte(p.expand(tt.config)))
		before := names(t, p.dir)
		r := p.ask("", "check", "--config", filepath.Join(p.dir, "Caddyfile"))
		if tt.want == "" {
			r.want(t, 0, "Store of rejected pushkeys: file (ok). Outbox: file (ok).")
		} else if r.want(t, 1, p.expand(tt.want)); r.out != "" {
			t.Errorf("%s: it prints %q", tt.name, r.out)
		}
		if after := names(t, p.dir); after != before {
			t.Errorf("%s: before the check there was\n%s\nafter it\n%s", tt.name, before, after)
		}
	}
}

func TestTheCommandAsksRedisWhetherTheStoresCanBeUsed(t *testing.T) {
	t.Parallel()
	const password = "a-password-of-redis"
	server := redistest.Start(t, "--requirepass", password)
	socket := strings.TrimPrefix(server.URL, "unix://")
	p := newProcess(t)
	check := func(password string, flags ...string) printed {
		t.Helper()
		url := "unix://:" + password + "@" + socket
		p.write("Caddyfile", []byte(p.expand(gatewayConfig("rejected redis "+url+"\noutbox redis "+url, "matrix_push"))))
		r := p.ask("", append([]string{"check", "--config", filepath.Join(p.dir, "Caddyfile")}, flags...)...)
		if strings.Contains(r.out+r.err, password) {
			t.Errorf("it prints the password: %s%s", r.out, r.err)
		}
		return r
	}
	check("wrong").want(t, 0, "Store of rejected pushkeys: redis (checked only with --live). Outbox: redis (checked only with --live).")
	check(password, "--live").want(t, 0, "Store of rejected pushkeys: redis (ok). Outbox: redis (ok).")
	r := check("wrong-password", "--live")
	r.want(t, 1, "the check of the rejected store failed; the check of the outbox failed")
	if !strings.Contains(r.out, "\noutbox: redis: WRONGPASS") {
		t.Errorf("it prints %s", r.out)
	}
	server.Kill()
	check(password, "--live").want(t, 1, "the server of the rejected store cannot be reached; the server of the outbox cannot be reached")
	r = check(password, "--live", "--json")
	if r.want(t, 1); !strings.Contains(r.out, `{"store":"outbox","check":"unreachable","error":"the server cannot be reached: redis: `) {
		t.Errorf("it prints %s", r.out)
	}
}

func TestTheCommandDoesNotBlameCredentialsForADeadNetwork(t *testing.T) {
	t.Parallel()
	a, g := newApple(t), newGoogle(t)
	p := newProcess(t)
	file := filepath.Join(p.dir, "Caddyfile")
	working := stateless + a.app("org.example.ios", "", "") + g.app("org.example.android", "", "")
	for _, tt := range []struct{ name, config string }{
		{"a dead proxy", strings.ReplaceAll(working, "proxy none", "proxy http://127.0.0.1:1")},
		{"a name that does not resolve", strings.NewReplacer(a.URL, "https://apns.invalid", g.URL, "https://fcm.invalid").Replace(working)},
		{"a port without a server", strings.NewReplacer(a.URL, "https://127.0.0.1:1", g.URL, "https://127.0.0.1:1").Replace(working)},
	} {
		p.write("Caddyfile", []byte(p.expand(gatewayConfig(tt.config, "matrix_push"))))
		r := p.ask("", "check", "--live", "--config", file)
		r.want(t, 1, "Error: the push service cannot be reached, so the credentials were not checked for: org.example.android, org.example.ios\n")
		if n := strings.Count(r.out, " the push service cannot be reached: "); n != 2 || strings.Contains(r.out, "failed") {
			t.Errorf("%s: it prints\n%s", tt.name, r.out)
		}
		r = p.ask("", "check", "--live", "--json", "--config", file)
		if n := strings.Count(r.out, `"live":"unreachable","live_error":"the push service cannot be reached: `); n != 2 || r.code != 1 {
			t.Errorf("%s: it ends with %d, and prints %s", tt.name, r.code, r.out)
		}
	}
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
