package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// A homeserver that got no answer sends the request again. Here it gives up as soon as the push service has the push. So when
// the repetition comes, the gateway has delivered the push, or is about to learn that it has.
func TestARequestThatWasCutOffAndIsRepeatedIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory"), "matrix_push")
	hs := gateway.homeserver()
	endpoint := service.Endpoint("phone")
	const events = 50
	for i := range events {
		body := alert(fmt.Sprintf("$%d", i), upDevice(endpoint))
		impatient, giveUp := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(impatient, http.MethodPost, hs.url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if resp, err := hs.client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if _, err := service.Wait(ctx, endpoint); err != nil {
			t.Fatal(err)
		}
		cancel()
		giveUp()
		if r := hs.notify(body); r.Status != http.StatusOK {
			t.Errorf("the repetition was answered %d %s", r.Status, r.Body)
		}
		<-answered
	}
	if n := len(service.Messages(endpoint)); n != events {
		t.Errorf("%d pushes arrived for %d events", n, events)
	}
}

func TestOfARequestThatFailedInPartOnlyTheRestIsRepeated(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory"), "matrix_push")
	hs := gateway.homeserver()
	works, fails := service.Endpoint("works"), service.Endpoint("fails")
	service.Answer(fails, providertest.Answer{
		Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"7"}}, Times: 1,
	})
	body := alert("$1", upDevice(works), upDevice(fails))

	r := hs.notify(body)
	if r.Status != http.StatusServiceUnavailable || r.ErrCode != "M_UNKNOWN" || r.Header.Get("Retry-After") != "7" {
		t.Errorf("answered %d %v %s", r.Status, r.Header, r.Body)
	}
	if r := hs.notify(body); r.Status != http.StatusOK {
		t.Errorf("the repetition was answered %d %s", r.Status, r.Body)
	}
	if n := len(service.Messages(works)); n != 1 {
		t.Errorf("%d pushes arrived where the first one did", n)
	}
	if n := len(service.Messages(fails)); n != 2 {
		t.Errorf("%d pushes were tried where the first one failed", n)
	}
}
