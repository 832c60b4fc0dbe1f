package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Mistakes of other gateways. Each test names the gateway whose mistake it guards against.

// Hedwig rejected a pushkey whenever its push service could not be reached, so an outage unsubscribed everybody.
func TestHedwig_AnOutageOfEverythingRejectsNobody(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	outage := []providertest.Answer{
		{Status: 500},
		{Status: 502},
		{Status: 503},
		{Status: 504},
		{Status: hasToWait.status, Header: http.Header{"Retry-After": {hasToWait.retryAfter}}},
		{Status: 401},
		{Status: 403},
		{Drop: true},
		{Status: 507},
		{Status: 408},
	}
	var endpoints []string
	for i := range 2 { // a third would pause the host for a minute
		endpoint := s.service.Endpoint(fmt.Sprint("limited-", i))
		s.service.Answer(endpoint, providertest.Answer{Status: http.StatusTooManyRequests})
		endpoints = append(endpoints, endpoint)
	}
	for i := range 6 * len(outage) {
		endpoint := s.service.Endpoint(strconv.Itoa(i))
		s.service.Answer(endpoint, outage[i%len(outage)])
		endpoints = append(endpoints, endpoint)
	}
	round := func(want func(*testing.T, reply)) {
		var wg sync.WaitGroup
		for _, endpoint := range endpoints {
			wg.Go(func() {
				r, err := s.hs.try(alert("$1", upDevice(endpoint)))
				if err != nil {
					t.Error(err)
					return
				}
				want(t, r)
			})
		}
		wg.Wait()
	}
	round(wantLater)
	round(wantLater)
	for _, endpoint := range endpoints {
		s.service.Answer(endpoint)
	}
	s.hs.repeat(alert("$again", upDevice(endpoints[0]))) // the server gets no pushes for a while
	round(func(t *testing.T, r reply) { t.Helper(); wantBody(t, r, nothingRejected) })
}

// common-proxies remembered a host that refused a connection as bad, and rejected everybody on it.
func TestCommonProxies_ARefusedConnectionRejectsNobodyOnThatHost(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	alive := s.service.Endpoint("alive")
	dead := fmt.Sprintf("https://127.0.0.1:%d/up/", freePort(t))
	for i := range 10 {
		wantLater(t, s.hs.notify(alert("$1", upDevice(dead+strconv.Itoa(i)), upDevice(alive))))
	}
	s.pushes(alive, 1)
	wantBody(t, s.hs.notify(alert("$2", upDevice(alive))), nothingRejected)
}

// common-proxies listed the URL as its parser writes it, so the homeserver did not recognise it.
func TestCommonProxies_APushkeyWithAnUpperCaseSchemeIsEchoedVerbatim(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for _, pushkey := range []string{"HTTP://up.example.org/Token", "HTTP://UP.EXAMPLE.ORG", "HTTPS://user@UP.example.org/%7e"} {
		wantBody(t, s.hs.notify(alert("$1", upDevice(pushkey))), rejectingVerbatim(pushkey))
	}
}

// common-proxies treated 202 and 204 as failures.
func TestCommonProxies_EverySuccessIsASuccess(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for _, status := range []int{200, 201, 202, 204} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			endpoint := s.service.Endpoint(strconv.Itoa(status))
			s.service.Answer(endpoint, providertest.Answer{Status: status})
			for range 2 { // the second one is a duplicate of the first
				wantBody(t, s.hs.notify(alert("$1", upDevice(endpoint))), nothingRejected)
			}
			s.pushes(endpoint, 1)
		})
	}
}

// common-proxies and Go's own client follow a redirect, which may lead into the operator's network; others treat it as a verdict.
func TestCommonProxies_ARedirectIsAFailureAndNotFollowed(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	target := s.service.Endpoint("target")
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			endpoint := s.service.Endpoint(strconv.Itoa(status))
			s.service.Answer(endpoint, providertest.Answer{Status: status, Header: http.Header{"Location": {target}}})
			wantLater(t, s.hs.notify(alert("$1", upDevice(endpoint))))
			s.pushes(endpoint, 1)
		})
	}
	s.pushes(target, 0)
}

// common-proxies gave up on the whole request at the first pushkey that it could not parse.
func TestCommonProxies_AMalformedPushkeyDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	first, last, sub := s.service.Endpoint("first"), s.service.Endpoint("last"), s.service.Subscribe()
	noKey := webPushDevice(sub)
	noKey.Pushkey = "no key"
	malformed := []string{"%zz", "https://[::1", "://", "https://host:port/"}
	devices := []device{upDevice(first)}
	for _, pushkey := range malformed {
		devices = append(devices, upDevice(pushkey))
	}
	devices = append(devices, noKey, webPushDevice(sub), upDevice(last))
	wantBody(t, s.hs.notify(alert("$1", devices...)), rejecting(append(malformed, noKey.Pushkey)...))
	for _, endpoint := range []string{first, last, sub.Endpoint} {
		s.pushes(endpoint, 1)
	}
}

// ntfy delivers only to a request's first device.
func TestNtfy_TheSecondDeviceIsDeliveredToo(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	first, second := s.service.Endpoint("first"), s.service.Endpoint("second")
	wantBody(t, s.hs.notify(alert("$1", upDevice(first), upDevice(second))), nothingRejected)
	s.pushes(first, 1)
	s.pushes(second, 1)
}

// ntfy and common-proxies answer a large event with an error, so the homeserver repeats it for a day.
func TestNtfy_ALargeEventDoesNotLoop(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for _, size := range []int{5 << 10, 60 << 10} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			plain, strict, sub := s.service.Endpoint(fmt.Sprint("plain", size)), s.service.Endpoint(fmt.Sprint("strict", size)), s.service.Subscribe()
			keys := s.service.Subscribe()
			encrypted := upDevice(keys.Endpoint)
			encrypted.Data = map[string]any{"p256dh": keys.P256dh, "auth": keys.Auth}
			s.service.Answer(strict, providertest.Answer{Status: http.StatusRequestEntityTooLarge}) // whatever is left out
			wantBody(t, s.hs.notify(compose(map[string]any{
				"event_id": "$1", "room_id": "!room:hs.test", "type": "m.room.message", "sender": "@alice:hs.test",
				"content": map[string]any{"msgtype": "m.text", "body": strings.Repeat("<ü>", size/4)},
			}, []device{upDevice(plain), upDevice(strict), encrypted, webPushDevice(sub)})), nothingRejected)
			for _, endpoint := range []string{plain, keys.Endpoint, sub.Endpoint} {
				if m, n := s.push(endpoint); n["event_id"] != "$1" || m.Size > 4096 {
					t.Errorf("the push has %d bytes and is %s", m.Size, m.Body)
				}
			}
		})
	}
}

// ntfy matched a regular expression against the whole pushkey, so a path or a query could match instead of the host.
func TestNtfy_TheGuardLooksAtTheAddressAlone(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, strings.ReplaceAll(service.global("rejected memory"), "127.0.0.0/8", "10.9.9.9"), "matrix_push")
	hs := gateway.homeserver()
	secret := service.Endpoint("secret")
	host := strings.TrimPrefix(service.URL, "https://")
	for _, test := range []struct {
		name, pushkey string
		rejected      bool
	}{
		{"as it is", secret, false},
		{"an allowed host in the path", "https://" + host + "/10.9.9.9/", false},
		{"an allowed URL in the path", "https://" + host + "/https://10.9.9.9/up", false},
		{"an allowed host in the query", secret + "?https://10.9.9.9/", false},
		{"an allowed host in the fragment", secret + "#@10.9.9.9/", false},
		{"an allowed host as the user", "https://10.9.9.9@" + host + "/up/secret", true},
		{"an allowed host as user and password", "https://10.9.9.9:443@" + host + "/up/secret", true},
		{"an allowed host behind a backslash", `https://` + host + `\@10.9.9.9/up/secret`, true},
		{"the gateway's own name in the query", secret + "?gateway.test", false},
		{"the gateway's own name as the user", "https://gateway.test@" + host + "/up/secret", true},
		{"the address in another notation", strings.Replace(secret, "127.0.0.1", "[::ffff:127.0.0.1]", 1), false},
		{"a name for the address", strings.Replace(secret, "127.0.0.1", "localhost", 1), false},
		{"the unspecified address", strings.Replace(secret, "127.0.0.1", "0.0.0.0", 1), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := nothingRejected
			if test.rejected {
				want = rejecting(test.pushkey)
			}
			wantBody(t, hs.notify(alert("$1", upDevice(test.pushkey))), want)
		})
	}
	if n := service.Connections(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// gorush appended to one list from every goroutine, and lost outcomes.
func TestGorush_200ParallelFailuresGive200Answers(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	// Most are not failures of the server, whose breaker would open otherwise.
	outcomes := []providertest.Answer{
		{Status: 503}, {Status: 410}, {Status: 410}, {Status: 410}, {Drop: true}, {Status: 404}, {Status: 410}, {Status: 410},
	}
	var answers atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		endpoint := s.service.Endpoint(strconv.Itoa(i))
		outcome := outcomes[i%len(outcomes)]
		s.service.Answer(endpoint, outcome)
		wg.Go(func() {
			r, err := s.hs.try(alert("$1", upDevice(endpoint)))
			switch {
			case err != nil:
				t.Error(err)
				return
			case outcome.Status == 410:
				wantBody(t, r, rejecting(endpoint))
			default:
				wantLater(t, r)
			}
			answers.Add(1)
		})
	}
	wg.Wait()
	if n := answers.Load(); n != 200 {
		t.Errorf("%d answers", n)
	}
	t.Run("in one request", func(t *testing.T) {
		var devices []device
		var gone []string
		for i := range 100 {
			endpoint := s.service.Endpoint("one-" + strconv.Itoa(i))
			if i%2 == 1 {
				s.service.Answer(endpoint, answerGone)
				gone = append(gone, endpoint)
			}
			devices = append(devices, upDevice(endpoint))
		}
		wantBody(t, s.hs.notify(alert("$2", devices...)), rejecting(gone...))
	})
}

// Hedwig read com.foo as a prefix.
func TestHedwig_AnAppIDIsNoPrefix(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	global := service.global("rejected memory")
	gateway := startGateway(t, strings.Replace(strings.Replace(global, "org.example.up", "com.foo", 1), "org.example.web", "com.foo.*", 1), "matrix_push")
	hs := gateway.homeserver()
	endpoint, sub := service.Endpoint("phone"), service.Subscribe()
	for _, appID := range []string{"com.foobar", "com.fo", "com.foo ", "Com.foo", "xcom.foo", "com.foo\x00", "com-foo.ios"} {
		t.Run(appID, func(t *testing.T) {
			wantBody(t, hs.notify(alert("$1", device{AppID: appID, Pushkey: endpoint})), rejecting(endpoint))
		})
	}
	if n := len(service.Messages(endpoint)); n != 0 {
		t.Errorf("%d pushes were sent", n)
	}
	glob := webPushDevice(sub)
	glob.AppID = "com.foo.ios"
	wantBody(t, hs.notify(alert("$1", device{AppID: "com.foo", Pushkey: endpoint}, glob)), nothingRejected)
	if n, m := len(service.Messages(endpoint)), len(service.Messages(sub.Endpoint)); n != 1 || m != 1 {
		t.Errorf("%d and %d pushes were sent", n, m)
	}
}

// Hedwig answered 400 to each of these, and blocked the pusher.
func TestHedwig_NullTypeEmptySenderAndLargeCountsAreAccepted(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	for i, unread := range []string{"70000", "4294967296", "2.0"} {
		wantBody(t, s.hs.notify(`{"notification":{"id":"","type":null,"sender":"","counts":{"unread":`+unread+`},"devices":[
			{"app_id":"org.example.up","pushkey":"`+endpoint+`","pushkey_ts":1700000000,"data":{}}]}}`), nothingRejected)
		var body struct {
			Notification struct {
				Counts struct {
					Unread float64 `json:"unread"`
				} `json:"counts"`
			} `json:"notification"`
		}
		m := s.pushes(endpoint, i+1)[i]
		want, _ := strconv.ParseFloat(unread, 64)
		if err := json.Unmarshal(m.Body, &body); err != nil || body.Notification.Counts.Unread != want {
			t.Errorf("%s unread messages are sent as %s", unread, m.Body)
		}
	}
}

// With a gateway that suppresses duplicates, the button of Element's troubleshooter works only once.
func TestElement_TheTroubleshootersFakeEventIsDeliveredTwice(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	body := compose(map[string]any{"event_id": "$THIS_IS_A_FAKE_EVENT_ID"}, []device{{
		AppID: "org.example.up", Pushkey: endpoint, Data: map[string]any{"default_payload": map[string]any{"cs": "A_FAKE_SECRET"}},
	}})
	for range 2 {
		wantBody(t, s.hs.notify(body), nothingRejected)
	}
	for _, m := range s.pushes(endpoint, 2) {
		if !strings.Contains(string(m.Body), `"$THIS_IS_A_FAKE_EVENT_ID"`) {
			t.Errorf("the push is %s", m.Body)
		}
	}
}

// common-proxies' reload takes a lock that every request to a slow endpoint holds.
func TestCommonProxies_AReloadDuringASlowPushBlocksNobody(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	slow, fast := s.service.Endpoint("slow"), s.service.Endpoint("fast")
	s.service.Answer(slow, providertest.Answer{Hang: true})
	answered := make(chan reply, 1)
	go func() {
		r, err := s.hs.try(alert("$1", upDevice(slow)))
		if err != nil {
			t.Error(err)
		}
		answered <- r
	}()
	if _, err := s.service.Wait(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := s.gateway.set("apps/matrix_push/apps/org.example.up/ttl", fmt.Sprintf(`"%dh"`, i+1)); err != nil {
			t.Fatal(err)
		}
		wantBody(t, s.gateway.homeserver().insist(alert(fmt.Sprintf("$%d", i), upDevice(fast))), nothingRejected)
	}
	s.pushes(fast, 3)
	select {
	case r := <-answered:
		t.Fatalf("the slow one was answered %d %s before its endpoint did anything", r.Status, r.Body)
	default:
	}
	s.service.PushService.Close() // drops the connections that hang
	wantLater(t, <-answered)
}

// ntfy and common-proxies left response bodies unread or open, so each push made a new connection.
func TestNtfy_AnswersAreReadSoThatConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	var connections, requests atomic.Int64
	ca := providertest.NewCA(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := requests.Add(1)
		w.WriteHeader([]int{201, 503, 429, 413, 500, 302, 410}[n%7])
		_, _ = io.WriteString(w, strings.Repeat("words ", 500))
	}))
	// HTTP/1.1 needs another connection after each answer that was not read.
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, "127.0.0.1")}, MinVersion: tls.VersionTLS12}
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	service := &pushServer{TLSServer: &providertest.TLSServer{Server: server, CA: ca, CAFile: ca.File}}
	hs := startGateway(t, service.global("rejected memory"), "matrix_push").homeserver()
	for i := range 50 {
		hs.notify(alert("$1", upDevice(fmt.Sprintf("%s/up/%d", server.URL, i))))
	}
	if n, c := requests.Load(), connections.Load(); n < 50 || c != 1 {
		t.Errorf("%d pushes took %d connections", n, c)
	}
}
