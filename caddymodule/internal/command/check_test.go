package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
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
	w, config, closed := planned(t, Plan{Rejected: PlannedStore{Module: "file", Found: CheckOK}, Outbox: PlannedStore{Module: "off"}, Warnings: []string{"outbox off: lost"}, Apps: apps()})
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
	const failed, silent = "the check of the credentials failed for: org.example.ios",
		"the push service cannot be reached, so the credentials were not checked for: org.example.ios"
	for _, tt := range []struct {
		name, want, live string
		err              error
		code             int
		problem          string
	}{
		{"they are taken", "ok\n", "ok", nil, 0, ""},
		{"they are not", "failed: the key is revoked", "failed", errors.New("the key is revoked"), exitFailed, failed},
		{
			"the proxy is dead", "the push service cannot be reached: network: connection refused", "unreachable",
			fmt.Errorf("%w: network: connection refused", providers.ErrUnreachable), exitFailed, silent,
		},
		{
			"nobody answers", "the push service cannot be reached: no answer within 10ms", "unreachable",
			context.DeadlineExceeded, exitFailed, silent,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := Plan{Apps: apps()}
			plan.Apps[1].Check = checker{tt.err}.Check
			w, config, _ := planned(t, plan)
			r := w.run(t, "check", "--config", config, "--live", "--timeout", "10ms")
			r.want(t, tt.code, tt.want, "nothing to check")
			if want := "Error: " + tt.problem + "\n"; tt.code != 0 && r.err != want {
				t.Errorf("the error is %q, want %q", r.err, want)
			}
			w.run(t, "check", "--config", config, "--live", "--timeout", "10ms", "--json").want(t, tt.code, `"live":"`+tt.live+`"`)
		})
	}
}

func TestStoresAreChecked(t *testing.T) {
	refused := checker{errors.New("redis: WRONGPASS")}.Check
	gone := checker{fmt.Errorf("%w: redis: connection refused", outbox.ErrUnreachable)}.Check
	forgone := checker{fmt.Errorf("%w: redis: connection refused", rejected.ErrUnreachable)}.Check
	for _, tt := range []struct {
		name             string
		rejected, outbox PlannedStore
		live             bool
		text, json       string
		problem          string // empty for none
	}{
		{
			"files, one of them that of a running Caddy",
			PlannedStore{Module: "file", Found: CheckInUse},
			PlannedStore{Module: "file", Found: CheckOK},
			false,
			"Store of rejected pushkeys: file (in use by a running Caddy). Outbox: file (ok).\n",
			`"stores":[{"store":"rejected","check":"in_use"},{"store":"outbox","check":"ok"}]`, "",
		},
		{
			"nothing to check",
			PlannedStore{Module: "memory"},
			PlannedStore{Module: "off"},
			true, "Store of rejected pushkeys: memory. Outbox: off.\n",
			`"stores":[{"store":"rejected","check":"nothing_to_check"},{"store":"outbox","check":"nothing_to_check"}]`, "",
		},
		{
			"servers that are not asked",
			PlannedStore{Module: "redis", Check: refused},
			PlannedStore{Module: "redis", Check: gone},
			false,
			"Store of rejected pushkeys: redis (checked only with --live). Outbox: redis (checked only with --live).\n",
			`"stores":[{"store":"rejected","check":"not_checked"},{"store":"outbox","check":"not_checked"}]`, "",
		},
		{
			"servers that refuse, or do not answer",
			PlannedStore{Module: "redis", Check: refused},
			PlannedStore{Module: "redis", Check: gone},
			true,
			"Store of rejected pushkeys: redis (failed). Outbox: redis (cannot be reached).\nrejected: redis: WRONGPASS\noutbox: the server cannot be reached: redis",
			`{"store":"rejected","check":"failed","error":"redis: WRONGPASS"},{"store":"outbox","check":"unreachable","error":"the server cannot be`,
			"the check of the rejected store failed; the server of the outbox cannot be reached",
		},
		{
			"the other way round",
			PlannedStore{Module: "redis", Check: forgone},
			PlannedStore{Module: "redis", Check: refused},
			true,
			"Store of rejected pushkeys: redis (cannot be reached). Outbox: redis (failed).\n", `{"store":"outbox","check":"failed","error":"redis: WRONGPASS"}`,
			"the server of the rejected store cannot be reached; the check of the outbox failed",
		},
		{
			"servers that can be used",
			PlannedStore{Module: "redis", Check: checker{}.Check},
			PlannedStore{Module: "redis", Check: checker{}.Check},
			true,
			"Store of rejected pushkeys: redis (ok). Outbox: redis (ok).\n", `"stores":[{"store":"rejected","check":"ok"},{"store":"outbox","check":"ok"}]`, "",
		},
		{
			"servers that describe themselves",
			PlannedStore{Module: "file"},
			PlannedStore{Module: "redis", Check: checker{}.Check, Describe: func(context.Context) []string { return []string{"a primary", "worth much"} }},
			true,
			"Outbox: redis (ok).\noutbox: a primary\noutbox: worth much\n", `"check":"ok","servers":["a primary","worth much"]`, "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, config, _ := planned(t, Plan{Rejected: tt.rejected, Outbox: tt.outbox})
			args := []string{"check", "--config", config}
			if tt.live {
				args = append(args, "--live")
			}
			code := 0
			if tt.problem != "" {
				code = exitFailed
			}
			r := w.run(t, args...)
			r.want(t, code, tt.text, tt.problem)
			w.run(t, append(args, "--json")...).want(t, code, tt.json, tt.problem)
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
