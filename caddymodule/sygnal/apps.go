package sygnal

import (
	"path/filepath"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// app is the state of adapting one app.
type app struct {
	*section
	config *appConfig
}

// apps reads all apps.
func (s *section) apps() map[string]*appConfig {
	apps := s.sub("apps")
	if len(apps.value.members) == 0 {
		s.fail(s.line("apps"), "apps", "no app is configured; Sygnal would not start without one, either")
	}
	configs := make(map[string]*appConfig)
	for _, m := range apps.value.members {
		path := apps.at(m.key)
		if err := gateway.CheckPattern(m.key); err != nil {
			s.fail(m.line, path, "%s", err)
		}
		if section := s.read(m.value, path); section != nil {
			configs[m.key] = section.app()
		}
	}
	if len(s.relative) > 0 {
		s.warn(s.line("apps"), "apps", "relative paths start at the directory that Caddy is started in, as they did with Sygnal: %s",
			strings.Join(s.relative, ", "))
	}
	if len(s.errs) == 0 {
		s.ambiguities(apps)
	}
	return configs
}

// app reads one app.
func (s *section) app() *appConfig {
	a := &app{section: s, config: &appConfig{Provider: make(map[string]any)}}
	a.config.Concurrency = a.number("inflight_request_limit", 1, 1_000_000, 0)
	switch kind := a.required("type", "set it to apns, gcm or webpush"); {
	case kind == "apns":
		a.set("name", "apns")
		a.apns()
	case kind == "gcm":
		a.set("name", "fcm")
		a.gcm()
	case kind == "webpush":
		a.set("name", "webpush")
		a.webpush()
	case kind != "":
		a.fail(a.line("type"), a.at("type"), "%q is not one of Sygnal's own types, and a Python class cannot run here. Write a provider, which "+
			"is a Caddy module (see CONTRIBUTING.md). If you remove the app, homeservers delete its pushers", kind)
		return nil
	default:
		return nil
	}
	a.set("proxy", s.adaptation.proxy)
	a.done()
	return a.config
}

// set sets an option of the provider, unless the value is empty.
func (a *app) set(option, value string) {
	if value != "" {
		a.config.Provider[option] = value
	}
}

// full sends everything that the homeserver sent, as Sygnal does. This keeps payloads the same.
func (a *app) full() { a.config.Content = "full" }

// badges reads whether counts are sent.
func (a *app) badges() {
	if !a.boolean("send_badge_counts", true) {
		a.config.Badges = "off"
	}
}

// maxConnections drops a limit that has no meaning here.
func (a *app) maxConnections() {
	const key = "max_connections"
	a.number(key, 1, 1_000_000, 0)
	if m := a.value.member(key); m != nil {
		a.warn(m.line, a.at(key), "not carried over: pushes share few HTTP/2 connections; concurrency limits how many are in flight")
	}
}

// setFile sets an option to a file's path. It remembers relative paths, as they depend on where Caddy is started.
func (a *app) setFile(option, key, path string) {
	a.set(option, path)
	if path != "" && !filepath.IsAbs(path) && !strings.HasPrefix(path, "{") {
		a.relative = append(a.relative, a.at(key))
	}
}

// ambiguities finds patterns that can match the same app_id. Sygnal rejects such devices; here, the most specific pattern serves them. In
// both, an exact app_id wins.
func (s *section) ambiguities(apps *section) {
	var all []*gateway.App
	for i, m := range apps.value.members {
		all = append(all, &gateway.App{Pattern: m.key})
		for _, before := range apps.value.members[:i] {
			if serving := gateway.Serving(before.key, m.key); serving != "" {
				s.warn(m.line, apps.at(m.key), "an app_id that also matches %q is served by %q, the more specific one; Sygnal rejects its pushkeys",
					before.key, serving)
			}
		}
	}
	if _, err := gateway.NewRouter(all); err != nil {
		s.fail(s.line("apps"), "apps", "%s. Sygnal rejects the pushkeys of such an app_id", err)
	}
}
