package endpoint_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// A push to a URL that a user chose. This machine is off limits unless the operator allows it.
func Example() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }))
	defer server.Close()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ca := filepath.Join(dir, "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()}) // Provision gets one
	defer cancel()

	for _, allowed := range [][]string{nil, {"127.0.0.1"}} {
		client, err := endpoint.NewClient(ctx, &endpoint.Options{
			Options: network.Options{TrustedCA: ca, Proxy: "none"}, AllowPrivate: allowed,
		})
		if err != nil {
			log.Fatal(err)
		}
		client.Start()
		fmt.Println(push(ctx, client, server.URL+"/a-secret-path"))
		if err := client.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// dropped blocked
	// delivered delivered
}

// push shows how a provider's Push uses the client.
func push(ctx context.Context, client *endpoint.Client, pushkey string) (providers.Kind, string) {
	u, err := endpoint.Parse(pushkey)
	if err != nil {
		return providers.KindRejected, "bad_endpoint"
	}
	var outcome providers.Outcome
	answer, err := client.Post(ctx, u, providers.Site{}, http.Header{"Ttl": {"60"}}, []byte("a message"))
	if err != nil {
		outcome = endpoint.Failed(err)
	} else {
		outcome = endpoint.Outcome(answer, time.Now())
	}
	return outcome.Kind, outcome.Reason
}
