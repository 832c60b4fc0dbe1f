package sygnal

import (
	"path/filepath"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// app is one app on its way.
type app struct {
	*section
	config *appConfig
}

// apps reads all apps.
func (s *section) apps() map[string]*appConfig {
	apps := s.sub("apps")
	if len(apps.value.members) == 0 {
		s.fail(s.line("apps"), "apps", "no app is configured; Sygnal does not start without one, either")
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
		s.warn(s.line("apps"), "apps", "relative paths count from the directory that Caddy is started in, as they did from Sygnal's: %s",
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
	switch kind := a.required("type", "apns, gcm or webpush"); {
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
		a.fail(a.line("type"), a.at("type"), "%q is none of Sygnal's own types. A Python class cannot run here: it takes a provider, which is "+
			"a Caddy module (see CONTRIBUTING.md). Without the app, homeservers would delete its pushers", kind)
		return nil
	default:
		return nil
	}
	a.set("proxy", s.adaptation.proxy)
	a.done()
	return a.config
}

// set sets an option of the provider, unless it has nothing to say.
func (a *app) set(option, value string) {
	if value != "" {
		a.config.Provider[option] = value
	}
}

// full lets everything leave that the homeserver sent, as Sygnal does. It is what makes payloads the same.
func (a *app) full() { a.config.Content = "full" }

// badges reads whether counts are sent.
func (a *app) badges() {
	if !a.boolean("send_badge_counts", true) {
		a.config.Badges = "off"
	}
}

// maxConnections reads a bound that is of no use here.
func (a *app) maxConnections() {
	const key = "max_connections"
	a.number(key, 1, 1_000_000, 0)
	if m := a.value.member(key); m != nil {
		a.warn(m.line, a.at(key), "not carried over: pushes share few HTTP/2 connections; concurrency bounds how many are in flight")
	}
}

// setFile sets an option that names a file, and remembers a path that depends on where Caddy is started.
func (a *app) setFile(option, key, path string) {
	a.set(option, path)
	if path != "" && !filepath.IsAbs(path) && !strings.HasPrefix(path, "{") {
		a.relative = append(a.relative, a.at(key))
	}
}

// ambiguities looks for app_ids that match several patterns: Sygnal rejects their devices, and here the most specific pattern serves
// them. An app_id that is configured as it is goes first in both.
func (s *section) ambiguities(apps *section) {
	var all []*gateway.App
	for i, m := range apps.value.members {
		all = append(all, &gateway.App{Pattern: m.key})
		for _, before := range apps.value.members[:i] {
			if serving := gateway.Serving(before.key, m.key); serving != "" {
				s.warn(m.line, apps.at(m.key), "an app_id that matches %q, too, is served by %q, the more specific one; Sygnal rejects its pushkeys",
					before.key, serving)
			}
		}
	}
	if _, err := gateway.NewRouter(all); err != nil {
		s.fail(s.line("apps"), "apps", "%s, and Sygnal rejects the pushkeys of such an app_id. Make one of them more specific", err)
	}
}
