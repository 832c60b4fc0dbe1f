package sygnal

import (
	"net/url"
	"strings"
)

// proxy reads the proxy that everything goes through. Without one, Sygnal asks HTTPS_PROXY, and so do this gateway's providers.
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
	case strings.Contains(raw, "{"): // a placeholder, whose value is looked at while loading
		return raw
	case err != nil: // not quoted: it may have a password in it
		s.fail(s.line(key), key, "it is not a URL")
		return ""
	case u.Scheme != "http" || u.Hostname() == "":
		s.fail(s.line(key), key, "it is not http://[user:password@]host[:port]")
		return ""
	}
	if _, set := u.User.Password(); u.User != nil && !set {
		s.warn(s.line(key), key, "the user is not carried over: Sygnal leaves out one without a password, too")
		u.User = nil
	}
	if u.User != nil {
		s.warn(s.line(key), key, "its password is in the adapted configuration, which the admin API shows and Caddy keeps as autosave.json. "+
			"Next: write a placeholder such as {env.PROXY_URL} in its place")
	}
	return (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}).String()
}

// log reads what is to be logged, and says whether the access log shows whom a proxy forwarded a request for.
func (s *section) log() (forwarded bool) {
	l := s.sub("log")
	l.drop("setup", "it is for Python's logging. Caddy logs to stderr, and its access log has what the logger sygnal.access has. "+
		"Next: the global option log of a Caddyfile, or logging in JSON, sets files, formats and levels")
	access := l.sub("access")
	forwarded = access.boolean("x_forwarded_for", false)
	access.drop("file", "Sygnal does not read it any more, either")
	access.drop("enabled", "Sygnal does not read it any more, either: there is an access log in any case")
	access.done()
	l.done()
	return forwarded
}

// metrics reads where metrics are served; the address is empty if they are not.
func (s *section) metrics() (address string) {
	m := s.sub("metrics")
	prometheus := m.sub("prometheus")
	enabled := prometheus.enabled()
	host, port := prometheus.host("address", "127.0.0.1"), prometheus.port(8000)
	if enabled {
		address = listener(host, port)
		prometheus.warn(prometheus.line("enabled"), prometheus.path, "the listener is carried over, the names of metrics are not: they "+
			"are this gateway's and Caddy's. Next: the table in docs/sygnal.md for your dashboards and alerts")
	}
	prometheus.done()

	tracing := m.sub("opentracing")
	tracing.ignore("implementation", "service_name", "jaeger")
	if tracing.enabled() {
		tracing.warn(tracing.line("enabled"), tracing.path, "not carried over: OpenTracing and Jaeger's client have come to their end. "+
			"Next: Caddy's directive tracing, in front of matrix_push, sends spans over OTLP, which Jaeger takes")
	}
	tracing.done()

	sentry := m.sub("sentry")
	sentry.ignore("dsn")
	if sentry.enabled() {
		sentry.warn(sentry.line("enabled"), sentry.path, "not carried over: nothing here reports to Sentry. "+
			"Next: what you have to mend is logged at level error; collect that, or alert on metrics")
	}
	sentry.done()
	m.done()
	return address
}

// enabled says whether a part of the metrics is on. Sygnal takes nothing but true for that.
func (s *section) enabled() bool {
	m := s.take("enabled")
	if m == nil {
		return false
	}
	if m.value.kind != boolean {
		s.warn(m.line, s.at("enabled"), "it is %s, which does not turn it on, with Sygnal neither: true does", m.value.kind)
	}
	return m.value.scalar == true
}
