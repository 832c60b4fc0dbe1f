package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestAPushServicesWordIsShownUnlessItMayBeASecret(t *testing.T) {
	t.Parallel()
	const (
		token    = "2b8f1a6c0d3e4f5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c"
		endpoint = `{"endpoint":"https://push.example.org/wpush/v2/gAAAAABsecretOfTheSubscription","auth":"c2VjcmV0LW9mLTE2LWJ5dA"}`
		escaped  = `{"endpoint":"https://push.example.org/\u0067AAAAAB\u0073ecretOfTheSubscription"}`
	)
	for _, tt := range []struct {
		source, said, pushkey, data, want string
	}{
		{"APNSwift#229", "BadEnvironmentKeyInToken", token, "", "BadEnvironmentKeyInToken"},
		{"autopush's errno", "109", token, "", "109"},
		{"autopush's errno, which a token may contain", "109", "10910910", `{"x":"109"}`, "109"},
		{"ntfy's code", "42908", token, "", "42908"},
		{"WNS", "channel_expired", token, "", "channel_expired"},
		{"a word of 64 characters", strings.Repeat("a", 64), token, "", strings.Repeat("a", 64)},
		{"a sentence", "Bad token " + token[:8], token, "", ""},
		{"65 characters", strings.Repeat("a", 65), token, "", ""},
		{"line breaks", "Bad\nToken", token, "", ""},
		{"the pushkey", token, token, "", ""},
		{"the pushkey in capitals", strings.ToUpper(token), token, "", ""},
		{"part of the pushkey", token[20:30], token, "", ""},
		{"part of the pushkey behind a word", "BadToken_" + token[20:40], token, "", ""},
		{"part of a pushkey without digits behind a word", "Bad_ghijklmnopqrs", "abcdefghijklmnopqrstuvwxyz", "", ""},
		{"the whole pushkey within a word", "Bad_device17_", "device17", "", ""},
		{"part of the endpoint", "gAAAAABsecretOf", "key", endpoint, ""},
		{"part of the endpoint, which the data spell in another way", "gAAAAABsecretOf", "key", escaped, ""},
		{"the auth secret", "c2VjcmV0LW9mLTE2LWJ5dA", "key", endpoint, ""},
		{"another's token: many digits", "d8a1f2c3b4e5d6f7a8b9c0d1e2f3a4b5", token, "", ""},
		{"a long number", "12345678901234567", token, "", ""},
		{"a pushkey of one letter is in most words", "Unregistered", "e", "", "Unregistered"},
		{"data that is not JSON", "gAAAAABsecretOf", "key", `"gAAAAABsecretOfTheSubscription`, ""},
	} {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			o := providers.Misconfigured("refused", nil)
			o.Word = tt.said
			app := appFor("app", always(o))
			ctx, cancel := context.WithTimeout(t.Context(), attemptTimeout) // a call needs a deadline
			defer cancel()
			got := app.Push(ctx, &providers.Push{Device: &providers.Device{Pushkey: tt.pushkey, Data: json.RawMessage(tt.data)}}).Word
			if got != tt.want {
				t.Errorf("%q is shown as %q, want %q", tt.said, got, tt.want)
			}
		})
	}
}

func TestAWordIsShownWhereverTheReasonIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := providers.Misconfigured("http_403", errors.New("detail"))
		o.Word = "BadEnvironmentKeyInToken"
		r := newRig(t, appFor("app", &scripted{script: func(context.Context, *providers.Push) providers.Outcome { return o }}))
		r.notify(event("$1", device("a pushkey")))
		status := r.Status(t.Context())
		if got := status[0].Troubles[0].Word; got != o.Word {
			t.Errorf("the trouble has %q", got)
		}
		if d := r.Degradations(status); len(d) != 1 || d[0].Word != o.Word || d[0].Detail != "http_403" {
			t.Errorf("degraded is %+v", d)
		}
		decoded, _ := Decode([]byte(event("$2", device("a pushkey"))), 100)
		e, err := r.Explain(t.Context(), r.Router.Apps()[0].keyOf(&decoded.Devices[0]), Described{AppID: "app"})
		if err != nil || e.Last == nil || e.Last.Word != o.Word {
			t.Errorf("explained is %+v, %v", e.Last, err)
		}
		trial, err := r.Try(t.Context(), decoded, Address{})
		if err != nil || trial.Word != o.Word {
			t.Errorf("the trial is %+v, %v", trial, err)
		}
	})
}
