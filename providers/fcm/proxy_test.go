package fcm

import (
	"net/url"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/sockstest"
)

func TestAccessTokensAndMessagesGoThroughASOCKSProxy(t *testing.T) {
	t.Parallel()
	var proxy *sockstest.Proxy
	b := newBench(t, func(service *fcmtest.Service, p *Provider) {
		server, err := url.Parse(service.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxy = sockstest.New(t, server.Host)
		p.Proxy = "socks5h://" + proxy.Addr().String()
	})
	b.want(t, alert(), providers.KindDelivered, "delivered")
	if asked := proxy.Asked(); len(asked) != 2 {
		t.Errorf("the proxy was asked for %q", asked)
	}
}
