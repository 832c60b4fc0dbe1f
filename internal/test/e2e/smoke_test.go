package e2e

import (
	"context"
	"testing"
)

func TestOneNotificationReachesAUnifiedPushAndAWebPushSubscriber(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global(""), "matrix_push")
	hs := gateway.homeserver()
	endpoint, subscription := service.Endpoint("phone"), service.Subscribe()

	r := hs.notify(alert("$1", upDevice(endpoint), webPushDevice(subscription)))
	if r.Status != 200 || r.Rejected == nil || len(r.Rejected) != 0 {
		t.Fatalf("answered %d %s", r.Status, r.Body)
	}
	for _, path := range []string{endpoint, subscription.Endpoint} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		m, err := service.Wait(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Violations) > 0 {
			t.Errorf("the push breaks rules: %v", m.Violations)
		}
		t.Logf("%s %s", m.Header, m.Body)
	}
}
