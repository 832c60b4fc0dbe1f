package providertest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// The service accepts a correct push, and reports what is wrong with another one.
func ExamplePushService() {
	push := providertest.NewPushService(providertest.PushServiceOptions{})
	server := httptest.NewServer(push)
	defer server.Close()
	defer push.Close()
	push.SetOrigin(server.URL)
	endpoint := push.Endpoint("phone")

	for _, header := range []http.Header{{"Ttl": {"60"}}, {}} { // what a provider sends
		request, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(`{"notification": {"event_id": "$event"}}`))
		if err != nil {
			log.Fatal(err)
		}
		request.Header = header
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		_ = answer.Body.Close()

		message, err := push.Wait(context.Background(), endpoint)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.Status, message.TTL, message.Violations)
	}
	// Output:
	// 201 Created 60 []
	// 400 Bad Request -1 [TTL is missing or not a number of seconds]
}
