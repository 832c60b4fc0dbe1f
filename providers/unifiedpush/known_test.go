package unifiedpush

import (
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestADeviceThatWasReadBeforeGetsTheSameAnswers(t *testing.T) {
	t.Parallel()
	devices, err := readonce.New[webpushmessage.Target]()
	if err != nil {
		t.Fatal(err)
	}
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	for _, pushkey := range []string{"https://push.example.org/a", "HTTPS://PUSH.example.org:8443", "http://push.example.org/a", ""} {
		for _, format := range []string{`{"p256dh": %q, "auth": %q}`, `{"keys": {"p256dh": %q, "auth": %q}}`, `{"p256dh": %q, "x": %q}`, ``} {
			d := &providers.Device{Pushkey: pushkey}
			if format != "" {
				d.Data = data(sub, format)
			}
			p, fresh := &Provider{known: devices}, new(Provider)
			for range 2 {
				if full := p.DefaultContent(d) == providers.ContentFull; full != strings.Contains(string(d.Data), `"auth"`) {
					t.Errorf("%s, %s: the content is full: %t", pushkey, d.Data, full)
				}
				if got, want := p.Host(d), fresh.Host(d); got != want {
					t.Errorf("%s: the host is %s, want %s", pushkey, got, want)
				}
				got, want := p.Usable(d, providers.Site{}), fresh.Usable(d, providers.Site{})
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s, %s: got %v, want %v", pushkey, d.Data, got, want)
				}
			}
		}
	}
}

// The host and the keys of a device that can't be read are needed nevertheless. So it isn't read as a whole first.
func TestForTheHostAndTheContentOnlyAPartIsRead(t *testing.T) {
	t.Parallel()
	devices, err := readonce.New[webpushmessage.Target]()
	if err != nil {
		t.Fatal(err)
	}
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	d := &providers.Device{Pushkey: "https://push.example.org/a", Data: data(sub, `{"p256dh": %q, "auth": %q}`)}
	p := &Provider{known: devices}
	if p.Host(d) == "" || p.DefaultContent(d) != providers.ContentFull {
		t.Error("there is no host, or no key")
	}
	if _, ok := devices.Peek(d); ok {
		t.Error("the whole device was read")
	}
}

// Not parallel, as the count is for the whole process.
func TestADeviceThatWasReadBeforeIsNotReadAgain(t *testing.T) {
	p := newProvider(t, "")
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	d := providers.Device{Pushkey: "https://push.example.org/a", Data: data(sub, `{"p256dh": %q, "auth": %q}`)}
	const most = 1 // to put the host and the port together
	if got := testing.AllocsPerRun(100, func() {
		_ = p.Usable(&d, providers.Site{})
		p.DefaultContent(&d)
		p.Host(&d)
		_, _ = p.subscriber(&d)
	}); got > most {
		t.Errorf("%v allocations, want at most %d", got, most)
	}
}
