package caddymodule_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/service"
)

func init() {
	caddy.RegisterModule(new(rogue))
	caddy.RegisterModule(new(courteous))
}

// rogue is a third party's provider. It can make every mistake.
type rogue struct {
	network.Options

	// Does is the mistake that it makes, and where.
	Does string `json:"does,omitempty"`

	client *service.Client
}

func (*rogue) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.test_rogue", New: func() caddy.Module { return new(rogue) }}
}

const inThePanic = "secret-in-the-panic"

// may panics if that is the rogue's mistake.
func (r *rogue) may(panics string) {
	if r.Does == "panic in "+panics {
		panic(inThePanic)
	}
}

func (r *rogue) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	err := network.Unmarshal(d, &r.Options, map[string]*string{"does": &r.Does})
	r.may("UnmarshalCaddyfile")
	return err
}

func (r *rogue) Provision(caddy.Context) error {
	r.may("Provision")
	settings, err := r.Resolve()
	if err != nil {
		return err
	}
	switch r.Does {
	case "no settings":
		settings = nil
	case "its own settings":
		settings = new(network.Settings)
	}
	r.client, err = service.NewClient(service.Options{Server: &url.URL{Scheme: "https", Host: "127.0.0.1:1"}, Settings: settings})
	return err
}

func (r *rogue) Validate() error {
	r.may("Validate")
	return nil
}

// cleanedUp has the mistakes of the rogues that were cleaned up.
var cleanedUp sync.Map

func (r *rogue) Cleanup() error {
	cleanedUp.Store(r.Does, true)
	r.may("Cleanup")
	return r.client.Close()
}

func (r *rogue) Start(context.Context) error {
	r.may("Start")
	return nil
}

func (r *rogue) Mounted([]string) error {
	r.may("Mounted")
	return nil
}

func (r *rogue) DefaultWait() time.Duration {
	switch r.Does {
	case "wait for ever":
		return time.Hour
	case "wait backwards":
		return -time.Second
	}
	return 50 * time.Millisecond
}

func (r *rogue) Usable(*providers.Device, providers.Site) error {
	r.may("Usable")
	if r.Does == "nil errors" {
		return (*providers.UnusableError)(nil)
	}
	return nil
}

func (r *rogue) Reduce(n *providers.Notification) *providers.Notification {
	r.may("Reduce")
	if r.Does == "reduce to nothing" {
		return nil
	}
	return n
}

func (r *rogue) Push(ctx context.Context, p *providers.Push) providers.Outcome {
	r.may("Push")
	switch r.Does {
	case "never return":
		select {}
	case "nil errors":
		return providers.Retry("down", 0, (*providers.UnusableError)(nil))
	case "an endpoint of a user":
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Device.Pushkey, http.NoBody)
		if err != nil {
			return providers.Dropped("bad_request", nil)
		}
		resp, err := r.client.RoundTrip(req)
		if err != nil {
			return network.Failed(err)
		}
		_ = resp.Body.Close()
	}
	return providers.Delivered()
}

// courteous is a provider that makes no mistakes.
type courteous struct{}

func (*courteous) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.test_courteous", New: func() caddy.Module { return new(courteous) }}
}

func (*courteous) Push(context.Context, *providers.Push) providers.Outcome {
	return providers.Rejected("gone")
}

// rogueConfig returns a configuration with a site, the rogue's app, and an app that works.
func rogueConfig(t *testing.T, does string) []byte {
	t.Helper()
	return config(t, map[string]any{
		"rogue": map[string]any{"name": "test_rogue", "does": does, "proxy": "none"}, "fine": map[string]any{"name": "test_courteous"},
	}, siteOf("127.0.0.1", "rogue", "fine"))
}

// wantServed fails the test unless the app that works is served.
func wantServed(t *testing.T, event string) {
	t.Helper()
	body := `{"notification":{"event_id":"` + event + `","devices":[{"app_id":"fine","pushkey":"key"}]}}`
	if status, answer := post(t, body); status != http.StatusOK || answer != `{"rejected":["key"]}` {
		t.Errorf("the app that works: %d %s", status, answer)
	}
}

func TestAProviderThatCannotBeLoadedIsAnErrorAndTheConfigurationBeforeItStaysLive(t *testing.T) {
	load(t, rogueConfig(t, "nothing"))
	for does, want := range map[string]string{
		"panic in Provision": "rogue).may (",
		"panic in Validate":  "rogue).may (",
		"panic in Start":     "the provider panicked with a string",
		"panic in Mounted":   "the provider panicked with a string",
		"no settings":        "the client has no settings",
		"its own settings":   "the client has no settings",
		"wait for ever":      "the provider's default wait: 1h0m0s is not between 0s and 25s",
		"wait backwards":     "the provider's default wait: -1s is not between 0s and 25s",
	} {
		err := caddy.Load(rogueConfig(t, does), true)
		if err == nil || !strings.Contains(err.Error(), `app "rogue"`) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), inThePanic) {
			t.Errorf("%s: the error is %v", does, err)
		}
		wantServed(t, "$after "+does)
		if _, ok := cleanedUp.Load(does); !ok {
			t.Errorf("%s: the provider was not cleaned up", does)
		}
	}
	load(t, rogueConfig(t, "nothing else"))
	wantServed(t, "$at the end")
}

func TestAProvidersMistakeInACaddyfileIsAnError(t *testing.T) {
	t.Parallel()
	for block, want := range map[string]string{
		"does \"panic in UnmarshalCaddyfile\"": "rogue).may (",
		"does a\ndoes b":                       "does is given twice",
		"proxy none\nproxy none":               "proxy is given twice",
		"volume 11":                            `test_rogue has no option "volume"`,
	} {
		file := "{\nmatrix_push {\napp rogue {\ntest_rogue {\n" + block + "\n}\n}\n}\n}\n"
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(file), map[string]any{"filename": "Caddyfile"})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), inThePanic) {
			t.Errorf("%q: the error is %v", block, err)
		}
	}
}

func TestAProvidersMistakeWithAPushIsAnOutcomeAndTakesNothingElseDown(t *testing.T) {
	for _, tt := range []struct{ does, want string }{
		{"panic in Usable", `200 {"rejected":[]}`},
		{"panic in Reduce", `200 {"rejected":[]}`},
		{"reduce to nothing", `200 {"rejected":[]}`},
		{"panic in Push", "503"},
		{"panic in Cleanup", `200 {"rejected":[]}`}, // at the reload, and at the end
		{"nil errors", "503"},
		{"never return", "503"},
		{"an endpoint of a user", `200 {"rejected":[]}`}, // dropped, because a retry would not help
	} {
		t.Run(tt.does, func(t *testing.T) {
			load(t, rogueConfig(t, tt.does))
			user, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			connected := make(chan bool, 1)
			go func() {
				_, err := user.Accept()
				connected <- err == nil
			}()
			status, answer := post(t, fmt.Sprintf(`{"notification":{"event_id":"$%s","devices":[{"app_id":"rogue","pushkey":"https://%s/"}]}}`, tt.does, user.Addr()))
			if got := fmt.Sprint(status, " ", answer); !strings.HasPrefix(got, tt.want) {
				t.Errorf("the answer is %s", got)
			}
			wantServed(t, "$beside "+tt.does)
			load(t, rogueConfig(t, "nothing")) // a reload, while a Push may not have returned
			wantServed(t, "$after "+tt.does)
			if _, ok := cleanedUp.Load(tt.does); !ok {
				t.Error("the provider was not cleaned up")
			}
			if _ = user.Close(); <-connected {
				t.Error("the provider connected to a host that a user chose")
			}
		})
	}
}

var (
	_ caddy.Provisioner  = (*rogue)(nil)
	_ caddy.Validator    = (*rogue)(nil)
	_ caddy.CleanerUpper = (*rogue)(nil)
	_ providers.Usable   = (*rogue)(nil)
	_ providers.Reducer  = (*rogue)(nil)
	_ providers.Starter  = (*rogue)(nil)
	_ providers.Mounted  = (*rogue)(nil)
)
