package sygnal

import "net/http"

// config becomes Caddy's configuration. Its types copy the needed parts of Caddy's and caddymodule's types, so the adapter has few
// dependencies. A test loads the result.
type config struct {
	Apps apps `json:"apps"`
}

type apps struct {
	HTTP       httpApp `json:"http"`
	MatrixPush pushApp `json:"matrix_push"`
}

// httpApp is a caddyhttp.App.
type httpApp struct {
	Servers map[string]*server `json:"servers"`
}

// server is a caddyhttp.Server.
type server struct {
	Listen         []string        `json:"listen"`
	Routes         []route         `json:"routes"`
	AutoHTTPS      autoHTTPS       `json:"automatic_https"`
	Protocols      []string        `json:"protocols"`
	TrustedProxies *trustedProxies `json:"trusted_proxies,omitempty"`
	Logs           *struct{}       `json:"logs,omitempty"` // an access log with default settings
}

type route struct {
	Match  []match   `json:"match,omitempty"`
	Handle []handler `json:"handle"`
}

type match struct {
	Method []string `json:"method"`
	Path   []string `json:"path"`
}

// handler has a handler's name and options.
type handler map[string]any

// protocols are the protocols that a server speaks without TLS.
var protocols = []string{"h1"}

// autoHTTPS is off: Sygnal speaks no TLS, whatever its port.
type autoHTTPS struct {
	Disable bool `json:"disable"`
}

type trustedProxies struct {
	Source string   `json:"source"`
	Ranges []string `json:"ranges"`
}

// pushApp is a caddymodule.App.
type pushApp struct {
	Apps    map[string]*appConfig `json:"apps"`
	MaxBody int                   `json:"max_body"`
}

// appConfig is a caddymodule.AppConfig.
type appConfig struct {
	Provider    map[string]any `json:"provider"`
	TTL         string         `json:"ttl,omitempty"`
	Content     string         `json:"content,omitempty"`
	Badges      string         `json:"badges,omitempty"`
	Concurrency int            `json:"concurrency,omitempty"`
}

// privateRanges are the ranges of `trusted_proxies static private_ranges` in a Caddyfile.
var privateRanges = []string{"192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1"}

func handlers(all ...handler) route { return route{Handle: all} }

// respond returns a handler that answers with a status and no body.
func respond(status int) handler { return handler{"handler": "static_response", "status_code": status} }

// health returns Sygnal's health route. Sygnal logs it only at debug level, so it is not in the access log.
func health() route {
	r := handlers(handler{"handler": "vars", "log_skip": true}, respond(http.StatusOK))
	r.Match = []match{{Method: []string{http.MethodGet, http.MethodHead}, Path: []string{"/health"}}}
	return r
}
