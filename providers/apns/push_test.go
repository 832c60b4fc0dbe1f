package apns

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// appleAnswers documents which answers only a dead token gets.
const appleAnswers = "https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns"

// rings reports whether iOS shows or plays something, https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification.
func rings(r *http.Request, body []byte) bool {
	var payload struct {
		APS struct {
			Alert json.RawMessage `json:"alert"`
			Sound json.RawMessage `json:"sound"`
		} `json:"aps"`
	}
	alerts := json.Unmarshal(body, &payload) != nil || payload.APS.Alert != nil || payload.APS.Sound != nil
	return alerts && r.Header.Get("Apns-Push-Type") != "background"
}

func TestConformance(t *testing.T) {
	t.Parallel()
	_, p8 := apnstest.NewKey(t)
	seconds := time.Unix(1_700_000_000, 0)
	providertest.Run(t, providertest.Suite{
		New: func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
			return live(t, &Provider{
				Options: network.Options{Endpoint: baseURL, TrustedCA: caFile, Proxy: "none"},
				Topic:   bundle, KeyFile: writeFile(t, "key.p8", p8), KeyID: keyID, TeamID: teamID,
			}), alert()
		},
		HTTP2Only:      true,
		Rings:          rings,
		DataThatLeaves: []string{"default_payload"},
		Unusable: []providers.Device{
			{}, {Pushkey: "not!base64"}, {Pushkey: "A"}, {Pushkey: "===="}, {Pushkey: pushkey + "\n"}, {Pushkey: "https://push.example/up"},
		},
		Usable: []providers.Device{
			{Pushkey: "AAAA"}, {Pushkey: strings.Repeat("0", 160)}, {Pushkey: pushkey, Data: []byte(`{"default_payload": 1}`)},
		},
		Secrets: []string{pushkey, device, strings.Split(string(p8), "\n")[1]},
		Verdicts: []providertest.Verdict{
			{Name: "200 is delivered", Status: 200, Kind: providers.KindDelivered},
			{Name: "Unregistered is rejected with Apple's time", Status: 410, Body: `{"reason":"Unregistered","timestamp":1700000000000}`, Kind: providers.KindRejected, Reason: "unregistered", Since: seconds, Documented: appleAnswers},
			{Name: "ExpiredToken is rejected with Apple's time", Status: 410, Body: `{"reason":"ExpiredToken","timestamp":1700000000000}`, Kind: providers.KindRejected, Reason: "expired_token", Since: seconds, Documented: appleAnswers},
			{Name: "BadDeviceToken is doubted", Status: 400, Body: `{"reason":"BadDeviceToken"}`, Kind: providers.KindRejected, Reason: "bad_device_token", Doubtful: true},
			{Name: "DeviceTokenNotForTopic is doubted", Status: 400, Body: `{"reason":"DeviceTokenNotForTopic"}`, Kind: providers.KindRejected, Reason: "device_token_not_for_topic", Doubtful: true},
			{Name: "TopicDisallowed is the operator's", Status: 400, Body: `{"reason":"TopicDisallowed"}`, Kind: providers.KindMisconfigured, Reason: "topic_disallowed"},
			{Name: "InvalidProviderToken is the operator's", Status: 403, Body: `{"reason":"InvalidProviderToken"}`, Kind: providers.KindMisconfigured, Reason: "invalid_provider_token"},
			{Name: "TooManyRequests is for later", Status: 429, Body: `{"reason":"TooManyRequests"}`, Header: http.Header{"Retry-After": {"7"}}, Kind: providers.KindRetry, Cause: providers.CauseDevice, Reason: "too_many_requests", RetryAfter: 7 * time.Second},
			{Name: "TooManyProviderTokenUpdates is for later, for all devices", Status: 429, Body: `{"reason":"TooManyProviderTokenUpdates"}`, Kind: providers.KindRetry, Reason: "too_many_provider_token_updates"},
			{Name: "429 of what is not APNs is for later", Status: 429, Kind: providers.KindRetry, Cause: providers.CauseDevice, Reason: "http_429"},
			{Name: "ServiceUnavailable is for later", Status: 503, Body: `{"reason":"ServiceUnavailable"}`, Header: http.Header{"Retry-After": {"9"}}, Kind: providers.KindRetry, Reason: "service_unavailable", RetryAfter: 9 * time.Second},
			{Name: "HTML is for later", Status: 502, Body: "<html>Bad Gateway</html>", Kind: providers.KindRetry, Reason: "http_502"},
			{Name: "HTML that says gone proves nothing", Status: 410, Body: "<html>Gone</html>", Kind: providers.KindRetry, Reason: "http_410"},
		},
	})
}

func TestAPushHasTheHeadersThatAppleWants(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Provider, *providers.Push)
		want   func(apnstest.Push) bool
	}{
		{
			"an alert", nil,
			func(g apnstest.Push) bool {
				return g.PushType == "alert" && g.Priority == 10 && g.Topic == bundle && g.CollapseID == ""
			},
		},
		{
			"an alert that may wait",
			func(_ *Provider, p *providers.Push) { p.Notification.Prio = providers.PrioLow },
			func(g apnstest.Push) bool { return g.PushType == "alert" && g.Priority == 5 },
		},
		{
			"nothing to show",
			func(_ *Provider, p *providers.Push) { p.Device.Data = nil },
			func(g apnstest.Push) bool { return g.PushType == "background" && g.Priority == 5 },
		},
		{
			"a call",
			func(c *Provider, _ *providers.Push) { c.PushType, c.Topic = "voip", bundle+".voip" },
			func(g apnstest.Push) bool { return g.PushType == "voip" && g.Topic == bundle+".voip" },
		},
		{
			"the last of a room",
			func(c *Provider, _ *providers.Push) { c.CollapseID = "room" },
			func(g apnstest.Push) bool { return len(g.CollapseID) == 32 },
		},
		{
			"the last of an event",
			func(c *Provider, _ *providers.Push) { c.CollapseID = "event" },
			func(g apnstest.Push) bool { return len(g.CollapseID) == 32 },
		},
		{
			"grouped by room",
			func(c *Provider, _ *providers.Push) { c.ThreadID = "room" },
			func(g apnstest.Push) bool {
				return contains(string(g.Payload), `"thread-id":"!room:example.org"`)
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			push := alert()
			b := newBench(t, func(_ *apnstest.Options, p *Provider) {
				if test.change != nil {
					test.change(p, push)
				}
			})
			b.want(t, push, providers.KindDelivered, "delivered")
			got := b.last(t)
			if !test.want(got) || got.Token != device || got.ID != push.ID || got.Expiration != push.Expires.Unix() {
				t.Errorf("got %+v, payload %s", got, got.Payload)
			}
		})
	}
}

func TestADeviceThatCanNeverGetAPushCostsNoRequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*providers.Push)
		kind   providers.Kind
		reason string
	}{
		{"no token", func(p *providers.Push) { p.Device.Pushkey = "../../l0/3/device/ok" }, providers.KindRejected, "undecodable_token"},
		{
			"nothing to do", func(p *providers.Push) { p.Notification = &providers.Notification{Badge: true} },
			providers.KindDropped, "nothing_to_do",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, push := newBench(t, nil), alert()
			test.change(push)
			o := b.Push(t.Context(), push)
			if o.Kind != test.kind || o.Reason != test.reason || o.Unusable != (test.kind == providers.KindRejected) {
				t.Errorf("got %+v", o)
			}
			if n := b.Connections(); n != 0 {
				t.Error("APNs was asked")
			}
		})
	}
}

func TestAnExpiredProviderTokenIsRenewedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.Answer("", apnstest.Answer{Reason: "ExpiredProviderToken"})
	b.want(t, alert(), providers.KindDelivered, "delivered")
	if n := b.ProviderTokens(); n != 2 {
		t.Errorf("%d tokens were used", n)
	}
	b.Answer("", apnstest.Answer{Reason: "ExpiredProviderToken", Times: -1})
	b.want(t, alert(), providers.KindMisconfigured, "expired_provider_token")
	if n := b.ProviderTokens(); n != 2 {
		t.Errorf("%d tokens were used, although it must be the clock", n)
	}
}

// Apple treats a client that opens many connections, or makes many tokens, as an attacker.
func TestAThousandFirstPushesShareFewConnectionsAndOneToken(t *testing.T) {
	t.Parallel()
	few := func(n uint32) func(*apnstest.Options) {
		return func(o *apnstest.Options) { o.MaxConcurrentStreams = n }
	}
	for name, test := range map[string]struct {
		change      func(*apnstest.Options)
		first       apnstest.Answer
		connections int
		concurrency int
	}{
		"1 stream":                       {few(1), apnstest.Answer{}, 12, 8},
		"100 streams":                    {few(100), apnstest.Answer{}, 12, 800},
		"1,000 streams":                  {few(1000), apnstest.Answer{}, 1, 8000},
		"1 stream until a token is seen": {func(o *apnstest.Options) { o.OneUntilAuthenticated = true }, apnstest.Answer{}, 1, 8000},
		"a connection that ends at once": {func(o *apnstest.Options) { o.OneUntilAuthenticated = true }, apnstest.Answer{GoAway: true}, 2, 8000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *apnstest.Options, _ *Provider) { test.change(o) })
			b.Answer("", test.first)
			var group sync.WaitGroup
			for range 1000 {
				group.Go(func() { b.want(t, alert(), providers.KindDelivered, "delivered") })
			}
			group.Wait()
			if b.Connections() > test.connections || b.ProviderTokens() != 1 || len(b.Pushes()) != 1000 || b.Refused() != 0 {
				t.Errorf("%d connections, %d tokens, %d pushes, %d streams refused",
					b.Connections(), b.ProviderTokens(), len(b.Pushes()), b.Refused())
			}
			if n := b.Concurrency(); n != test.concurrency {
				t.Errorf("the provider knows of %d pushes at the same time, want %d", n, test.concurrency)
			}
			for _, v := range b.Violations() {
				t.Error(v)
			}
		})
	}
}

func TestALimitThatShrinksUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.want(t, alert(), providers.KindDelivered, "delivered")
	var group sync.WaitGroup
	for i := range 500 {
		if i == 250 {
			b.SetMaxConcurrentStreams(1)
		}
		group.Go(func() { b.want(t, alert(), providers.KindDelivered, "delivered") })
	}
	group.Wait()
	if n := len(b.Pushes()); n != 501 {
		t.Errorf("%d pushes arrived", n)
	}
}

func TestWhatAPNsDidNotProcessIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]apnstest.Answer{
		"the connection ends before it": {GoAway: true},
		"the stream is refused":         {Refuse: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.want(t, alert(), providers.KindDelivered, "delivered")
			b.Answer("", answer)
			push := alert()
			b.want(t, push, providers.KindDelivered, "delivered")
			if pushes := b.Pushes(); len(pushes) != 2 || pushes[1].ID != push.ID {
				t.Errorf("%d pushes arrived", len(pushes))
			}
		})
	}
}

func TestConnectionsThatEndUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	var group sync.WaitGroup
	for i := range 400 {
		if i%100 == 50 {
			b.GoAway()
		}
		group.Go(func() { b.want(t, alert(), providers.KindDelivered, "delivered") })
	}
	group.Wait()
	if n := len(b.Pushes()); n != 400 {
		t.Errorf("%d pushes arrived", n)
	}
}

// The result of such a push is unknown: the homeserver or the outbox must send it again.
func TestAConnectionThatIsLostIsForLater(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]bool{"before the push was taken": false, "after the push was taken": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.Answer("", apnstest.Answer{Drop: true, Take: take})
			if o := b.Push(t.Context(), alert()); o.Kind != providers.KindRetry {
				t.Errorf("got %+v", o)
			}
			b.want(t, alert(), providers.KindDelivered, "delivered")
		})
	}
}

func TestAStalledHandshakeHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *apnstest.Options, _ *Provider) { o.MaxConcurrentStreams = 1 })
	b.want(t, alert(), providers.KindDelivered, "delivered")
	b.StallHandshakes(true)
	let := make(chan struct{})
	b.Answer("", apnstest.Answer{Until: let})
	var group sync.WaitGroup
	group.Go(func() { b.want(t, alert(), providers.KindDelivered, "delivered") })
	b.await(t, "a push is held", func() bool { return b.Held() == 1 })
	// The only stream is taken: this one has a connection made for it, which hangs.
	group.Go(func() { b.want(t, alert(), providers.KindDelivered, "delivered") })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if o := b.Push(ctx, alert()); o.Kind != providers.KindRetry || o.Reason != "timeout" {
		t.Errorf("got %+v", o)
	}
	start := time.Now()
	close(let)
	group.Wait()
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("the stream was free, and a push waited %s for the connection", took)
	}
}

// A push in progress must finish when its configuration ends, and one that starts afterwards must do no harm.
func TestAPushOutlivesItsConfiguration(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	p := &Provider{
		Options: b.Options, Topic: bundle, KeyFile: b.KeyFile, KeyID: keyID, TeamID: teamID,
	}
	if err := p.Provision(messagetest.NewContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := b.Provider.Cleanup(); err != nil { // now the other configuration is the last
		t.Fatal(err)
	}
	release := make(chan struct{})
	b.Answer("", apnstest.Answer{Reason: "ExpiredProviderToken", Until: release})
	done := make(chan providers.Outcome)
	go func() { done <- p.Push(t.Context(), alert()) }()
	b.await(t, "a push is held", func() bool { return b.Held() == 1 })
	if err := p.Cleanup(); err != nil {
		t.Error(err)
	}
	close(release)
	for _, o := range []providers.Outcome{<-done, p.Push(t.Context(), alert())} {
		if o.Kind != providers.KindDelivered {
			t.Errorf("got %+v", o)
		}
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
	for _, data := range []string{`{"default_payload": "secret"}`, `{"default_payload": {"aps": ["secret"]}}`} {
		push := alert()
		push.Device.AppID, push.Device.Data = "org.example", []byte(data)
		b.want(t, push, providers.KindDelivered, "delivered")
	}
	messagetest.WantReported(t, reported, "data.default_payload")
}

// Half an answer means nothing: it is neither Apple's nor a proxy's.
func TestAnAnswerThatIsCutOffIsNone(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
		_, _ = w.Write([]byte(`{"reason":"Unreg`))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	_, p8 := apnstest.NewKey(t)
	p := live(t, &Provider{
		Options: network.Options{Endpoint: server.URL, TrustedCA: server.CAFile, Proxy: "none"},
		Topic:   bundle, KeyFile: writeFile(t, "key.p8", p8), KeyID: keyID, TeamID: teamID,
	})
	if o := p.Push(t.Context(), alert()); o.Kind != providers.KindRetry || o.Cause != providers.CauseNetwork {
		t.Errorf("the outcome is %s (%s, %v), its cause %d", o.Kind, o.Reason, o.Err, o.Cause)
	}
}
