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
					if got := (&Handler{Plaintext: plaintext}).secure(r); got != want {
						t.Errorf("with %s, from a trusted proxy: %v: it is %v", plaintext, trusted, got)
					}
				}
			}
		})
	}
}

func TestTheAnswerBehindAProxyNamesTheHeader(t *testing.T) {
	t.Parallel()
	for plaintext, want := range map[string]bool{plaintextTrustedProxy: true, plaintextRefuse: false} {
		w := httptest.NewRecorder()
		h := &Handler{Plaintext: plaintext}
		fail(w, h.errPlaintext())
		if got := strings.Contains(w.Body.String(), "X-Forwarded-Proto"); w.Code != http.StatusForbidden || got != want {
			t.Errorf("with %s: %d %s", plaintext, w.Code, w.Body)
		}
	}
}
