package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Caddy has one default log per process, so tests that load a configuration are not parallel.

// checker is a provider whose credentials are checked with the result err.
type checker struct{ err error }

func (c checker) Check(ctx context.Context) error {
	if errors.Is(c.err, context.DeadlineExceeded) {
		<-ctx.Done()
		return ctx.Err()
	}
	return c.err
}

// planned makes check find a plan in an empty configuration. closed reports whether the plan was closed.
func planned(t *testing.T, plan Plan) (w world, config string, closed *bool) {
	t.Helper()
	config = filepath.Join(t.TempDir(), "caddy.json")
	if err := os.WriteFile(config, []byte(`{"apps":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	closed = new(bool)
	plan.Close = func() { *closed = true }
	return world{inspect: func(ctx caddy.Context) (*Plan, error) {
		ctx.Logger().Named("matrix_push.providers.apns").Warn("credential file is readable by other users")
		ctx.Logger().Named("tls").Warn("another module's warning")
		return &plan, nil
	}}, config, closed
}

func apps() []PlannedApp {
	return []PlannedApp{
		{App: "*", Provider: "unifiedpush", Content: "event_id_only", Wait: 5 * time.Second, TTL: 24 * time.Hour},
		{
			App: "org.example.ios", Provider: "apns", Content: "full", TTL: time.Hour, CredentialExpiry: today.Add(72 * time.Hour),
			Warnings: []string{"the credential expires within 30 days"}, Check: checker{}.Check,
		},
	}
}

func TestAConfigurationIsChecked(t *testing.T) {
	w, config, closed := planned(t, Plan{Rejected: "file", Outbox: "off", Warnings: []string{"outbox off: lost"}, Apps: apps()})
	r := w.run(t, "check", "--config", config)
	r.want(t, 0)
	golden(t, "check", r.out)
	if r.err != "" || !*closed {
		t.Errorf("there is an error, or the plan is not closed: %q", r.err)
	}
	w.run(t, "check", "--config", config, "--strict").want(t, exitFound)
	r = w.run(t, "check", "--config", config, "--json", "--live")
	r.want(t, 0)
	golden(t, "check-json", r.out)
}

func TestCredentialsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		err        error
		code       int
	}{
		{"they are taken", "ok\n", nil, 0},
		{"they are not", "failed: the key is revoked", errors.New("the key is revoked"), exitFailed},
		{"nobody answers", "failed: no answer within 10ms", context.DeadlineExceeded, exitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := Plan{Apps: apps()}
			plan.Apps[1].Check = checker{tt.err}.Check
			w, config, _ := planned(t, plan)
			r := w.run(t, "check", "--config", config, "--live", "--timeout", "10ms")
			r.want(t, tt.code, tt.want, "nothing to check")
			if tt.code != 0 && !strings.Contains(r.err, "the check of the credentials failed for: org.example.ios") {
				t.Errorf("the error is %q", r.err)
			}
		})
	}
}

func TestAConfigurationThatDoesNotLoadIsToldInOneSentence(t *testing.T) {
	dir, temporary := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for _, tt := range []struct{ name, config, want string }{
		{"no JSON", `{`, "unexpected end of JSON input"},
		{"an option that there is not", `{"appps":{}}`, "appps"},
		{"a module that there is not", `{"apps":{"nonsense":{}}}`, "nonsense"},
	} {
		config := filepath.Join(dir, "caddy.json")
		if err := os.WriteFile(config, []byte(tt.config), 0o600); err != nil {
			t.Fatal(err)
		}
		r := world{}.run(t, "check", "--config", config)
		if r.want(t, exitFailed, tt.want); r.out != "" || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: printed %q and %q", tt.name, r.out, r.err)
		}
		world{}.run(t, "check", "--config", config, "--json").want(t, exitFailed, `{"valid":false,"error":"`, tt.want)
	}
	world{}.run(t, "check", "--config", filepath.Join(dir, "none.json")).want(t, exitFailed, "none.json")
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left are %v: %v", left, err)
	}
}

func TestWhatAConfigurationSaysItself(t *testing.T) {
	t.Parallel()
	c, err := readConfig([]byte(`{"apps":{"http":{"servers":{"a":{"routes":[{"handle":[{"handler":"subroute","routes":[
		{"handle":[{"handler":"matrix_push","plaintext":"allow"}]}]}]}]}}},
		"matrix_push":{"apps":{"org.example.ios":{"provider":{"name":"apns","topic":"{env.TOPIC}","environment":"sandbox","key_file":"secret.p8",
		"certificate_password":"hunter2","endpoint":"https://user:hunter2@relay.example.org:8443"}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := settingsText(c.settings("org.example.ios")); got != "environment sandbox, topic {env.TOPIC}, endpoint relay.example.org:8443" {
		t.Errorf("the settings are %q", got)
	}
	if warnings := c.warnings(); len(warnings) != 1 || !strings.Contains(warnings[0], "plaintext allow") {
		t.Errorf("the warnings are %q", warnings)
	}
	if c, err = readConfig([]byte(`{"apps":{"http":{}}}`)); err != nil {
		t.Fatal(err)
	}
	if warnings := c.warnings(); len(warnings) != 1 || !strings.Contains(warnings[0], "no site") {
		t.Errorf("without a site: %q", warnings)
	}
}
