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

// checkPlaintext refuses a configuration that could never serve anything but plaintext.
func (h *Handler) checkPlaintext(ctx caddy.Context) error {
	switch h.Plaintext {
	case "":
		h.Plaintext = plaintextRefuse
	case plaintextRefuse, plaintextTrustedProxy, plaintextAllow:
	default:
		return fmt.Errorf("plaintext: %q is none of refuse, trusted_proxy and allow", h.Plaintext)
	}
	// Caddy's HTTP app has set up automatic HTTPS by now, and puts the server into the context; that it does is not
	// documented, and the check at request time stands in any case.
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if ok && h.Plaintext == plaintextRefuse && len(server.TLSConnPolicies) == 0 {
		return errors.New("this server never speaks TLS, and a Matrix push gateway must; behind a proxy that does, " +
			"set plaintext to trusted_proxy")
	}
	return nil
}

// secure says whether a request reached us, or the proxy in front of us, over TLS.
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

// allHTTPS reports whether each proxy on the way says https. Several add to the header, as a list or as one more field (RFC 9110 section
// 5.3; waitress#442, discourse#19651). One that says anything else, or nothing, got the request in plaintext.
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
		err.Message += ": a proxy of trusted_proxies has to send X-Forwarded-Proto, and all of it has to say https"
	}
	return err
}
