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

// forwardedProto is the header in which a proxy reports how it got a request.
const forwardedProto = "X-Forwarded-Proto"

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

// errPlaintext is the answer to a request that reached neither this server nor the trusted proxy in front of it over TLS. It is nil for any
// other request. It doesn't show the configuration or the header's value, because anyone can send the request.
func (h *Handler) errPlaintext(r *http.Request) *gateway.Error {
	switch {
	case r.TLS != nil || h.Plaintext == plaintextAllow:
		return nil
	case h.Plaintext != plaintextTrustedProxy:
		return gateway.ErrPlaintext("use an https URL",
			"homeservers must use the https URL; if a proxy in front of this site has the certificate, set plaintext to trusted_proxy")
	}
	protos := r.Header.Values(forwardedProto)
	switch trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); {
	case !trusted:
		return gateway.ErrPlaintext("X-Forwarded-Proto counts only if a trusted proxy sends it, and this sender is not one",
			"if `from` is the address of your proxy, add it to trusted_proxies, in the global option servers")
	case len(protos) == 0:
		return gateway.ErrPlaintext("the proxy must send X-Forwarded-Proto: https, and the header is missing",
			"configure the proxy to send X-Forwarded-Proto: https (nginx: proxy_set_header X-Forwarded-Proto $scheme)")
	case !allHTTPS(protos):
		return gateway.ErrPlaintext("X-Forwarded-Proto must contain only https",
			"homeservers must use the https URL; each proxy on the way must report https in X-Forwarded-Proto")
	}
	return nil
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
