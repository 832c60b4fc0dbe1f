package e2e

import (
	"encoding/base64"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// hostileServer returns a push server that answers requests below /hostile/ with the status in their path.
func hostileServer(t *testing.T) *pushServer {
	t.Helper()
	service := providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true})
	genuine := received(service)
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, hostile := strings.CutPrefix(r.URL.Path, "/hostile/")
		if !hostile {
			genuine.ServeHTTP(w, r)
			return
		}
		status, _ := strconv.Atoi(path)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(status)
	}))
	service.SetOrigin(server.URL)
	t.Cleanup(service.Close)
	return &pushServer{service, server}
}

// beside returns a device with another's pushkey and another endpoint. Anybody who knows the pushkey can make one up.
func beside(d device, endpoint string) device {
	d.Data = maps.Clone(d.Data)
	d.Data["endpoint"], d.Data["auth"] = endpoint, base64.RawURLEncoding.EncodeToString([]byte("another's secret"))
	return d
}

// The inputs of a review: one request of 310 bytes made the gateway reject the subscription until 2106, or delay its pushes for an hour.
func TestAnotherEndpointLeavesABrowsersSubscriptionAlone(t *testing.T) {
	t.Parallel()
	service := hostileServer(t)
	gateway := startGateway(t, service.global(durable), "matrix_push")
	s := scene{t, service, gateway, gateway.homeserver()}
	sub, dead, busy := service.Subscribe(), service.TLSServer.URL+"/hostile/410", service.TLSServer.URL+"/hostile/503"
	victim := registered(webPushDevice(sub), at(1_795_930_000))
	wantBody(t, s.hs.notify(alert("$1", victim)), nothingRejected)
	wantBody(t, s.hs.notify(alert("$2", registered(beside(victim, dead), at(math.MaxInt64)))), rejecting(victim.Pushkey))
	wantBody(t, s.hs.notify(alert("$3", beside(victim, busy))), nothingRejected)
	began := time.Now()
	for id, ts := range map[string]*int64{"$4": at(1_795_930_001), "$5": at(4_102_444_800), "$6": nil} {
		wantBody(t, s.hs.notify(alert(id, registered(victim, ts))), nothingRejected)
	}
	s.pushes(sub.Endpoint, 4)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	// In one request with the live endpoint, the pushkey is not rejected. Without it, it still is.
	wantBody(t, s.hs.notify(alert("$7", victim, beside(victim, dead))), nothingRejected)
	wantBody(t, s.hs.notify(alert("$8", registered(beside(victim, dead), at(1_795_930_000)))), rejecting(victim.Pushkey))
	s.pushes(sub.Endpoint, 5)

	// The operator sees three endpoints, with an explanation for each.
	device := []string{"--app-id", victim.AppID, "--pushkey", victim.Pushkey}
	explain := append([]string{"rejected", "explain"}, device...)
	if r := s.gateway.running("", explain...); r.code != 1 || !strings.Contains(r.err, "several endpoints") {
		t.Errorf("the command ends with %d: %s%s", r.code, r.out, r.err)
	}
	s.gateway.running("", append(explain, "--endpoint", sub.Endpoint)...).want(t, 0, "not recorded", "delivered")
	s.gateway.running("", append(explain, "--endpoint", dead)...).want(t, 3, "recorded as dead", "Pending pushes  no")
	s.gateway.running("", append(explain, "--endpoint", busy)...).want(t, 0, "not recorded", "Pending pushes  yes")
	forget := append([]string{"rejected", "forget"}, device...)
	s.gateway.running("", append(forget, "--endpoint", sub.Endpoint)...).want(t, 0, "There is no record")
	s.gateway.running("", forget...).want(t, 0, "1 rejection of the pushkey")
}

// Rejections from before endpoints were recorded are dropped at the first start, and only then, and only for webpush apps. The records of
// an app that unifiedpush served have the same form.
func TestRejectionsWithoutAnEndpointAreDroppedAtTheFirstStart(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	config := gatewayConfig(service.global("rejected file"), "matrix_push")
	before := strings.Replace(strings.Replace(config, "webpush {", "unifiedpush {", 1), "org.example.up {", "org.example.other {", 1)
	gateway := newProcess(t)
	gateway.start(before)
	hs := gateway.homeserver()
	for name, appID := range map[string]string{"one": "org.example.web", "two": "org.example.web", "three": "org.example.other"} {
		d := upDevice(service.Endpoint(name))
		d.AppID = appID
		service.Answer(d.Pushkey, answerGone)
		wantBody(t, hs.notify(alert("$1", d)), rejecting(d.Pushkey))
	}
	gateway.terminate()
	after := strings.Replace(config, "org.example.up {", "org.example.other {", 1)
	gateway.start(after)
	const message = "rejections recorded by an earlier version were dropped"
	gateway.wantLogged(message)
	records := func() (n int) {
		_, answer := gateway.adminDo(http.MethodGet, "/matrix_push/rejected", "")
		if !strings.Contains(answer, `"app":"org.example.other"`) {
			t.Errorf("the other app's record is gone: %s", answer)
		}
		return strings.Count(answer, `"reason"`)
	}
	if n := records(); n != 1 {
		t.Errorf("%d records are left", n)
	}
	sub := service.Subscribe()
	service.Answer(sub.Endpoint, answerGone)
	wantBody(t, gateway.homeserver().notify(alert("$2", webPushDevice(sub))), rejecting(sub.P256dh))
	gateway.terminate()
	gateway.start(after)
	if n := records(); n != 2 {
		t.Errorf("%d records are left after another start", n)
	}
}
