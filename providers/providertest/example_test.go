package providertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/service"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// lamp is a provider for a made-up push service that switches lamps on. A pushkey is the hexadecimal number of a lamp.
type lamp struct{ client *service.Client }

// newLamp makes a provider from its options, as Provision does.
func newLamp(options network.Options) (*lamp, error) {
	settings, err := options.Resolve()
	if err != nil {
		return nil, err
	}
	server := &url.URL{Scheme: "https", Host: "lamps.example.org"}
	client, err := service.NewClient(service.Options{Server: server, Settings: settings})
	return &lamp{client}, err
}

// Usable implements providers.Usable.
func (*lamp) Usable(d *providers.Device, _ providers.Site) error {
	if d.Pushkey == "" || strings.Trim(d.Pushkey, "0123456789abcdef") != "" {
		return &providers.UnusableError{Reason: "bad_pushkey", Err: errors.New("the pushkey is not hexadecimal")}
	}
	return nil
}

// Push implements providers.Provider.
func (l *lamp) Push(ctx context.Context, p *providers.Push) providers.Outcome {
	if err := l.Usable(p.Device, p.Site); err != nil {
		return providers.Unusable("bad_pushkey", err)
	}
	body, err := json.Marshal(map[string]any{"on": !p.Notification.Badge, "event_id": p.Notification.EventID})
	if err != nil {
		return providers.Dropped("bad_message", err)
	}
	answer, err := l.client.Post(ctx, "/lamps/"+p.Device.Pushkey, nil, body)
	switch {
	case err != nil:
		return network.Failed(err)
	case answer.Status < 300:
		return providers.Delivered()
	case answer.Status == http.StatusUnauthorized:
		return providers.Misconfigured("token_refused", nil)
	default:
		return providers.Retry("server_error", network.RetryAfter(answer.Header.Get("Retry-After"), time.Now()), nil)
	}
}

// lampSuite describes the provider.
func lampSuite() providertest.Suite {
	const pushkey = "0123456789abcdef"
	return providertest.Suite{
		New: func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
			l, err := newLamp(network.Options{Endpoint: baseURL, TrustedCA: caFile, Proxy: "none"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.client.Close() })
			return l, &providers.Push{
				Notification: &providers.Notification{EventID: "$event", RoomID: "!room:example.org"},
				Device:       &providers.Device{AppID: "org.example.lamp", Pushkey: pushkey},
			}
		},
		Rings: func(_ *http.Request, body []byte) bool { return strings.Contains(string(body), `"on":true`) },
		Verdicts: []providertest.Verdict{
			{Name: "taken", Status: 200, Kind: providers.KindDelivered, Reason: "delivered"},
			{Name: "a token that is not known", Status: 401, Kind: providers.KindMisconfigured, Reason: "token_refused"},
			{
				Name: "an outage", Status: 503, Header: http.Header{"Retry-After": {"5"}},
				Kind: providers.KindRetry, RetryAfter: 5 * time.Second, Reason: "server_error",
			},
		},
		Unusable: []providers.Device{{Pushkey: ""}, {Pushkey: "kitchen"}},
		Secrets:  []string{pushkey},
	}
}

// A test in the provider's package passes the suite to Run.
func Example() {
	TestTheProviderKeepsTheContract := func(t *testing.T) {
		t.Parallel()
		providertest.Run(t, lampSuite())
	}
	_ = TestTheProviderKeepsTheContract
}
