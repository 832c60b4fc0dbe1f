package caddymodule_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func init() {
	caddy.RegisterModule(new(warmer))
	caddy.RegisterModule(new(unstartable))
}

// warmer is a third-party provider that prepares for its first push.
type warmer struct {
	thirdParty

	// Manner is how it prepares: it never ends by itself, or it panics.
	Manner string `json:"manner,omitempty"`
}

func (*warmer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.test_warmer", New: func() caddy.Module { return new(warmer) }}
}

// warmed has the manners of the providers that began to prepare, and done those of the providers that finished.
var warmed, done = make(chan string, 8), make(chan string, 8)

func (w *warmer) Warm(ctx context.Context) error {
	warmed <- w.Manner
	if w.Manner == "panic" {
		panic("a third party's mistake")
	}
	<-ctx.Done()
	done <- w.Manner
	return ctx.Err()
}

var _ providers.Warmer = (*warmer)(nil)

// unstartable is a Caddy app that fails to start.
type unstartable struct{}

func (*unstartable) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "test_unstartable", New: func() caddy.Module { return new(unstartable) }}
}

// Start lets other goroutines run before it fails, so anything that happens too early has happened by then.
func (*unstartable) Start() error {
	for range 1000 {
		runtime.Gosched()
	}
	return errors.New("as always")
}

func (*unstartable) Stop() error { return nil }

// config returns the configuration of a gateway with these providers by app, and of other Caddy apps.
func config(t *testing.T, provided, more map[string]any) []byte {
	t.Helper()
	served := make(map[string]any)
	for pattern, provider := range provided {
		served[pattern] = map[string]any{"provider": provider}
	}
	apps := map[string]any{"matrix_push": map[string]any{
		"apps": served, "rejected": map[string]any{"name": "memory"}, "outbox": map[string]any{"name": "off"},
	}}
	maps.Copy(apps, more)
	return caddyconfig.JSON(map[string]any{
		"admin":   map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"storage": storage(t), "apps": apps,
	}, nil)
}

// load makes a configuration live until the test ends.
func load(t *testing.T, config []byte) {
	t.Helper()
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAConfigurationThatGoesLiveGetsItsProvidersReadyAndOneThatEndsStopsThem(t *testing.T) {
	hang := func(manner string) map[string]any {
		return map[string]any{"name": "test_warmer", "greeting": "hi", "manner": manner}
	}
	if err := validate(t, string(config(t, map[string]any{"*": hang("validated")}, nil))); err != nil {
		t.Fatal(err)
	}
	for range 10 { // Caddy starts its apps in any order
		failing := map[string]any{"test_unstartable": map[string]any{}}
		if err := caddy.Load(config(t, map[string]any{"*": hang("failed")}, failing), true); err == nil {
			t.Fatal("it loads")
		}
	}
	load(t, config(t, map[string]any{"a": hang("live"), "b": hang("live"), "c": hang("panic")}, nil))
	manners := make(map[string]int)
	for range 3 {
		manners[<-warmed]++
	}
	if manners["live"] != 2 || manners["panic"] != 1 {
		t.Errorf("told to get ready were %v", manners)
	}
	// A reload ends the hanging calls and does not wait for them.
	load(t, config(t, map[string]any{"*": hang("next")}, nil))
	for range 2 {
		if manner := <-done; manner != "live" {
			t.Errorf("%s is done", manner)
		}
	}
	if manner := <-warmed; manner != "next" {
		t.Errorf("%s began to prepare", manner)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if manner := <-done; manner != "next" {
		t.Errorf("%s is done", manner)
	}
}

func TestAConfigurationThatGoesLiveConnectsToAPNsAndOneThatIsValidatedDoesNot(t *testing.T) {
	key, p8 := apnstest.NewKey(t)
	apns := apnstest.New(t, apnstest.Options{Keys: []apnstest.Key{
		{KeyID: "ABC123DEFG", TeamID: "TEAM123456", Public: &key.PublicKey, Topics: []string{"org.example.ios"}},
	}})
	keyFile := filepath.Join(t.TempDir(), "key.p8")
	if err := os.WriteFile(keyFile, p8, 0o600); err != nil {
		t.Fatal(err)
	}
	app := map[string]any{
		"name": "apns", "topic": "org.example.ios", "key_file": keyFile, "key_id": "ABC123DEFG", "team_id": "TEAM123456",
		"endpoint": apns.URL, "trusted_ca": apns.CAFile, "proxy": "none",
	}
	c := config(t, map[string]any{"org.example.ios": app, "org.example.ios.full": app}, nil)
	if err := validate(t, string(c)); err != nil {
		t.Fatal(err)
	}
	if n := apns.Connections(); n != 0 {
		t.Fatalf("%d connections were made to validate", n)
	}
	load(t, c)
	if err := apns.Await(t.Context(), func() bool { return apns.Open() == 1 }); err != nil {
		t.Fatal(err)
	}
	if n := len(apns.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}
