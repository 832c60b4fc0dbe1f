package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestEachDeviceHasItsOwnFate(t *testing.T) {
	t.Parallel()
	outcomes := map[string]providers.Outcome{
		"good": providers.Delivered(), "gone": providers.Rejected("gone"), "gone2": providers.Rejected("gone"),
		"broken": providers.Unusable("bad_token", nil), "big": providers.Dropped("too_large", nil),
		"down": providers.Retry("unreachable", 0, nil), "slow": providers.Retry("rate_limited", time.Minute, nil),
	}
	tests := []struct {
		name    string
		devices []string
		want    string
	}{
		{"the second device is delivered (ntfy)", []string{"good", "big"}, `[]`},
		{"a malformed one stops no other (common-proxies)", []string{"broken", "good"}, `["broken"]`},
		{"only the dead ones are listed, in the request's order", []string{"gone2", "good", "gone"}, `["gone2","gone"]`},
		{"one that is down has the request sent again", []string{"good", "gone", "down"}, `503 after 5s`},
		{"the longest pause counts", []string{"down", "slow"}, `503 after 1m0s`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := byPushkey(outcomes)
				r := newRig(t, appFor("app", p))
				var devices []string
				for _, pushkey := range tt.devices {
					devices = append(devices, device(pushkey))
				}
				wantLine(t, r.notify(event("$e", devices...)), tt.want)
				wantPushes(t, p, len(tt.devices))
			})
		})
	}
}

func TestARequestThatIsSentAgainRepeatsOnlyTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		good, bad := always(providers.Delivered()), inTurn(providers.Retry("busy", 0, nil), providers.Delivered())
		r := newRig(t, appFor("good", good), appFor("bad", bad))
		body := event("$e", deviceOf("good", "a", 1), deviceOf("bad", "b", 1))
		wantLine(t, r.notify(body), `503 after 5s`)
		wantLine(t, r.notify(body), `[]`)
		wantPushes(t, good, 1)
		wantPushes(t, bad, 2)
	})
}

func TestDevicesAreDeliveredAtTheSameTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := after(time.Second, providers.Delivered())
		r := newRig(t, appFor("app", p))
		var devices []string
		for i := range maxParallel {
			devices = append(devices, device(fmt.Sprint(i)))
		}
		start := time.Now()
		wantLine(t, r.notify(event("$e", devices...)), `[]`)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestTwoHundredFailuresAreTwoHundredOutcomes(t *testing.T) { // gorush lost some
	t.Parallel()
	const n = 200
	var devices, pushkeys []string
	for i := range n {
		pushkeys = append(pushkeys, fmt.Sprintf("key%d", i))
		devices = append(devices, device(pushkeys[i]))
	}
	all, _ := json.Marshal(pushkeys)
	tests := []struct {
		name string
		o    providers.Outcome
		want string
	}{
		{"rejected", providers.Rejected("gone"), string(all)},
		{"failed", providers.Retry("unreachable", 0, nil), `503 after 10s`}, // the breaker opens on the way
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				app := appFor("app", after(time.Millisecond, tt.o))
				app.Limit = limit.NewFair(8, n)
				r := newRig(t, app)
				wantLine(t, r.notify(event("$e", devices...)), tt.want)
				if saw := r.attempts(); len(saw) != n {
					t.Errorf("the observer saw %d attempts", len(saw))
				}
			})
		})
	}
}

func TestAPushkeyUnderTwoApps(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		a, b providers.Outcome
		want string
	}{
		{"is listed once if both are dead", providers.Rejected("gone"), providers.Rejected("gone"), `["key"]`},
		{"is not listed if the first is alive", providers.Delivered(), providers.Rejected("gone"), `[]`},
		{"is not listed if the second is alive", providers.Rejected("gone"), providers.Delivered(), `[]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, appFor("a", always(tt.a)), appFor("b", always(tt.b)))
				body := event("$e", deviceOf("a", "key", 1), deviceOf("b", "key", 1))
				for range 2 { // by the provider's verdict, and by the store's
					wantLine(t, r.notify(body), tt.want)
				}
			})
		})
	}
}

func TestPushkeysAreEchoedAsReceived(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, sent, want string }{
		{"base64 with padding", `"YWI="`, `"YWI="`},
		{"characters that HTML would escape", `"<a&b>"`, `"<a&b>"`},
		{"percent signs", `"https://x.example/%2F?a=b%20c"`, `"https://x.example/%2F?a=b%20c"`},
		{"an upper-case scheme and host (common-proxies)", `"HTTP://EXAMPLE.org/Up"`, `"HTTP://EXAMPLE.org/Up"`},
		{"characters beyond ASCII", `"püsh 🚀"`, `"püsh 🚀"`},
		{"a subscription in JSON", `"{\"endpoint\":\"https://x\"}"`, `"{\"endpoint\":\"https://x\"}"`},
		{"a NUL", `"\u0000"`, `"\u0000"`},
		{"a lone surrogate, byte for byte", `"a\uD800b"`, `"a\uD800b"`},
		{"a lone surrogate beside a pair", `"\ud83d\ude80\udc00"`, `"\ud83d\ude80\udc00"`},
		{"the replacement character itself", `"�"`, `"�"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, appFor("app", always(providers.Rejected("gone"))))
				wantLine(t, r.notify(`{"notification":{"devices":[{"app_id":"app","pushkey":`+tt.sent+`}]}}`), "["+tt.want+"]")
			})
		})
	}
}

func TestALoneSurrogateIsEchoedAtItsPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", always(providers.Rejected("gone"))))
		var devices []string
		for _, pushkey := range []string{"a", "a", `\ud800`, "b", `c\udfff`} { // the second is the first again
			devices = append(devices, `{"app_id":"app","pushkey":"`+pushkey+`"}`)
		}
		wantLine(t, r.notify(event("$e", devices...)), `["a","\ud800","b","c\udfff"]`)
	})
}

func TestADisconnectedClientCancelsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) { // no context passes from a request into an attempt
		var cause error
		p := &scripted{script: func(ctx context.Context, _ *providers.Push) providers.Outcome {
			time.Sleep(20 * time.Second)
			cause = ctx.Err()
			return providers.Delivered()
		}}
		r := newRig(t, appFor("app", p))
		r.notify(event("$e", device("key")))
		if r.attempts(); cause != nil {
			t.Errorf("the attempt's context ended: %v", cause)
		}
	})
}
