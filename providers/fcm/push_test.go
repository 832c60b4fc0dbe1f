package fcm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// The token endpoint is a separate server here: the suite counts the requests to the push service.
func TestConformance(t *testing.T) {
	t.Parallel()
	const token = "ya29.very-secret-access-token"
	google := fcmtest.New(t, fcmtest.Options{})
	google.AnswerToken(providertest.Answer{
		Status: 200, Body: `{"access_token": "` + token + `", "expires_in": 3600, "token_type": "Bearer"}`,
	})
	account := google.ServiceAccount(t)
	push := pushOf(messagetest.Alert())
	push.Device.Data = json.RawMessage(`{"default_payload": {"cs": "very-secret-client"}}`)
	providertest.Run(t, providertest.Suite{
		New: func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
			authorities := writeFile(t, "ca.pem", bytes.Join([][]byte{readFile(t, caFile), readFile(t, google.CAFile)}, nil))
			return live(t, &Provider{
				Options:         network.Options{Endpoint: baseURL, TrustedCA: authorities, Proxy: "none"},
				CredentialsFile: account,
			}), push
		},
		HTTP2Only:      true,
		Rings:          rings,
		DataThatLeaves: []string{"default_payload"},
		Unusable: []providers.Device{
			{},
			{Pushkey: " "},
			{Pushkey: "\t\r\n"},
			{Pushkey: "\x00"},
			{Pushkey: pushkey + "\x00"},
			{Pushkey: pushkey + " " + pushkey},
			{Pushkey: "a\ufffdb"},
		},
		Usable: []providers.Device{
			{Pushkey: "x"},
			{Pushkey: "https://push.example/up"},
			{Pushkey: pushkey + "\n"},
			{Pushkey: pushkey, Data: []byte(`{"default_payload": 1}`)},
		},
		Secrets: []string{
			pushkey, token, strings.Split(accountOf(t, readFile(t, account))["private_key"], "\n")[1], "very-secret-client", "a < b", "$event",
			"!room:example.org", "@alice:example.org",
		},
		Verdicts: suiteVerdicts(),
	})
}

// rings reports whether the app, which gets all messages as data, has an event to show, or Android shows something itself.
func rings(_ *http.Request, body []byte) bool {
	var request struct {
		Message struct {
			Data         map[string]string `json:"data"`
			Notification json.RawMessage   `json:"notification"`
			Android      struct {
				Notification json.RawMessage `json:"notification"`
			} `json:"android"`
		} `json:"message"`
	}
	m := &request.Message
	return json.Unmarshal(body, &request) != nil || m.Data["event_id"] != "" || m.Notification != nil || m.Android.Notification != nil
}

func suiteVerdicts() []providertest.Verdict {
	row := func(name string, a providertest.Answer, kind providers.Kind, reason string) providertest.Verdict {
		return providertest.Verdict{Name: name, Status: a.Status, Header: a.Header, Body: a.Body, Kind: kind, Reason: reason}
	}
	later := func(name, code string, seconds string, after time.Duration, reason string) providertest.Verdict {
		a := fcmtest.ErrorFor(code)
		if seconds != "" {
			a.Header.Set("Retry-After", seconds)
		}
		v := row(name, a, providers.KindRetry, reason)
		if a.Status == http.StatusTooManyRequests {
			v.Cause = providers.CauseDevice
		}
		v.RetryAfter = after
		return v
	}
	doubted := row("a malformed token is doubted", fcmtest.ErrorFor("INVALID_ARGUMENT"), providers.KindRejected, "invalid_token")
	doubted.Doubtful = true
	html := func(status int) providertest.Answer {
		return providertest.Answer{Status: status, Body: "<html>Error</html>"}
	}
	dead := row("UNREGISTERED is rejected", fcmtest.ErrorFor("UNREGISTERED"), providers.KindRejected, "unregistered")
	dead.Documented = "https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode"
	return []providertest.Verdict{
		row("200 is delivered", providertest.Answer{Status: 200, Body: `{"name": "projects/p/messages/1"}`}, providers.KindDelivered, "delivered"),
		row("200 without a body is delivered", providertest.Answer{Status: 200}, providers.KindDelivered, "delivered"),
		dead,
		doubted,
		row("a message that FCM does not like is dropped", fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "No.", "message.data"), providers.KindDropped, "invalid_argument"),
		row("an option that FCM does not like is the operator's", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.android.ttl"), providers.KindMisconfigured, "invalid_option"),
		row("SENDER_ID_MISMATCH is the operator's", fcmtest.ErrorFor("SENDER_ID_MISMATCH"), providers.KindMisconfigured, "sender_id_mismatch"),
		row("THIRD_PARTY_AUTH_ERROR is the operator's", fcmtest.ErrorFor("THIRD_PARTY_AUTH_ERROR"), providers.KindMisconfigured, "third_party_auth_error"),
		row("a project that there is not is the operator's", fcmtest.ErrorFor("NOT_FOUND"), providers.KindMisconfigured, "not_found"),
		row("UNAUTHENTICATED is the operator's", fcmtest.ErrorFor("UNAUTHENTICATED"), providers.KindMisconfigured, "unauthenticated"),
		row("PERMISSION_DENIED is the operator's", fcmtest.ErrorFor("PERMISSION_DENIED"), providers.KindMisconfigured, "permission_denied"),
		later("a quota is for later", "QUOTA_EXCEEDED", "7", 7*time.Second, "quota_exceeded"),
		later("a quota is for a minute later if FCM does not say", "QUOTA_EXCEEDED", "", time.Minute, "quota_exceeded"),
		later("the project's quota is for a minute later if FCM does not say", "RESOURCE_EXHAUSTED", "", time.Minute, "quota_exceeded"),
		later("UNAVAILABLE is for later", "UNAVAILABLE", "9", 9*time.Second, "unavailable"),
		later("INTERNAL is for later", "INTERNAL", "", 0, "internal"),
		row("HTML is for later", html(502), providers.KindRetry, "http_502"),
		row("HTML that says not found proves nothing", html(404), providers.KindMisconfigured, "http_404"),
	}
}

// accountOf returns the members of a credentials file.
func accountOf(t testing.TB, raw []byte) map[string]string {
	t.Helper()
	members := map[string]string{}
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func TestAPushIsWhatFCMWants(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.want(t, alert(), providers.KindDelivered, "delivered")
	got := b.sent(t)
	if got.Path != "/v1/projects/demo-project/messages:send" || got.ValidateOnly || got.Token != pushkey {
		t.Errorf("it went to %s, for %s", got.Path, got.Token)
	}
	if !strings.HasPrefix(got.Header.Get("Authorization"), "Bearer ya29.") || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the headers are %v", got.Header)
	}
	var message map[string]json.RawMessage
	if err := json.Unmarshal(got.Raw, &message); err != nil {
		t.Fatal(err)
	}
	if len(message) != 3 || message["token"] == nil || message["data"] == nil || message["android"] == nil {
		t.Errorf("the message has more than token, data and android, or less: %s", got.Raw)
	}
	for name, want := range map[string]string{"event_id": "$event", "room_id": "!room:example.org", "unread": "2", "prio": "high", "cs": "client-secret"} {
		if got.Data[name] != want {
			t.Errorf("%s is %q, want %q", name, got.Data[name], want)
		}
	}
}

// android is the part of a message for Android.
func android(t *testing.T, m fcmtest.Message) (config struct {
	Priority    string `json:"priority"`
	TTL         string `json:"ttl"`
	CollapseKey string `json:"collapse_key"`
},
) {
	t.Helper()
	var message struct {
		Android json.RawMessage `json:"android"`
	}
	if err := json.Unmarshal(m.Raw, &message); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(message.Android, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestADeviceIsWokenWhenTheHomeserverWants(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                  string
		n                     *providers.Notification
		priority, collapseKey string
	}{
		{"an event", messagetest.Alert().Reduced(), "HIGH", ""},
		{"an event in full", messagetest.Alert(), "HIGH", ""},
		{"an event that may wait", low(), "NORMAL", ""},
		{"a badge", messagetest.Badge(), "NORMAL", "badge"},
		{"missed calls", missedCalls(1), "NORMAL", "badge"},
		{"what is encrypted", encrypted(), "HIGH", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.want(t, pushOf(test.n), providers.KindDelivered, "delivered")
			if got := android(t, b.sent(t).Message); !strings.EqualFold(got.Priority, test.priority) || got.CollapseKey != test.collapseKey {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestFCMKeepsAPushAsLongAsItIsWorthDelivering(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	tests := []struct {
		name     string
		left     time.Duration
		min, max time.Duration
	}{
		{"an hour", time.Hour, 50 * time.Minute, time.Hour},
		{"nothing", -time.Minute, 0, 0},
		{"more than FCM allows", 365 * 24 * time.Hour, 28 * 24 * time.Hour, 28 * 24 * time.Hour},
	}
	for i, test := range tests {
		push := alert()
		push.Expires = time.Now().Add(test.left)
		b.want(t, push, providers.KindDelivered, "delivered")
		messages := b.Messages()
		if len(messages) != i+1 {
			t.Fatalf("%s: %d messages arrived", test.name, len(messages))
		}
		config := android(t, messages[i])
		if ttl, err := time.ParseDuration(config.TTL); err != nil || ttl < test.min || ttl > test.max {
			t.Errorf("%s: the ttl is %s", test.name, config.TTL)
		}
	}
}

// Guards against Sygnal's behaviour, which never clears a badge.
func TestACountOfZeroReachesTheClient(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.want(t, pushOf(messagetest.Badge()), providers.KindDelivered, "delivered")
	if got := b.sent(t).Data["unread"]; got != "0" {
		t.Errorf("unread is %q", got)
	}
}

func TestAPushThatCanNeverBeDeliveredCostsNoRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	tests := []struct {
		name     string
		change   func(*providers.Push)
		kind     providers.Kind
		reason   string
		unusable bool
	}{
		{
			"nothing to do", func(p *providers.Push) { p.Notification = &providers.Notification{Badge: true} },
			providers.KindDropped, "nothing_to_do", false,
		},
		{
			"an id that does not fit", func(p *providers.Push) { p.Notification.EventID = "$" + strings.Repeat("e", 5000) },
			providers.KindDropped, "too_large", false,
		},
		{"no registration token", func(p *providers.Push) { p.Device.Pushkey = "" }, providers.KindRejected, "bad_token", true},
	}
	for _, test := range tests {
		push := alert()
		test.change(push)
		if o := b.Push(t.Context(), push); o.Kind != test.kind || o.Reason != test.reason || o.Unusable != test.unusable {
			t.Errorf("%s: got %+v", test.name, o)
		}
	}
	if n := b.Connections(); n != 0 {
		t.Error("Google was asked")
	}
}

// The SDK retries temporary errors, up to four times and for minutes; here, only the gateway's policy retries.
func TestNothingIsRepeatedBehindTheGatewaysBack(t *testing.T) {
	t.Parallel()
	unavailable := fcmtest.ErrorFor("UNAVAILABLE")
	unavailable.Header.Set("Retry-After", "30")
	tests := []struct {
		name   string
		answer providertest.Answer
		reason string
		after  time.Duration
	}{
		{"unavailable for ever", unavailable, "unavailable", 30 * time.Second},
		{"a bare 503", providertest.Answer{Status: 503}, "http_503", 0},
		{"a bare 500", providertest.Answer{Status: 500}, "http_500", 0},
		{"over quota for ever", fcmtest.ErrorFor("QUOTA_EXCEEDED"), "quota_exceeded", time.Minute},
		{"connections that are lost", providertest.Answer{Drop: true}, "network", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.Answer("", test.answer)
			for pushes := 1; pushes <= 3; pushes++ {
				o := b.Push(t.Context(), alert())
				messagetest.Want(t, o, providers.KindRetry, test.reason)
				if n := len(b.Requests()); n != pushes || o.RetryAfter != test.after {
					t.Errorf("%d pushes took %d requests, and the next is due after %s", pushes, n, o.RetryAfter)
				}
			}
			b.Answer("")
			b.want(t, alert(), providers.KindDelivered, "delivered")
		})
	}
}

// bearers returns the access tokens that FCM received, in order.
func (b *bench) bearers() (bearers []string) {
	for _, r := range b.Requests() {
		bearers = append(bearers, r.Header.Get("Authorization"))
	}
	return bearers
}

func TestAnAccessTokenThatFCMDoesNotTakeIsRenewedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.want(t, alert(), providers.KindDelivered, "delivered")
	b.Expire()
	b.want(t, alert(), providers.KindDelivered, "delivered")
	got := b.bearers()
	if len(got) != 3 || got[0] != got[1] || got[1] == got[2] || b.TokenRequests() != 2 {
		t.Errorf("%d sends, %d token requests", len(got), b.TokenRequests())
	}
}

func TestAnAccessTokenIsRenewedOnceForAllWhoseItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.want(t, alert(), providers.KindDelivered, "delivered")
	b.Expire()
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() { b.want(t, alert(), providers.KindDelivered, "delivered") })
	}
	group.Wait()
	if n := b.TokenRequests(); n != 2 {
		t.Errorf("%d tokens were asked for", n)
	}
}

// The token may not be the cause, and Google limits how many tokens one may request.
func TestAnAccessTokenThatIsRefusedForEverIsRenewedOnceAMinute(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	now := time.Now()
	b.client.tokens.Current().now = func() time.Time { return now }
	b.Answer("", fcmtest.ErrorFor("UNAUTHENTICATED"))
	for i, want := range []struct{ sends, tokens int }{{2, 2}, {3, 2}, {4, 2}} {
		b.want(t, alert(), providers.KindMisconfigured, "unauthenticated")
		if sends, tokens := len(b.Requests()), b.TokenRequests(); sends != want.sends || tokens != want.tokens {
			t.Errorf("%d pushes took %d sends and %d tokens", i+1, sends, tokens)
		}
	}
	now = now.Add(renewEvery)
	b.Answer("", unauthenticated(1))
	b.want(t, alert(), providers.KindDelivered, "delivered")
	if sends, tokens := len(b.Requests()), b.TokenRequests(); sends != 6 || tokens != 3 {
		t.Errorf("%d sends and %d tokens after a minute", sends, tokens)
	}
}

func unauthenticated(times int) providertest.Answer {
	a := fcmtest.ErrorFor("UNAUTHENTICATED")
	a.Times = times
	return a
}

func TestARefusalOfAnothersCredentialsRenewsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for _, code := range []string{"THIRD_PARTY_AUTH_ERROR", "PERMISSION_DENIED", "SENDER_ID_MISMATCH"} {
		b.Answer("", fcmtest.ErrorFor(code))
		b.want(t, alert(), providers.KindMisconfigured, strings.ToLower(code))
	}
	if sends, tokens := len(b.Requests()), b.TokenRequests(); sends != 3 || tokens != 1 {
		t.Errorf("%d sends and %d tokens", sends, tokens)
	}
}

func TestWithoutAnAccessTokenNothingIsSent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*bench)
		kind   providers.Kind
		reason string
	}{
		{"the key was revoked", func(b *bench) { b.Forget(b.CredentialsFile) }, providers.KindMisconfigured, "credentials_refused"},
		{"Google is out of order", func(b *bench) { b.AnswerToken(providertest.Answer{Status: 503}) }, providers.KindRetry, "token_unavailable"},
		{"the connection is lost", func(b *bench) { b.AnswerToken(providertest.Answer{Drop: true}) }, providers.KindRetry, "token_network"},
		{"the answer is not a token", func(b *bench) { b.AnswerToken(providertest.Answer{Status: 200, Body: "<html>"}) }, providers.KindRetry, "token_network"},
		{
			"Google redirects", func(b *bench) {
				b.AnswerToken(providertest.Answer{Status: 307, Header: http.Header{"Location": {"/token"}}})
			}, providers.KindMisconfigured, "credentials_refused",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			test.change(b)
			b.want(t, alert(), test.kind, test.reason)
			b.want(t, alert(), test.kind, test.reason)
			if sends := len(b.Requests()); sends != 0 {
				t.Errorf("%d sends", sends)
			}
		})
	}
}

func TestAThousandFirstPushesShareFewConnectionsAndOneToken(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	var group sync.WaitGroup
	for range 1000 {
		group.Go(func() { b.want(t, alert(), providers.KindDelivered, "delivered") })
	}
	group.Wait()
	if b.Connections() > 12 || b.TokenRequests() != 1 || len(b.Messages()) != 1000 || len(b.Requests()) != 1000 {
		t.Errorf("%d connections, %d token requests, %d messages in %d requests",
			b.Connections(), b.TokenRequests(), len(b.Messages()), len(b.Requests()))
	}
	for _, r := range b.Requests() {
		for _, v := range r.Violations {
			t.Error(v)
		}
	}
}

// The result of such a push is unknown: the homeserver or the outbox must send it again.
func TestAConnectionThatIsLostIsForLater(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.Answer("", providertest.Answer{Drop: true, Times: 1})
	b.want(t, alert(), providers.KindRetry, "network")
	b.want(t, alert(), providers.KindDelivered, "delivered")
}

// net/http ends an HTTP/2 connection with GOAWAY when a handler wants it closed.
func TestConnectionsThatEndUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	last := providertest.Answer{Status: 200, Header: http.Header{"Connection": {"close"}}, Body: `{"name": "x"}`, Times: 1}
	var group sync.WaitGroup
	for i := range 400 {
		if i%100 == 50 {
			b.Answer("", last)
		}
		group.Go(func() { b.want(t, alert(), providers.KindDelivered, "delivered") })
	}
	group.Wait()
	if n := len(b.Messages()); n != 400 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestAPushEndsWithItsContextWhileItWaitsForAToken(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.AnswerToken(providertest.Answer{Hang: true, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	messagetest.Want(t, b.Push(ctx, alert()), providers.KindRetry, "timeout")
}

func TestTheProjectOfTheOptionComesFirst(t *testing.T) {
	t.Parallel()
	const project = "the-options-project"
	for name, test := range map[string]struct {
		option string
		kind   providers.Kind
		reason string
	}{
		"the option's":     {project, providers.KindDelivered, "delivered"},
		"the credentials'": {"", providers.KindMisconfigured, "permission_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := fcmtest.New(t, fcmtest.Options{ProjectID: project})
			b := &bench{Service: service, Provider: live(t, providerOf(t, service, func(f *fcmtest.Service, p *Provider) {
				account := accountOf(t, readFile(t, f.ServiceAccount(t)))
				account["project_id"] = "the-files-project"
				p.CredentialsFile, p.ProjectID = writeJSON(t, account), test.option
			}))}
			b.want(t, alert(), test.kind, test.reason)
			want := "/v1/projects/" + cmp.Or(test.option, "the-files-project") + "/messages:send"
			if got := b.Requests(); len(got) != 1 || got[0].Path != want {
				t.Errorf("got %d requests, want one to %s", len(got), want)
			}
		})
	}
}

// Guards against losing a pusher for an invalid default_payload.
func TestAWrongDefaultPayloadIsReportedOnceAndThePushesAreDelivered(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	if b.faults == nil {
		t.Fatal("nothing would be reported")
	}
	var reported *observer.ObservedLogs
	b.faults, reported = messagetest.Faults()
	for _, data := range []string{`{"default_payload": "secret"}`, `{"default_payload": ["secret"]}`} {
		push := alert()
		push.Device.Data = json.RawMessage(data)
		b.want(t, push, providers.KindDelivered, "delivered")
	}
	messagetest.WantReported(t, reported, "data.default_payload")
}
