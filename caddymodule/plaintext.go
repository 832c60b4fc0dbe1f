package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// The values of the handler's plaintext option.
const (
	plaintextRefuse       = "refuse"
	plaintextTrustedProxy = "trusted_proxy"
	plaintextAllow        = "allow"
)

// checkPlaintext refuses a server that can only serve plaintext, unless the option allows that.
func (h *Handler) checkPlaintext(ctx caddy.Context) error {
	switch h.Plaintext {
	case "":
		h.Plaintext = plaintextRefuse
	case plaintextRefuse, plaintextTrustedProxy, plaintextAllow:
	default:
		return fmt.Errorf("plaintext: %q is not valid: use refuse, trusted_proxy or allow", h.Plaintext)
	}
	// By now, Caddy's HTTP app has set up automatic HTTPS and put the server into the context. That is not documented, but requests are
	// checked in any case.
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if ok && h.Plaintext == plaintextRefuse && len(server.TLSConnPolicies) == 0 {
		return errors.New("plaintext: this server never speaks TLS, and a Matrix push gateway must; behind a proxy that does, " +
			"set plaintext to trusted_proxy")
	}
	return nil
}

// secure reports whether a request reached this server, or the trusted proxy in front of it, over TLS.
func (h *Handler) secure(r *http.Request) bool {
	switch {
	case r.TLS != nil || h.Plaintext == plaintextAllow:
		return true
	case h.Plaintext == plaintextTrustedProxy:
		trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
		return trusted && allHTTPS(r.Header.Values("X-Forwarded-Proto"))
	default:
		return false
	}
}

// allHTTPS reports whether each proxy on the way reported https. Several proxies add to the header, as a list or as another field (RFC 9110
// section 5.3; waitress#442, discourse#19651). If one reported anything else, or nothing, it got the request in plaintext.
func allHTTPS(protos []string) bool {
	for _, proto := range protos {
		for one := range strings.SplitSeq(proto, ",") {
			if !strings.EqualFold(strings.TrimSpace(one), "https") {
				return false
			}
		}
	}
	return len(protos) > 0
}

// errPlaintext is the answer to a request that is not secure.
func (h *Handler) errPlaintext() *gateway.Error {
	err := gateway.ErrPlaintext()
	if h.Plaintext == plaintextTrustedProxy {
		err.Message += ": a proxy in trusted_proxies must send X-Forwarded-Proto, and it must contain only https"
	}
	return err
}
