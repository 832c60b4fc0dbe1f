package network_test

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// A provider's block in a Caddyfile, with its own option volume.
func ExampleUnmarshal() {
	var options network.Options
	var volume string
	d := caddyfile.NewTestDispenser(`bell {
		endpoint https://relay.example.org
		proxy    socks5://proxy.example.org:1080
		volume   11
	}`)
	if err := network.Unmarshal(d, &options, map[string]*string{"volume": &volume}); err != nil {
		log.Fatal(err)
	}
	settings, err := options.Resolve()
	if err != nil {
		log.Fatal(err)
	}
	proxy, err := settings.Proxy(&url.URL{Scheme: "https", Host: "push.example.org"})
	fmt.Println(volume, settings.Endpoint, proxy, err)
	// Output: 11 https://relay.example.org socks5://proxy.example.org:1080 <nil>
}

// An error of net/http contains the URL, which no outcome may show.
func ExampleFailed() {
	err := &url.Error{Op: "Post", URL: "https://push.example.org/secret", Err: context.DeadlineExceeded}
	outcome := network.Failed(err)
	fmt.Println(outcome.Kind, outcome.Reason, outcome.Err)
	// Output: retry timeout no answer in time
}

func ExampleRetryAfter() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	fmt.Println(network.RetryAfter("120", now), network.RetryAfter("Thu, 01 Jan 2026 12:05:00 GMT", now), network.RetryAfter("soon", now))
	// Output: 2m0s 5m0s 0s
}
