package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestAForwardedProtoCountsIfAllOfItSaysHTTPS(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		source string
		protos []string
		want   bool
	}{
		{"one proxy", []string{"https"}, true},
		{"waitress#442: two proxies", []string{"https, https"}, true},
		{"discourse#19651: without a space", []string{"https,https"}, true},
		{"RFC 9110 section 5.3: separate fields", []string{"https", "https"}, true},
		{"lists in separate fields", []string{"https, HTTPS", " https\t"}, true},
		{"http before", []string{"http, https"}, false},
		{"http behind", []string{"https, http"}, false},
		{"http in a separate field", []string{"https", "http"}, false},
		{"an empty element", []string{"https,,https"}, false},
		{"an empty element at the end", []string{"https,"}, false},
		{"an empty field", []string{"https", ""}, false},
		{"nothing but a comma", []string{","}, false},
		{"an empty header", []string{""}, false},
		{"no header", nil, false},
		{"another word", []string{"https, wss"}, false},
		{"another separator", []string{"https; https"}, false},
		{"a word that begins like it", []string{"httpsx"}, false},
	} {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			for _, trusted := range []bool{true, false} {
				r := httptest.NewRequest(http.MethodPost, "http://push.example.org"+endpoint, nil)
				r.Header["X-Forwarded-Proto"] = tt.protos
				r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.TrustedProxyVarKey: trusted}))
				for plaintext, want := range map[string]bool{plaintextTrustedProxy: tt.want && trusted, plaintextRefuse: false, plaintextAllow: true} {
					if got := (&Handler{Plaintext: plaintext}).errPlaintext(r) == nil; got != want {
						t.Errorf("with %s, from a trusted proxy: %v: it is %v", plaintext, trusted, got)
					}
				}
			}
		})
	}
}

// P1 of the newcomer's report: one text for four causes.
func TestTheAnswerWithoutTLSNamesItsCause(t *testing.T) {
	t.Parallel()
	texts := make(map[string]string)
	for _, tt := range []struct {
		cause, plaintext string
		trusted          bool
		protos           []string
		message, hint    string
	}{
		{"no TLS", plaintextRefuse, false, []string{"https"}, "use an https URL", "set plaintext to trusted_proxy"},
		{"the proxy is not trusted", plaintextTrustedProxy, false, []string{"https"}, "X-Forwarded-Proto counts only if a trusted proxy", "trusted_proxies"},
		{"no header", plaintextTrustedProxy, true, nil, "X-Forwarded-Proto: https, and the header is missing", "$scheme"},
		{"the header says http", plaintextTrustedProxy, true, []string{"http-secret"}, "X-Forwarded-Proto must contain only https", "https URL"},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://push.example.org"+endpoint, nil)
		r.Header["X-Forwarded-Proto"] = tt.protos
		r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.TrustedProxyVarKey: tt.trusted}))
		err := (&Handler{Plaintext: tt.plaintext}).errPlaintext(r)
		if err == nil || err.Status != http.StatusForbidden || err.Reason != "plaintext" {
			t.Fatalf("%s: answered %+v", tt.cause, err)
		}
		if !strings.Contains(err.Message, tt.message) || !strings.Contains(err.Hint, tt.hint) || strings.Contains(err.Message, "secret") {
			t.Errorf("%s: the answer is %q, the hint %q", tt.cause, err.Message, err.Hint)
		}
		if other := texts[err.Message]; other != "" {
			t.Errorf("%s has the same text as %s", tt.cause, other)
		}
		texts[err.Message] = tt.cause
	}
}
