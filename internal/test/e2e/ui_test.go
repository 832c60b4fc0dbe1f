package e2e

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// uiGateways runs a test with a gateway whose admin endpoint is a Unix socket, and with one whose admin endpoint is a TCP port.
func uiGateways(t *testing.T, test func(t *testing.T, u *unreliable, gateway *process, page *uiSession)) {
	for _, kind := range []string{"a Unix socket", "TCP"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			u := newUnreliable(t)
			gateway := newProcess(t)
			config := gatewayConfig(durable+"fuse 50% 10m\n"+u.moreUp("org.example.up", "wait 200ms"), "matrix_push")
			address := "unix/" + gateway.dir + "/admin.sock"
			if kind == "TCP" {
				address = "127.0.0.1:" + strconv.Itoa(gateway.port2)
				config = strings.Replace(config, "admin unix/{dir}/admin.sock", "admin "+address, 1)
			}
			gateway.start(config)
			test(t, u, gateway, gateway.ui(address))
		})
	}
}

func TestV39_ThePageForgetsARejectionOfARealGateway(t *testing.T) {
	t.Parallel()
	uiGateways(t, func(t *testing.T, u *unreliable, gateway *process, page *uiSession) {
		hs := gateway.homeserver()
		d := upDevice(u.Endpoint("phone"))
		wantBody(t, hs.notify(alert("$1", d)), nothingRejected)
		u.set(behaviour{status: http.StatusGone}, d)
		wantBody(t, hs.notify(alert("$2", d)), rejecting(d.Pushkey))
		hash := rejected.KeyOf(d.AppID, d.Pushkey).String()

		page.shows("/", "The gateway is ready.", "org.example.up", "1 delivered, 1 other", "file, 1 dead or suspected")
		byValue := url.Values{"app_id": {d.AppID}, "pushkey": {d.Pushkey}}
		page.does("/pushkeys/explain", byValue, "The pushkey is recorded as dead.", hash, "gone, recorded for the app org.example.up")
		page.does("/pushkeys/explain", url.Values{"hash": {hash[:8]}}, "The pushkey is recorded as dead.")
		page.does("/pushkeys/explain", url.Values{"hash": {"00000000"}}, "Nothing is known")
		page.does("/pushkeys/list", url.Values{"app": {"org.example.up"}}, hash)
		page.does("/pushkeys/forget", url.Values{"hash": {hash}}, "The gateway forgot the rejection of "+hash)
		page.does("/pushkeys/forget", url.Values{"hash": {hash}}, "There was no record of "+hash)
		page.does("/pushkeys/explain", byValue, "The pushkey is not recorded as dead.")
		u.set(behaviour{}, d)
		wantBody(t, hs.notify(alert("$3", d)), nothingRejected)
	})
}

func TestV39_ThePageRetriesAndDropsPendingPushesOfARealGateway(t *testing.T) {
	t.Parallel()
	uiGateways(t, func(t *testing.T, u *unreliable, gateway *process, page *uiSession) {
		hs := gateway.homeserver()
		one, two := upDevice(u.Endpoint("one")), upDevice(u.Endpoint("two"))
		u.set(behaviour{status: http.StatusServiceUnavailable, retryAfter: "3600"})
		for _, d := range []device{one, two} {
			wantBody(t, hs.notify(alert("$1"+d.Pushkey, d)), nothingRejected)
			wantBody(t, hs.notify(alert("$2"+d.Pushkey, d)), nothingRejected)
		}
		hash := rejected.KeyOf(one.AppID, one.Pushkey).String()
		app := func() url.Values { return url.Values{"app": {"org.example.up"}} }
		page.shows("/outbox", "org.example.up", "<div>4</div>", "<div>2</div>")
		page.does("/outbox/list", app(), hash, "alert", "(in 60m)")
		form := app()
		form.Set("hash", hash)
		page.does("/outbox/drop", form, "Drop the pending pushes of "+hash+"?")
		page.shows("/outbox", "<div>4</div>")
		form.Set("confirmed", "yes")
		page.does("/outbox/drop", form, "2 pushes dropped.")
		u.set(behaviour{})
		page.does("/outbox/retry", app(), "The gateway retries the pending pushes of the app org.example.up now.")
		u.await("the other device's pushes arrive", func() bool { return u.arrivals(one, two) == 2 })
		page.does("/outbox/retry", url.Values{"app": {"org.exmple.up"}}, `did you mean "org.example.up"?`)
		empty := func() bool { return strings.Contains(page.shows("/outbox"), "There are no pending pushes.") }
		until(t, "no push is pending", empty)
		u.set(behaviour{status: http.StatusServiceUnavailable, retryAfter: "3600"})
		wantBody(t, hs.notify(alert("$3", one)), nothingRejected)
		all := app()
		all.Set("confirmed", "yes")
		page.does("/outbox/drop", all, "1 push dropped.")
		until(t, "no push is pending", empty)
	})
}

func TestV39_ThePageResetsTheFuseOfARealGateway(t *testing.T) {
	t.Parallel()
	uiGateways(t, func(t *testing.T, u *unreliable, gateway *process, page *uiSession) {
		hs := gateway.homeserver()
		for i := range 20 {
			d := upDevice(u.Endpoint("phone" + strconv.Itoa(i)))
			wantBody(t, hs.notify(alert("$0", d)), nothingRejected)
			u.set(behaviour{status: http.StatusGone}, d)
			hs.notify(alert("$1", d))
		}
		page.shows("/", "something needs attention", "the fuse tripped")
		app := url.Values{"app": {"org.example.up"}}
		page.shows("/app?"+app.Encode(), "tripped for 1 host (20 of 20 dead)")
		page.does("/fuse/reset", app, "Reset the fuse of the app org.example.up?")
		page.shows("/", "something needs attention")
		app.Set("confirmed", "yes")
		page.does("/fuse/reset", app, "The fuse is reset.")
		page.shows("/", "The gateway is ready.")
		page.does("/fuse/reset", url.Values{"confirmed": {"yes"}}, "The fuse was not tripped.")
	})
}

func TestV39_ThePageSendsATestPushThroughARealGateway(t *testing.T) {
	t.Parallel()
	uiGateways(t, func(t *testing.T, u *unreliable, _ *process, page *uiSession) {
		d := upDevice(u.Endpoint("phone"))
		canaries.note(aPushkey, d.Pushkey)
		send := func(do string) url.Values { return url.Values{"app_id": {d.AppID}, "pushkey": {d.Pushkey}, "do": {do}} }
		page.does("/test", send("preview"), "Nothing was sent. The gateway would send this notification", "POST https://127.0.0.1")
		if n := u.arrivals(d); n != 0 {
			t.Errorf("%d pushes arrived", n)
		}
		page.does("/test", send("send"), "The push service accepted the notification")
		if n := u.arrivals(d); n != 1 {
			t.Errorf("%d pushes arrived", n)
		}
		u.set(behaviour{status: http.StatusGone}, d)
		page.does("/test", send("send"), "The notification was not delivered.", "rejected: gone", "the homeserver would remove the pusher")
	})
}

func TestV36_ThePageOutlivesTheGateway(t *testing.T) {
	t.Parallel()
	uiGateways(t, func(_ *testing.T, _ *unreliable, gateway *process, page *uiSession) {
		page.shows("/", "The gateway is ready.")
		config := string(readFile(gateway.t, gateway.dir+"/Caddyfile"))
		gateway.kill()
		page.shows("/", "The gateway cannot be asked", "cannot be reached")
		gateway.start(config)
		page.shows("/", "The gateway is ready.")
	})
}

func TestV37_TheCommandPrintsHowToOpenThePageAndEndsWhenItIsAsked(t *testing.T) {
	t.Parallel()
	gateway := newProcess(t)
	cmd := gateway.command("matrix-push", "ui", "--address", "127.0.0.1:1", "--port", strconv.Itoa(gateway.port2))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(gateway.port2)
	var printed string
	for lines := bufio.NewScanner(stdout); !strings.Contains(printed, "Ctrl-C") && lines.Scan(); {
		printed += lines.Text() + "\n"
	}
	want := regexp.MustCompile(`(?s)^Open this URL .* It works once:\n  http://127\.0\.0\.1:` + port + `/[A-Z2-7]{26}\n.*\n  ssh -N -L ` + port + `:127\.0\.0\.1:` + port +
		` <this machine>\nThe page ends when you press Ctrl-C\.\n$`)
	if !want.MatchString(printed) {
		t.Errorf("it prints\n%s", printed)
	}
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		t.Error(err)
	}
}

func TestV37_TheCommandEndsWithCtrlCAndClosesItsPort(t *testing.T) {
	t.Parallel()
	gateway := newProcess(t)
	page := gateway.ui("127.0.0.1:1") // the page is served even if there is no gateway
	if code := page.end(); code != 0 {
		t.Errorf("the exit code is %d", code)
	}
	address := strings.TrimPrefix(page.url, "http://")
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
		t.Error("the port is still open")
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(gateway.port2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	gateway.ask("", "ui", "--port", strconv.Itoa(gateway.port2)).want(t, 1, "the page cannot be served", "address already in use")
	gateway.ask("", "ui", "--port", "70000").wantUsage(t, "--port")
}
