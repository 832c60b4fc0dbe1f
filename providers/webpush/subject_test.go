package webpush

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestWithoutASubjectTheFirstSiteIsNamed(t *testing.T) {
	t.Parallel()
	for _, hosts := range [][]string{{"push.matrix.org", "other.matrix.org"}} {
		service := providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true})
		server := providertest.NewTLSServer(t, service)
		service.SetOrigin(server.URL)
		t.Cleanup(service.Close)
		p := new(Provider)
		p.Options.Options = messagetest.Options(server.CAFile)
		t.Cleanup(func() {
			if err := p.Cleanup(); err != nil {
				t.Errorf("Cleanup: %v", err)
			}
		})
		if err := p.Provision(newContext(t)); err != nil {
			t.Fatal(err)
		}
		sub := service.Subscribe()
		d := device(sub, "")
		want(t, p.Push(t.Context(), pushOf(alert(), d)), providers.KindRetry, "starting")
		if err := p.Mounted(hosts); err != nil {
			t.Fatal(err)
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub = service.SubscribeFor(p.sender.PublicKey())
		d = device(sub, "")
		want(t, p.Push(t.Context(), pushOf(alert(), d)), providers.KindDelivered, "delivered")
		subject := ""
		if len(hosts) > 0 {
			subject = "https://push.matrix.org"
		}
		if m := service.Messages(sub.Path)[0]; !m.VAPID || m.Subject != subject {
			t.Errorf("with %q, the message is %+v", hosts, m)
		}
	}
}
