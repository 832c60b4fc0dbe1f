package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Mistakes of other gateways with Apple's and Google's services. Each test names the gateway whose mistake it guards against.

// services are both services, a gateway in front of them, and a homeserver. There are the apps org.example.ios and
// org.example.android, and each with `content full` as org.example.ios.full and org.example.android.full.
type services struct {
	apple   appleScene
	google  googleScene
	gateway *process
	hs      *homeserver
}

func newServices(t *testing.T, more func(*apple, *google) string, change ...func(*apnstest.Options)) services {
	t.Helper()
	a, g := newApple(t, change...), newGoogle(t)
	global := stateless +
		a.app("org.example.ios", "", "") + a.app("org.example.ios.full", "", "content full") +
		g.app("org.example.android", "", "") + g.app("org.example.android.full", "", "content full")
	if more != nil {
		global += more(a, g)
	}
	gateway := startGateway(t, global, "matrix_push")
	hs := gateway.homeserver()
	return services{appleScene{t, a, gateway, hs}, googleScene{t, g, gateway, hs}, gateway, hs}
}

// Hedwig rejected a pushkey whenever its push service could not be reached, so an outage unsubscribed everybody.
func TestHedwig_AnOutageOfAppleOrGoogleRejectsNobody(t *testing.T) {
	t.Parallel()
	noTokens := newGoogle(t)
	noTokens.AnswerToken(providertest.Answer{Status: 503, Body: "<html>Unavailable</html>"})
	s := newServices(t, func(a *apple, _ *google) string {
		return a.app("org.example.ios.hasty", "", "wait 1s") + noTokens.app("org.example.android.tokenless", "", "")
	})
	over := make(chan struct{})
	apns := []apnstest.Answer{
		{Reason: "InternalServerError"},
		{Reason: "ServiceUnavailable"},
		{Reason: "Shutdown"},
		{Reason: "TooManyRequests"},
		{Reason: "InvalidProviderToken"},
		{Reason: "Forbidden"},
		{Reason: "BadCertificateEnvironment"},
		{Reason: "TopicDisallowed"},
		{Status: 502, Body: "<html>"},
		{Status: 410, Body: "<html>"},
		{Status: 403, Reason: "OfTomorrow"},
		{Drop: true},
		{Reason: "BadDeviceToken"},
		{Reason: "DeviceTokenNotForTopic"}, // as a wrong environment or topic would cause for everybody
	}
	fcm := []providertest.Answer{
		fcmtest.ErrorFor("UNAVAILABLE"), fcmtest.ErrorFor("INTERNAL"), fcmtest.ErrorFor("QUOTA_EXCEEDED"),
		fcmtest.ErrorFor("PERMISSION_DENIED"), fcmtest.ErrorFor("NOT_FOUND"), fcmtest.ErrorFor("UNAUTHENTICATED"),
		fcmtest.ErrorFor("SENDER_ID_MISMATCH"), fcmtest.ErrorFor("THIRD_PARTY_AUTH_ERROR"),
		{Status: 404, Body: "<html>"},
		{Status: 410, Body: "<html>"},
		{Status: 403, Body: "<html>"},
		{Drop: true},
		fcmtest.ErrorFor("INVALID_ARGUMENT"), // as an app of another provider would cause for everybody
	}
	var devices []device
	for round := range 3 {
		for i, answer := range apns {
			d := iPhone(fmt.Sprint("phone", round, i))
			answer.Times = -1
			s.apple.apns.Answer(d.path(), answer)
			devices = append(devices, d)
		}
		for i, answer := range fcm {
			d := android(fmt.Sprint("phone", round, i))
			s.google.fcm.Answer(d.Pushkey, answer)
			devices = append(devices, d)
		}
		hanging := iPhoneOf("org.example.ios.hasty", fmt.Sprint("hanging", round))
		s.apple.apns.Answer(hanging.path(), apnstest.Answer{Until: over, Times: -1})
		devices = append(devices, hanging, androidOf("org.example.android.tokenless", fmt.Sprint("tokenless", round)))
	}
	everybody := func(event string, want func(*testing.T, reply)) {
		t.Helper()
		var wg sync.WaitGroup
		for _, d := range devices {
			wg.Go(func() {
				r, err := s.hs.try(alert(event, d))
				if err != nil {
					t.Error(err)
					return
				}
				want(t, r)
			})
		}
		wg.Wait()
	}
	everybody("$1", wantLater)
	everybody("$1", wantLater)

	close(over)
	for _, d := range devices {
		if strings.HasPrefix(d.AppID, "org.example.ios") {
			s.apple.apns.Answer(d.path())
		} else {
			s.google.fcm.Answer(d.Pushkey)
		}
	}
	for _, d := range devices {
		if d.AppID != "org.example.android.tokenless" { // Google's token endpoint is asked again only after a while
			wantBody(t, s.hs.repeat(alert("$1", d)), nothingRejected)
		}
	}
}

// fpush sent an expiration in the past.
func TestFpush_APushExpiresInTheFuture(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, func(a *apple) string { return a.app("org.example.long", "", "ttl 8760h") })
	for appID, ttl := range map[string]time.Duration{"org.example.ios": 24 * time.Hour, "org.example.long": 8760 * time.Hour} {
		for i, body := range []func(...device) string{
			eventIDOnly, func(d ...device) string { return badge(1, d...) },
		} {
			d := iPhoneOf(appID, fmt.Sprint(appID, i))
			p := s.delivered(body(d), d)
			// A time in seconds, not in milliseconds, and not the seconds that are left.
			if left := time.Until(time.Unix(p.Expiration, 0)); left <= ttl-time.Minute || left > ttl {
				t.Errorf("%s expires in %s, want %s", appID, left, ttl)
			}
		}
	}
}

// ntfy delivers only to a request's first device.
func TestNtfy_EveryDeviceOfEveryServiceIsDelivered(t *testing.T) {
	t.Parallel()
	s := newServices(t, nil)
	var devices []device
	for i := range 10 {
		devices = append(devices, iPhone(strconv.Itoa(i)), android(strconv.Itoa(i)))
	}
	gone := devices[8:10]
	s.apple.apns.Answer(gone[0].path(), apnstest.Answer{Reason: "Unregistered"})
	s.google.fcm.Unregister(gone[1].Pushkey)
	wantBody(t, s.hs.notify(alert("$1", devices...)), rejecting(gone[0].Pushkey, gone[1].Pushkey))
	for i, d := range devices {
		n := 1
		if i == 8 || i == 9 {
			n = 0
		}
		if i%2 == 0 {
			s.apple.pushes(d, n)
		} else {
			s.google.messages(d, n)
		}
	}
}

// ntfy and common-proxies answer a large event with an error, so the homeserver repeats it for a day.
func TestNtfy_ALargeEventDoesNotLoopAtAppleOrGoogle(t *testing.T) {
	t.Parallel()
	s := newServices(t, nil)
	for _, size := range []int{5 << 10, 60 << 10} {
		name := strconv.Itoa(size)
		phones := []device{iPhone(name), iPhoneOf("org.example.ios.full", "full"+name)}
		robots := []device{android(name), androidOf("org.example.android.full", "full"+name)}
		// Whatever is left out, the push is too large for these.
		strictPhone, strictRobot := iPhoneOf("org.example.ios.full", "strict"+name), androidOf("org.example.android.full", "strict"+name)
		s.apple.apns.Answer(strictPhone.path(), apnstest.Answer{Reason: "PayloadTooLarge", Times: -1})
		s.google.fcm.Answer(strictRobot.Pushkey, fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Android message is too big"))
		body := compose(map[string]any{
			"event_id": "$1", "room_id": "!room:hs.test", "type": "m.room.message", "sender": "@alice:hs.test",
			"content": map[string]any{"msgtype": "m.text", "body": strings.Repeat("<ü>", size/4)},
		}, append(append([]device{strictPhone, strictRobot}, phones...), robots...))
		wantBody(t, s.hs.notify(body), nothingRejected)
		for _, d := range phones {
			if p := s.apple.pushes(d, 1)[0]; member(t, p.Payload, "event_id") != "$1" {
				t.Errorf("the push is %s", p.Payload)
			}
		}
		for _, d := range robots {
			if m := s.google.messages(d, 1)[0]; m.Data["event_id"] != "$1" {
				t.Errorf("the message is %v", m.Data)
			}
		}
	}
}

// Hedwig read com.foo as a prefix.
func TestHedwig_AnAppIDOfAppleOrGoogleIsNoPrefix(t *testing.T) {
	t.Parallel()
	a, g := newApple(t), newGoogle(t)
	gateway := startGateway(t, stateless+a.app("com.foo", "", "")+g.app("com.foo.*", "", ""), "matrix_push")
	hs := gateway.homeserver()
	for _, appID := range []string{"com.foobar", "com.fo", "com.foo ", "Com.foo", "xcom.foo", "com-foo.android", "com.foo\x00.android"} {
		d := iPhoneOf(appID, "phone")
		wantBody(t, hs.notify(alert("$1", d)), rejecting(d.Pushkey))
	}
	if n := len(a.Requests()) + len(g.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	phone, robot := iPhoneOf("com.foo", "phone"), androidOf("com.foo.android", "phone")
	wantBody(t, hs.notify(alert("$1", phone, robot)), nothingRejected)
	a.taken(t, phone.path(), 1)
	if n := len(g.Messages()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
}

// Hedwig answered 400 to each of these, and blocked the pusher.
func TestHedwig_NullTypeEmptySenderAndLargeCountsReachAppleAndGoogle(t *testing.T) {
	t.Parallel()
	s := newServices(t, nil)
	for _, unread := range []string{"70000", "4294967296", "2.0"} {
		phone, robot := iPhone(unread), android(unread)
		wantBody(t, s.hs.notify(`{"notification":{"id":"","type":null,"sender":"","counts":{"unread":`+unread+`},"devices":`+
			string(mustMarshal([]device{phone, robot}))+`}}`), nothingRejected)
		want := strings.TrimSuffix(unread, ".0")
		wantJSON(t, s.apple.pushes(phone, 1)[0].Payload, `{"aps":{"badge":`+want+`}}`)
		wantData(t, s.google.messages(robot, 1)[0], `{"prio":"high","unread":"`+want+`"}`)
	}
}

// With a gateway that suppresses duplicates, the button of Element's troubleshooter works only once.
func TestElement_TheTroubleshootersFakeEventIsDeliveredTwiceByAppleAndGoogle(t *testing.T) {
	t.Parallel()
	s := newServices(t, nil)
	phone, robot := iPhone("phone"), android("phone")
	robot.Data["default_payload"] = map[string]any{"cs": "A_FAKE_SECRET"}
	body := compose(map[string]any{"event_id": "$THIS_IS_A_FAKE_EVENT_ID"}, []device{phone, robot})
	for range 2 {
		wantBody(t, s.hs.notify(body), nothingRejected)
	}
	pushes := s.apple.pushes(phone, 2)
	if pushes[0].ID == pushes[1].ID || pushes[0].CollapseID != "" {
		t.Errorf("APNs would take %s and %s for one", pushes[0].ID, pushes[1].ID)
	}
	for _, m := range s.google.messages(robot, 2) {
		wantData(t, m, `{"event_id":"$THIS_IS_A_FAKE_EVENT_ID","prio":"high","cs":"A_FAKE_SECRET"}`)
	}
}

// ntfy and common-proxies left response bodies unread or open, so each push made a new connection.
func TestNtfy_AnswersOfAppleAndGoogleAreReadSoThatConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	// Each stream that is left open takes one of the connection's streams. Go's server, which FCM's fake is, allows 250.
	s := newServices(t, nil, func(o *apnstest.Options) { o.MaxConcurrentStreams = 20 })
	// Enough of them succeed, so no breaker opens.
	statuses := []int{200, 503, 200, 429, 200, 413, 200, 500, 200, 302, 200, 410, 200, 400, 200, 403, 200, 404, 200}
	words := strings.Repeat("words ", 5000)
	header := http.Header{"Content-Type": {"text/plain"}}
	wantBody(t, s.hs.notify(alert("$first", iPhone("first"), android("first"))), nothingRejected)
	const rounds = 30
	for round := range rounds {
		var devices []device
		for i, status := range statuses {
			phone, robot := iPhone(fmt.Sprint(i, " ", round)), android(fmt.Sprint(i, " ", round))
			s.apple.apns.Answer(phone.path(), apnstest.Answer{Status: status, Body: words, Header: header})
			s.google.fcm.Answer(robot.Pushkey, providertest.Answer{Status: status, Body: words, Header: header})
			devices = append(devices, phone, robot)
		}
		wantLater(t, s.hs.notify(alert("$1", devices...)))
		if c := s.apple.apns.Connections(); c != 1 { // which soon would have no free stream
			t.Fatalf("after %d rounds there were %d connections to APNs", round+1, c)
		}
	}
	want := 1 + rounds*len(statuses)
	if n := len(s.apple.apns.Requests()); n != want {
		t.Errorf("there were %d pushes to APNs", n)
	}
	// One more for access tokens.
	if n, c := len(s.google.fcm.Requests()), s.google.fcm.Connections(); n != want || c != 2 {
		t.Errorf("%d pushes to FCM took %d connections", n, c)
	}
}

// Many gateways open a connection for each request of a cold start, which looks like an attack to Apple. The limits of apns2 and Go lose
// the pushes that don't fit.
func TestAThousandFirstPushesTakeFewConnectionsAndOneProviderToken(t *testing.T) {
	t.Parallel()
	const pushes = 1000
	s := newAppleScene(t, nil, func(o *apnstest.Options) { o.MaxConcurrentStreams, o.OneUntilAuthenticated = 100, true })
	nobody := device{AppID: "org.example.full", Pushkey: "?"} // another app, whose pushes don't wait
	// Each homeserver needs only one connection, which is there already: the test is about the gateway's connections to APNs.
	var homeservers []*homeserver
	for range pushes / 200 {
		hs := &homeserver{t: t, client: s.gateway.client(true), url: s.gateway.url()}
		wantBody(t, hs.notify(alert("$1", nobody)), rejecting(nobody.Pushkey))
		homeservers = append(homeservers, hs)
	}
	// Until the first ones are answered, nobody knows how many a connection takes.
	until := make(chan struct{})
	s.apns.Answer("", apnstest.Answer{Until: until, Times: pushes})
	var wg sync.WaitGroup
	for i := range pushes {
		wg.Go(func() {
			r, err := homeservers[i%len(homeservers)].try(alert("$1", iPhone(strconv.Itoa(i))))
			if err != nil {
				t.Error(err)
				return
			}
			wantBody(t, r, nothingRejected)
		})
	}
	s.apns.await(t, func() bool { return s.apns.Held() > 0 })
	began := time.Now()
	for range 30 { // as long as it takes to open more
		wantBody(t, s.hs.notify(alert("$1", nobody)), rejecting(nobody.Pushkey))
	}
	// Another connection is made only if the first answer takes more than 3 s.
	if c, most := s.apns.Connections(), 1+int((time.Since(began)+time.Second)/(3*time.Second)); c > most {
		t.Errorf("before the first answer, there are %d connections", c)
	}
	close(until)
	wg.Wait()
	devices := make(map[string]bool)
	for _, p := range s.apns.Pushes() {
		devices[p.Token] = true
	}
	if n := len(s.apns.Pushes()); n != pushes || len(devices) != pushes {
		t.Errorf("%d pushes for %d devices arrived", n, len(devices))
	}
	if c, k := s.apns.Connections(), s.apns.ProviderTokens(); c > 12 || k != 1 {
		t.Errorf("they took %d connections and %d provider tokens", c, k)
	}
	if n := s.apns.Refused(); n != 0 {
		t.Errorf("%d were more than a connection takes", n)
	}
}

// apns2 ignores the request's context while it connects.
func TestAPNs2_AHandshakeThatStallsHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	s := newServices(t, func(a *apple, _ *google) string {
		a.StallHandshakes(true) // before the gateway connects by itself
		return a.app("org.example.ios.hasty", "", "wait 1s")
	})
	type late struct {
		reply
		after time.Duration
	}
	start := time.Now()
	answers := make(chan late, 20)
	stalled := make([]device, 20)
	for i := range stalled {
		stalled[i] = iPhone(strconv.Itoa(i))
		go func() {
			r, err := s.hs.try(alert("$1", stalled[i]))
			if err != nil {
				t.Error(err)
			}
			answers <- late{r, time.Since(start)}
		}()
	}
	for i := range 20 {
		asked := time.Now()
		wantBody(t, s.hs.notify(alert("$1", android(strconv.Itoa(i)))), nothingRejected)
		if after := time.Since(asked); after > 4*time.Second { // a handshake may take 5 s
			t.Errorf("push %d to FCM took %s:\n%s", i, after, s.gateway.log)
		}
	}
	// An app that waits a second for a verdict waits a second.
	hasty := time.Now()
	wantLater(t, s.hs.notify(alert("$1", iPhoneOf("org.example.ios.hasty", "hasty"))))
	if after := time.Since(hasty); after > 4*time.Second {
		t.Errorf("an app that waits a second is answered after %s", after)
	}
	// The others would wait for 20 s, but it is known long before that there is no connection.
	for range stalled {
		l := <-answers
		if wantLater(t, l.reply); l.after > 15*time.Second {
			t.Errorf("it is answered after %s", l.after)
		}
	}
	s.apple.apns.StallHandshakes(false)
	wantBody(t, s.hs.repeat(alert("$1", stalled...)), nothingRejected)
	for _, d := range stalled {
		s.apple.pushes(d, 1)
	}
}
