package telemetry

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// Anyone on the internet can send such requests all day.
func TestARefusedNotificationIsOneLineAMinuteForEachReasonAndSite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := zapobserver.New(zapcore.InfoLevel)
		o := NewObserver(zap.New(core), nil)
		refused := []*gateway.Error{gateway.ErrPlaintext("use TLS", "fix it"), gateway.ErrTooLarge(10), gateway.ErrWrongPath(), gateway.ErrNoPath()}
		counted := growth(t, metrics.notificationsRefused.WithLabelValues("no_path"))
		for range 3 {
			for i := range 50 {
				for _, err := range refused {
					for _, site := range []string{"a.example.org on :443", "b.example.org on :443"} {
						o.RequestRefused(err, &Request{Site: site, From: fmt.Sprint("192.0.2.", i), Path: fmt.Sprint("/", i)})
					}
					o.RequestRefused(err, nil)
				}
			}
			time.Sleep(repeatAfter)
		}
		if n := logs.FilterMessage("notify request refused").Len(); n != 3*2*len(refused) || logs.Len() != n {
			t.Errorf("%d of %d lines are about refused notifications", n, logs.Len())
		}
		if n := counted(); n < 3*3*50 {
			t.Errorf("%v are counted", n)
		}
	})
}

func TestALineAboutARefusedNotificationShowsWhatWasSeenButNoSecret(t *testing.T) {
	t.Parallel()
	core, logs := zapobserver.New(zapcore.InfoLevel)
	o := NewObserver(zap.New(core), nil)
	for i, tt := range []struct {
		name, path, shownPath string
		protos                []string
		shownProto            string
	}{
		{"no header", "/_matrix/push/v1/notify", "/_matrix/push/v1/notify", nil, "(absent)"},
		{"an empty header", "/", "/", []string{""}, ""},
		{"a header that says http", "/v1/notify", "/v1/notify", []string{"https", "http"}, "https, http"},
		{"a long header", "/notify", "/notify", []string{strings.Repeat("a", 1000)}, strings.Repeat("a", maxProto) + "…"},
		{"a header that clears the screen", "/notify", "/notify", []string{"\x1b[2J\u202eé"}, "?[2J?é"},
		{"a push server's path", "/upAbCdEfGhIjKl/_matrix/push/v1/notify", "/…/_matrix/push/v1/notify", nil, "(absent)"},
		{"a path that is not UTF-8", "/\xff\n/notify", "/??/notify", nil, "(absent)"},
		{"a long path", strings.Repeat("/aaaaaaaaa", 1000), strings.Repeat("/aaaaaaaaa", maxPath/10) + "…", nil, "(absent)"},
	} {
		o.RequestRefused(gateway.ErrWrongPath(), &Request{Site: tt.name, From: "192.0.2.1", Path: tt.path, ForwardedProto: tt.protos})
		if logs.Len() != i+1 {
			t.Fatalf("%s: %d lines", tt.name, logs.Len())
		}
		line := logs.All()[i]
		for field, want := range map[string]any{
			"reason": "wrong_path", "status": int64(404), "site": tt.name, "from": "192.0.2.1", "path": tt.shownPath,
			"x_forwarded_proto": tt.shownProto, "hint": gateway.ErrWrongPath().Hint, "error": "there is no such endpoint",
		} {
			if got := line.ContextMap()[field]; got != want || line.Level != zapcore.WarnLevel {
				t.Errorf("%s: %s is %q, want %q", tt.name, field, got, want)
			}
		}
	}
}
