package sygnal

import (
	"net/url"
	"strings"
)

// proxy reads the proxy for all requests. Without one, Sygnal uses HTTPS_PROXY, and so do this gateway's providers.
func (s *section) proxy() string {
	const key = "proxy"
	if m := s.value.member(key); m != nil && m.value.kind == null {
		s.ignore(key)
		return ""
	}
	raw := s.text(key)
	if raw == "" {
		return ""
	}
	u, err := url.Parse(raw)
	switch {
	case strings.Contains(raw, "{"): // a placeholder, whose value is checked at load time
		return raw
	case err != nil: // the error does not quote it, as it may contain a password
		s.fail(s.line(key), key, "must be a URL")
		return ""
	case u.Scheme != "http" || u.Hostname() == "":
		s.fail(s.line(key), key, "must be http://[user:password@]host[:port]")
		return ""
	}
	if _, set := u.User.Password(); u.User != nil && !set {
		s.warn(s.line(key), key, "the user is not carried over: Sygnal, too, ignores a user without a password")
		u.User = nil
	}
	if u.User != nil {
		s.warn(s.line(key), key, "the adapted configuration contains the password; the admin API shows it, and Caddy saves it in autosave.json. "+
			"Next: use a placeholder such as {env.PROXY_URL} instead")
	}
	return (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}).String()
}

// log reads the logging options. It reports whether the access log shows the client for which a proxy forwarded a request.
func (s *section) log() (forwarded bool) {
	l := s.sub("log")
	l.drop("setup", "it configures Python's logging. Caddy logs to stderr, and its access log replaces the logger sygnal.access. "+
		"Next: set files, formats and levels with the global option log of a Caddyfile, or with logging in JSON")
	access := l.sub("access")
	forwarded = access.boolean("x_forwarded_for", false)
	access.drop("file", "Sygnal no longer reads it, either")
	access.drop("enabled", "Sygnal no longer reads it, either: the access log is always on")
	access.done()
	l.done()
	return forwarded
}

// metrics returns the address where metrics are served; empty if they are not.
func (s *section) metrics() (address string) {
	m := s.sub("metrics")
	prometheus := m.sub("prometheus")
	enabled := prometheus.enabled()
	host, port := prometheus.host("address", "127.0.0.1"), prometheus.port(8000)
	if enabled {
		address = listener(host, port)
		prometheus.warn(prometheus.line("enabled"), prometheus.path, "the listener is carried over, but not the names of metrics: "+
			"they are this gateway's and Caddy's. Next: adapt your dashboards and alerts with the table in docs/sygnal.md")
	}
	prometheus.done()

	tracing := m.sub("opentracing")
	tracing.ignore("implementation", "service_name", "jaeger")
	if tracing.enabled() {
		tracing.warn(tracing.line("enabled"), tracing.path, "not carried over: OpenTracing and Jaeger's client are discontinued. "+
			"Next: put Caddy's directive tracing before matrix_push; it sends spans over OTLP, which Jaeger accepts")
	}
	tracing.done()

	sentry := m.sub("sentry")
	sentry.ignore("dsn")
	if sentry.enabled() {
		sentry.warn(sentry.line("enabled"), sentry.path, "not carried over: this gateway does not report to Sentry. "+
			"Next: problems that you must fix are logged at level error; collect these lines, or alert on metrics")
	}
	sentry.done()
	m.done()
	return address
}

// enabled reports whether a part of the metrics is on. Sygnal accepts only true for that.
func (s *section) enabled() bool {
	m := s.take("enabled")
	if m == nil {
		return false
	}
	if m.value.kind != boolean {
		s.warn(m.line, s.at("enabled"), "must be true to turn it on, not %s; Sygnal ignores other values, too", m.value.kind)
	}
	return m.value.scalar == true
}
