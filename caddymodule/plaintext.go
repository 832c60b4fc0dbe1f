package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
		protos := r.Header.Values("X-Forwarded-Proto")
		return trusted && len(protos) == 1 && strings.EqualFold(strings.TrimSpace(protos[0]), "https")
	default:
		return false
	}
}
