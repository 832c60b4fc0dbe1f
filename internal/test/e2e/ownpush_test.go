package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// The operator of a push server adds one line to its site: the bare directive, without any configuration of the gateway. The push
// server's name resolves to this machine, as it does in many homes.

// ownPush is a push server behind the Caddy that is also its gateway.
type ownPush struct {
	scene
	// here is the push server's name in its endpoints, and there is another site of the same Caddy.
	here, there string
}

// startOwnPush starts Caddy with the push server at https://localhost:{port} and only a gateway at https://other.test:{port2}.
func startOwnPush(t *testing.T, global, tls string) ownPush {
	t.Helper()
	gateway := newProcess(t)
	here := "https://localhost:" + strconv.Itoa(gateway.port)
	there := "https://other.test:" + strconv.Itoa(gateway.port2)
	service := providertest.NewPushService(providertest.PushServiceOptions{Origin: here, RequireVAPID: true})
	backend := httptest.NewServer(service)
	t.Cleanup(backend.Close)
	t.Cleanup(service.Close)
	options := strings.Replace(head, "{global}", global, 1)
	if tls != certificate {
		// At debug level, Caddy logs the module of each event. For that, it copies its tls app while the app starts: a race.
		options = strings.Replace(options, "\tdebug\n", "", 1)
	}
	gateway.start(options + `
https://localhost:{port} {
	` + tls + `
	matrix_push
	reverse_proxy ` + strings.TrimPrefix(backend.URL, "http://") + `
}
https://other.test:{port2} {
	` + tls + `
	matrix_push
}
`)
	s := scene{t, &pushServer{PushService: service}, gateway, nil}
	return ownPush{s, here, there}
}

// at returns a homeserver that knows the gateway by this name.
func (o ownPush) at(origin string) *homeserver {
	return &homeserver{t: o.t, client: o.gateway.client(false), url: origin + "/_matrix/push/v1/notify"}
}

// wantOwn wants the push server's own gateway to deliver, and no other site's.
func (o ownPush) wantOwn() {
	t := o.t
	t.Helper()
	endpoint, sub := o.service.Endpoint("phone"), o.service.Subscribe()
	encrypted := device{
		AppID: "org.example.any", Pushkey: sub.Endpoint, PushkeyTS: at(1), Data: map[string]any{"p256dh": sub.P256dh, "auth": sub.Auth},
	}
	wantBody(t, o.at(o.here).notify(alert("$1", upDevice(endpoint), encrypted)), nothingRejected)
	o.pushes(endpoint, 1)
	if m := o.pushes(sub.Endpoint, 1)[0]; !m.Encrypted {
		t.Error("the message is not encrypted")
	}

	wantBody(t, o.at(o.there).notify(alert("$2", upDevice(endpoint), encrypted)), nothingRejected)
	o.pushes(endpoint, 1)
	o.pushes(sub.Endpoint, 1)
}

func TestTheBareDirectiveDeliversToThePushServerBehindIt(t *testing.T) {
	t.Parallel()
	startOwnPush(t, "", certificate).wantOwn()
}

func TestTheBareDirectiveDeliversToThePushServerBehindItWithTLSInternal(t *testing.T) {
	t.Parallel()
	o := startOwnPush(t, "skip_install_trust", "tls internal")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, name := range []string{"localhost", "other.test"} {
		if !o.gateway.log.wait(ctx, `"certificate obtained successfully","identifier":"`+name+`"`) {
			t.Fatalf("there is no certificate for %s:\n%s", name, o.gateway.log)
		}
	}
	// Caddy uses a certificate only shortly after it logs that it has it.
	for _, origin := range []string{o.here, o.there} {
		hs := o.at(origin)
		for {
			if _, err := hs.do(http.MethodGet, hs.url, ""); err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s does not use its certificate:\n%s", origin, o.gateway.log)
			}
		}
	}
	o.wantOwn()
}

func TestThePushServersSubscriptionDiesThroughTheBareDirective(t *testing.T) {
	t.Parallel()
	o := startOwnPush(t, "", certificate)
	d := upDevice(o.service.Endpoint("phone"))
	o.service.Answer(d.Pushkey, answerGone)
	hs := o.at(o.here)
	for _, event := range []string{"$1", "$2"} {
		wantBody(t, hs.notify(alert(event, d)), rejecting(d.Pushkey))
	}
	o.pushes(d.Pushkey, 1)
}

// P2: troubleshooting's `send` called a working push server on the gateway's own site undeliverable.
func TestSendDoesWhatAHomeserversNotificationWouldDoToThePushServerOnTheOwnSite(t *testing.T) {
	t.Parallel()
	o := startOwnPush(t, "", certificate)
	endpoint := o.service.Endpoint("phone")
	site := strings.TrimPrefix(o.here, "https://")
	there := strings.TrimPrefix(o.there, "https://")
	path := strings.TrimPrefix(endpoint, o.here)
	wantBody(t, o.at(o.here).notify(alert("$1", upDevice(endpoint))), nothingRejected)
	sent := 1
	o.pushes(endpoint, sent)
	for _, tt := range []struct {
		name, pushkey string
		args          []string
		code          int
		want          []string
		pushes        int
	}{
		{"without a site", endpoint, nil, 0, []string{"The push service accepted", "Received at     " + site}, 1},
		{"as JSON", endpoint, []string{"--json"}, 0, []string{`"outcome":"delivered"`, `"site":"` + site + `"`}, 1},
		{"with the site's name", endpoint, []string{"--site", "localhost"}, 0, []string{"The push service accepted"}, 1},
		{"with the site's name and port", endpoint, []string{"--site", site}, 0, []string{"The push service accepted"}, 1},
		{"at another site", endpoint, []string{"--site", there}, 3, []string{"dropped: blocked", "the push server is on the site localhost"}, 0},
		{"at a site that does not exist", endpoint, []string{"--site", "othre.test"}, 1, []string{`"othre.test": did you mean "other.test"? The sites are localhost and other.test`}, 0},
		{"a push server that is not a site", "https://a.test:" + o.portOf(site) + path, nil, 3, []string{"dropped: blocked", "a.test is not a site of this gateway (its sites: localhost, other.test)", "allow_private"}, 0},
		{"an address", "https://127.0.0.1:" + o.portOf(site) + path, nil, 3, []string{"dropped: blocked", "127.0.0.1 is an address"}, 0},
		{"another port of the site", "https://localhost:" + o.portOf(there) + path, nil, 3, []string{"rejected: bad_endpoint", "set the site to localhost:" + o.portOf(there)}, 0},
	} {
		args := append([]string{"send", "--app-id", "org.example.any", "--pushkey", "-"}, tt.args...)
		if r := o.gateway.running(tt.pushkey, args...); r.code != tt.code {
			t.Errorf("%s: the exit code is %d, want %d:\n%s%s", tt.name, r.code, tt.code, r.out, r.err)
		} else {
			r.want(t, tt.code, tt.want...)
		}
		sent += tt.pushes
		o.pushes(endpoint, sent)
	}
}

// portOf returns the port of an address.
func (ownPush) portOf(address string) string {
	_, port, _ := strings.Cut(address, ":")
	return port
}

func TestOnlyTheOwnNameAndPortAreOpen(t *testing.T) {
	t.Parallel()
	o := startOwnPush(t, "", certificate)
	endpoint := o.service.Endpoint("phone")
	s := newSentinel(t, "127.0.0.1:0")
	path := strings.TrimPrefix(endpoint, o.here)
	hs := o.at(o.here)
	for i, pushkey := range []string{"https://localhost:" + s.port + path, "https://localhost:" + strconv.Itoa(o.gateway.port2) + path} {
		wantBody(t, hs.notify(alert("$port"+strconv.Itoa(i), upDevice(pushkey))), rejecting(pushkey)) // a typo
	}
	for i, pushkey := range []string{
		"https://127.0.0.1:" + s.port + path,
		"https://127.0.0.1:" + strconv.Itoa(o.gateway.port) + path,
		"https://[::1]:" + strconv.Itoa(o.gateway.port) + path,
	} {
		wantBody(t, hs.notify(alert("$"+strconv.Itoa(i), upDevice(pushkey))), nothingRejected)
	}

	// The client chooses the Host header: without the TLS server name, it proves nothing.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"https://other.test:"+strconv.Itoa(o.gateway.port)+"/_matrix/push/v1/notify", strings.NewReader(alert("$host", upDevice(endpoint))))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "localhost:" + strconv.Itoa(o.gateway.port)
	resp, err := o.gateway.client(false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("answered %s", resp.Status)
	}
	o.pushes(endpoint, 0)
	s.wantNoContact(t, "127.0.0.1")
}
