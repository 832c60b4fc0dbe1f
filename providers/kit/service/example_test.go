package service_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/service"
)

// A provider's server. The option endpoint replaces it here, as an operator or a test does.
func Example() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, r.Method, r.URL.Path, r.Proto)
	}))
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

	// In Provision:
	client, err := service.ForHost("push.example.org", &network.Options{Endpoint: server.URL, TrustedCA: ca, Proxy: "none"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close() // in Cleanup

	// In Push:
	answer, err := client.Post(context.Background(), "/messages", http.Header{"Content-Type": {"application/json"}}, []byte("{}"))
	if err != nil {
		log.Fatal(network.Failed(err).Reason)
	}
	fmt.Printf("%d %s", answer.Status, answer.Body)
	// Output: 200 POST /messages HTTP/1.1
}

// A provider's Preview shows the request that its Push makes.
func ExampleClient_Preview() {
	client, err := service.ForHost("push.example.org", &network.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	shown := client.Preview("/messages/"+providers.Masked, http.Header{"Content-Type": {"application/json"}}, []byte("{}")).Requests[0]
	fmt.Println(shown.Method, shown.URL)
	fmt.Println(shown.Header["Content-Type"], shown.Header["User-Agent"])
	// Output:
	// POST https://push.example.org/messages/…
	// [application/json] [caddy-matrix-push]
}

// A provider first checks for the answers that its push service documents.
func ExampleAnswer_Outcome() {
	classify := func(answer *service.Answer) providers.Outcome {
		if answer.Status == http.StatusGone { // as the push service documents it
			return providers.Rejected("gone")
		}
		return answer.Outcome()
	}
	for _, status := range []int{200, 404, 410, 503} {
		outcome := classify(&service.Answer{Status: status})
		fmt.Println(status, outcome.Kind, outcome.Reason)
	}
	// Output:
	// 200 delivered delivered
	// 404 retry unexpected_answer
	// 410 rejected gone
	// 503 retry server_error
}
