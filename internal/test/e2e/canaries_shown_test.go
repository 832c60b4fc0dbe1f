package e2e

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

// At the end of the run, everything that the gateway shows is searched: answers of the admin API, metrics, the configuration, traces,
// events, commands, the rejected store, and the output of a process that crashes. Here it shows everything once.
func TestWhateverTheGatewayShowsIsSearchedForSecrets(t *testing.T) {
	t.Parallel()
	a, g, u, browsers := newApple(t), newGoogle(t), newUnreliable(t), newPushServer(t)
	gateway := newProcess(t)
	gateway.env = append(gateway.env, "OTEL_TRACES_EXPORTER=console", "OTEL_BSP_SCHEDULE_DELAY=10", "GOTRACEBACK=all")
	config := gatewayConfig(browsers.global(durable)+u.moreUp("org.example.phone", "wait 500ms")+a.app("org.example.ios", "", "wait 500ms")+g.app("org.example.android", "", "wait 500ms"),
		"tracing\nlog\nmatrix_push")
	gateway.start(strings.Replace(subscribed(config), "persist_config off", "", 1))
	hs := gateway.homeserver()

	dead, waiting := iPhone("shown, dead"), u.phoneOf("org.example.phone", "shown-waiting")
	a.Unregister(dead.path(), time.Now())
	late := android("shown, late")
	g.Answer(late.Pushkey, fcmtest.ErrorFor("UNAVAILABLE"))
	wantBody(t, hs.notify(alert("$shown", iPhone("shown"), dead, late, webPushDevice(browsers.Subscribe()))), rejecting(dead.Pushkey))
	u.hold(waiting)
	go func() { _, _ = hs.try(alert("$shown, waiting", waiting)) }()
	u.arrived(waiting)

	known, _ := json.Marshal(map[string]string{"app_id": dead.AppID, "pushkey": dead.Pushkey})
	for _, path := range []string{
		"/metrics", "/config/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline", "/debug/vars", "/pki/ca/local",
		"/reverse_proxy/upstreams", "/matrix_push/apps", "/matrix_push/health/live", "/matrix_push/health/ready", "/matrix_push/fuses", "/matrix_push/keys",
		"/matrix_push/rejected", "/matrix_push/outbox", "/matrix_push/outbox?app=org.example.phone", "/matrix_push/outbox?app=org.example.android",
	} {
		if status, answer := gateway.adminDo(http.MethodGet, path, ""); status != http.StatusOK && status != http.StatusNotFound {
			t.Errorf("GET %s is answered %d %s", path, status, answer)
		}
	}
	for path, body := range map[string]string{
		"/matrix_push/rejected/explain": string(known), "/matrix_push/outbox/retry": `{"app":"org.example.android"}`,
		"/matrix_push/send":            alert("$shown, sent", dead),
		"/matrix_push/rejected/forget": string(known),
	} {
		if status, answer := gateway.adminDo(http.MethodPost, path, body); status != http.StatusOK {
			t.Errorf("POST %s is answered %d %s", path, status, answer)
		}
	}
	for _, args := range [][]string{{"status"}, {"vapid-key"}, {"rejected", "list"}, {"outbox", "list", "--app", "org.example.phone"}} {
		cmd := gateway.command(append(append([]string{"matrix-push"}, args...), "--address", "unix/"+filepath.Join(gateway.dir, "admin.sock"))...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	if err := gateway.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	<-gateway.exited
	if log := gateway.log.String(); !strings.Contains(log, "SIGABRT: abort") || !strings.Contains(log, "goroutine ") || !strings.Contains(log, `"event":"pushkey_rejected`) {
		t.Errorf("the log has no crash, or no event:\n%s", tail(log))
	}
	gateway.keep(filepath.Join(gateway.dir, "rejected.db"))
	gateway.keep(filepath.Join(gateway.dir, "caddy", "autosave.json"))

	written := canaries.written(t.Name())
	for _, text := range []string{
		"caddy_matrix_push_pushes_total", `"apps":{`, "goroutine 1 [", `"pushkey_hash"`, `"Name":"matrix_push.push"`, "APP ", `"verdicts":1`,
	} {
		if !strings.Contains(written, text) {
			t.Errorf("no searched text has %s", text)
		}
	}
}

// Only the owner can read the gateway's files: the outbox has pushkeys in clear text.
func TestWhatTheGatewayWritesIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := newProcess(t)
	before := make(map[string]bool)
	gateway.files(func(path string, _ fs.FileInfo) { before[path] = true })
	gateway.start(gatewayConfig(service.global("rejected file {dir}/stores/rejected.db\noutbox file {dir}/stores/outbox.db"), "matrix_push"))
	hs := gateway.homeserver()
	dead := webPushDevice(service.Subscribe())
	service.Answer(dead.Data["endpoint"].(string), answerGone)
	wantBody(t, hs.notify(alert("$1", dead, upDevice(service.Endpoint("phone")))), rejecting(dead.Pushkey))
	if out, err := gateway.command("matrix-push", "vapid-keygen", filepath.Join(gateway.dir, "vapid.pem")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	gateway.terminate()

	var own int
	gateway.files(func(path string, info fs.FileInfo) {
		if before[path] || filepath.Base(path) == "Caddyfile" {
			return
		}
		if ours := strings.Contains(path, "stores") || strings.Contains(path, "matrix_push") || filepath.Base(path) == "vapid.pem"; ours && !info.IsDir() {
			own++
		}
		if others := info.Mode().Perm() & 0o077; others != 0 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
	})
	if own < 4 {
		t.Errorf("%d files are the gateway's, want its two stores and two VAPID keys", own)
	}
}
