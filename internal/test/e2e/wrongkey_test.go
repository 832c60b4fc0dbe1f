package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// keyedServer is a push server that, like the real ones, accepts a push only if it is signed with the key that its subscription was made
// for. That is the key of the first push, or another gateway's. It answers other pushes as Apple does: see docs/webpush.md.
type keyedServer struct {
	*providertest.PushService
	*providertest.TLSServer

	mu   sync.Mutex
	keys map[string]string // by path
}

func newKeyedServer(t *testing.T) *keyedServer {
	t.Helper()
	s := &keyedServer{PushService: providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true}), keys: make(map[string]string)}
	s.TLSServer = providertest.NewTLSServer(t, received(http.HandlerFunc(s.serve)))
	s.SetOrigin(s.URL)
	t.Cleanup(s.PushService.Close)
	return s
}

func (s *keyedServer) serve(w http.ResponseWriter, r *http.Request) {
	_, key, _ := strings.Cut(r.Header.Get("Authorization"), "k=")
	s.mu.Lock()
	made, ok := s.keys[r.URL.Path]
	if !ok {
		made, s.keys[r.URL.Path] = key, key
	}
	s.mu.Unlock()
	if key == made {
		s.PushService.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write([]byte(`{"reason":"VapidPkHashMismatch"}`))
}

// subscribe makes a subscription; for another gateway's key if it is foreign.
func (s *keyedServer) subscribe(foreign bool) (d device, path string) {
	sub := s.Subscribe()
	if foreign {
		s.mu.Lock()
		s.keys[sub.Path] = "another"
		s.mu.Unlock()
	}
	return webPushDevice(sub), sub.Path
}

// One subscription made for another key once failed `status --strict` and alerted the operator. A lost key must do that, for as long as it
// is lost.
func TestOneStrangersKeyCallsNobodyAndALostOneDoes(t *testing.T) {
	t.Parallel()
	service := newKeyedServer(t)
	gateway := newProcess(t)
	key, other := filepath.Join(gateway.dir, "vapid.pem"), filepath.Join(gateway.dir, "other.pem")
	for _, file := range []string{key, other} {
		gateway.ask("", "vapid-keygen", file).want(t, 0)
	}
	config := subscribed(gatewayConfig(durable+`app org.example.web {
		webpush {
			vapid_subject mailto:ops@example.org
			vapid_key_file `+key+`
			trusted_ca `+service.CAFile+`
			allow_private 127.0.0.0/8
			proxy none
		}
		wait 20s
	}`, "matrix_push"))
	gateway.start(config)
	hs := gateway.homeserver()
	var devices []device
	var paths []string
	for range 3 {
		d, path := service.subscribe(false)
		devices, paths = append(devices, d), append(paths, path)
	}
	stranger, _ := service.subscribe(true)

	wantBody(t, hs.notify(alert("$before", devices...)), nothingRejected)
	wantBody(t, hs.notify(alert("$before", stranger)), nothingRejected)
	gateway.running("", "status", "--strict").want(t, 0, "The gateway is ready.")
	gateway.wantNobodyCalled()
	all, _ := gateway.scrape()
	if n := all.total("pushes_total", `outcome="misconfigured"`); n != 0 || all.total("pushes_total", `outcome="unauthorized"`) != 1 {
		t.Errorf("the metrics have %v misconfigurations: %v", n, all)
	}
	gateway.running(stranger.Pushkey, "rejected", "explain", "--app-id", "org.example.web", "--pushkey", "-").want(t, 0,
		"unauthorized: ", "VapidPkHashMismatch", "the device subscribed with another key")

	replace := func(by string) {
		t.Helper()
		gateway.terminate()
		content, err := os.ReadFile(by)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(key, content, 0o600); err != nil {
			t.Fatal(err)
		}
		gateway.start(config)
		hs = gateway.homeserver()
	}
	kept := filepath.Join(gateway.dir, "kept.pem")
	if err := os.Link(key, kept); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(key); err != nil { // so kept.pem is the old one
		t.Fatal(err)
	}
	replace(other)
	wantBody(t, hs.notify(alert("$lost", devices...)), nothingRejected)
	gateway.wantLogged(`"msg":"push misconfigured"`)
	gateway.wantLogged(`"word":"VapidPkHashMismatch"`)
	gateway.wantLogged(`"msg":"subscriptions were made for a VAPID key that is not the gateway's"`)
	// They include the stranger's, whose push is still pending.
	gateway.running("", "status", "--strict").want(t, 3, "VapidPkHashMismatch", " subscriptions at 127.0.0.1:", " were made for another VAPID key")
	if _, answer := gateway.adminDo(http.MethodGet, "/matrix_push/health/ready", ""); !strings.Contains(answer, `"word":"VapidPkHashMismatch"`) {
		t.Errorf("the gateway is %s", answer)
	}

	replace(kept)
	wantBody(t, hs.notify(alert("$restored", devices...)), nothingRejected)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, path := range paths { // $before, $lost, $restored
		for i := range 3 {
			if _, err := service.Wait(ctx, path); err != nil {
				t.Fatalf("push %d: %v", i, err)
			}
		}
	}
	gateway.running("", "status", "--strict").want(t, 0, "The gateway is ready.")
	gateway.running("", "rejected", "list").want(t, 0, "No pushkey is recorded")
}
