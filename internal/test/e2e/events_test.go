package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestSubscribersHearOfRejectionsAndFuses(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := newProcess(t)
	gateway.start(subscribed(gatewayConfig(service.global("rejected memory\nfuse 50% 10m"), "matrix_push")))
	hs := gateway.homeserver()
	reject := func(eventID string) string {
		sub := service.Subscribe()
		wantBody(t, hs.notify(alert(eventID+"-delivered", webPushDevice(sub))), nothingRejected) // so the pushkey is not made up
		service.Answer(sub.Path, answerGone)
		hs.notify(alert(eventID, webPushDevice(sub)))
		hash := rejected.KeyOf("org.example.web", sub.P256dh).Short()
		return "pushkey_rejected app=org.example.web provider=webpush pushkey_hash=" + hash + " reason=gone"
	}

	gateway.event(reject("$1"))
	for range 19 {
		reject("$2")
	}
	host := strings.TrimPrefix(service.URL, "https://")
	gateway.event("fuse_tripped app=org.example.web host=" + host + " pushkeys=20")
	gateway.adminDo(http.MethodPost, "/matrix_push/fuses/reset", `{"app":"org.example.web"}`)
	gateway.event("fuse_reset app=org.example.web by_operator=true host=" + host)
	if err := gateway.load(subscribed(gatewayConfig(service.global("rejected memory\nfuse 50% 11m"), "matrix_push"))); err != nil {
		t.Fatal(err)
	}
	gateway.event(reject("$3"))
}

func TestSubscribersHearOfBreakersAndCredentials(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	a := newApple(t, func(o *apnstest.Options) { o.Authority = ca })
	cert, key := ca.Certificate(t, []string{bundleID}, []string{"production"}, time.Now().AddDate(0, 0, 20))
	ending := a.appWith("org.example.ending", "certificate_file "+writeSecret(t, "cert.pem", cert)+" "+writeSecret(t, "key.pem", key), "")
	gateway := newProcess(t)
	gateway.start(subscribed(gatewayConfig("rejected memory\noutbox file\n"+ending+a.app("org.example.ios", "", "wait 1s"), "matrix_push")))
	hs := gateway.homeserver()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if !gateway.log.wait(ctx, `"event":"credential_expiring app=org.example.ending expired=false expiry=`) {
		t.Error("there was no event of a credential that expires")
	}

	phones := make([]device, 10)
	for i := range phones {
		phones[i] = iPhoneOf("org.example.ios", fmt.Sprint("phone", i))
		a.Answer(phones[i].path(), apnstest.Answer{Status: http.StatusServiceUnavailable, Reason: "ServiceUnavailable"}, apnstest.Answer{Status: http.StatusOK})
	}
	hs.notify(alert("$1", phones...))
	gateway.event("breaker_opened app=org.example.ios provider=apns")
	gateway.event("breaker_closed app=org.example.ios provider=apns")
}
