package webpush

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestADeviceThatWasReadBeforeGetsTheSameAnswers(t *testing.T) {
	t.Parallel()
	devices, err := readonce.New[*pusher]()
	if err != nil {
		t.Fatal(err)
	}
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	sub.Endpoint = "https://push.example.org/secret"
	whole := fmt.Sprintf(`{"endpoint": %q, "keys": {"p256dh": %q, "auth": %q}}`, sub.Endpoint, sub.P256dh, sub.Auth)
	data := func(endpoint, more string) providers.Device {
		return providers.Device{Pushkey: sub.P256dh, Data: fmt.Appendf(nil, `{"endpoint": %q, "auth": %q%s}`, endpoint, sub.Auth, more)}
	}
	for _, d := range []providers.Device{
		data(sub.Endpoint, ""),
		data("HTTPS://PUSH.example.org:0443/a?b=c#d", ""),
		data("https://push.example.org:8443/a", `, "events_only": true`),
		data(sub.Endpoint, `, "endpoint": "https://other.example.org/"`),
		data(sub.Endpoint, `, "endpoint": null`),
		data(sub.Endpoint, `, "endpoint": ["https://other.example.org/"]`),
		{Pushkey: sub.P256dh, Data: fmt.Appendf(nil, `{"endpoint": 1, "endpoint": %q, "auth": %q}`, sub.Endpoint, sub.Auth)},
		data(sub.Endpoint, fmt.Sprintf(`, "default_payload": {"large": %q}`, strings.Repeat("x", 2000))),
		data("http://push.example.org", ""),
		{Pushkey: whole},
		{Pushkey: whole, Data: json.RawMessage(`{"endpoint": "https://other.example.org/"}`)},
		{Pushkey: "x", Data: fmt.Appendf(nil, `{"endpoint": %q}`, sub.Endpoint)},
		{Pushkey: sub.P256dh},
		{},
	} {
		p, fresh := &Provider{known: devices}, new(Provider)
		for range 2 {
			if got, want := p.Target(&d), fresh.Target(&d); got != want {
				t.Errorf("%s: the target is %s, want %s", d.Data, got, want)
			}
			if got, want := p.Host(&d), fresh.Host(&d); got != want {
				t.Errorf("%s: the host is %s, want %s", d.Data, got, want)
			}
			got, want := p.Usable(&d, providers.Site{}), fresh.Usable(&d, providers.Site{})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, want %v", d.Data, got, want)
			}
		}
	}
}

// Strangers choose the devices, and checking a key takes most of the time. So it is left to what needs the key.
func TestForTheHostAndTheTargetOnlyTheEndpointIsRead(t *testing.T) {
	t.Parallel()
	devices, err := readonce.New[*pusher]()
	if err != nil {
		t.Fatal(err)
	}
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	sub.Endpoint = "https://push.example.org/secret"
	d, p := device(sub, ""), &Provider{known: devices}
	if p.Target(&d) == "" || p.Host(&d) == "" {
		t.Error("there is no endpoint")
	}
	if _, ok := devices.Peek(&d); ok {
		t.Error("the whole device was read")
	}
	if err := p.Usable(&d, providers.Site{}); err != nil {
		t.Error(err)
	}
	if _, ok := devices.Peek(&d); !ok {
		t.Error("the device is not remembered")
	}
}

// Not parallel, as the count is for the whole process.
func TestADeviceThatWasReadBeforeIsNotReadAgain(t *testing.T) {
	p := newProvider(t, "")
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	sub.Endpoint = "https://push.example.org/secret"
	d := device(sub, "")
	push := pushOf(alert(), d)
	const most = 3 // to put the target and the host together
	if got := testing.AllocsPerRun(100, func() {
		p.Target(&d)
		_ = p.Usable(&d, providers.Site{})
		p.Host(&d)
		_, _ = p.subscriber(push)
	}); got > most {
		t.Errorf("%v allocations, want at most %d", got, most)
	}
}
