package fcm

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
)

// installation is a Firebase installation ID.
const installation = "cIedIk5_QxmkYDgVzNP_1A"

func byInstallation(_ *fcmtest.Service, p *Provider) { p.Target = "fid" }

func TestAnAppCanAddressInstallations(t *testing.T) {
	t.Parallel()
	b := newBench(t, byInstallation)
	push := alert()
	push.Device.Pushkey = installation
	b.want(t, push, providers.KindDelivered, "delivered")
	if got := b.sent(t); got.FID != installation || got.Token != "" {
		t.Errorf("it went to the installation %q, the token %q", got.FID, got.Token)
	}
}

// Firebase's own integration tests expect UNREGISTERED for something that is not an ID (integration/messaging in
// https://github.com/firebase/firebase-admin-go): with `target fid`, all registration tokens would look dead.
func TestAnInstallationThatIsGoneIsDoubtedAsTheSettingMayBeWrong(t *testing.T) {
	t.Parallel()
	for target, doubtful := range map[string]bool{"": false, "token": false, "fid": true} {
		b := newBench(t, func(_ *fcmtest.Service, p *Provider) { p.Target = target })
		b.Answer("", fcmtest.ErrorFor("UNREGISTERED"))
		if o := b.Push(t.Context(), alert()); o.Kind != providers.KindRejected || o.Reason != "unregistered" || o.Doubtful != doubtful {
			t.Errorf("%q: got %+v", target, o)
		}
	}
}

func TestACheckAcceptsThatNoInstallationIsThatOfNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, byInstallation)
	b.finds(t.Context(), t)
	b.deliveredNothing(t)
	if got := b.sent(t); got.FID != nobody {
		t.Errorf("the check was for %q", got.FID)
	}
}

func TestTheWholeMessageIsTakenAndMergedInEitherSpelling(t *testing.T) {
	t.Parallel()
	tests := []struct {
		source, name, part string
		options            options
		n                  *providers.Notification
		want               string
	}{
		{
			"firebase-admin-go#750", "a member that the SDK lacks", "android",
			options{android: `{"bandwidth_constrained_ok": true, "ttl": "3.5s"}`},
			messagetest.Alert(), `{"bandwidth_constrained_ok": true}`,
		},
		{
			"firebase-admin-java#1145", "in the other spelling", "android",
			options{android: `{"restrictedSatelliteOk": true, "fcmOptions": {"analyticsLabel": "x"}}`},
			messagetest.Alert(), `{"restricted_satellite_ok": true, "fcm_options": {"analytics_label": "x"}}`,
		},
		{
			"discovery document", "a label", "fcm_options",
			options{fcmOptions: `{"analyticsLabel": "matrix"}`},
			messagetest.Alert(),
			`{"analytics_label": "matrix"}`,
		},
		{
			"next.md: a badge shows nothing", "a notification in camel case", "android",
			options{android: `{"notification": {"channelId": "x"}, "directBootOk": true}`},
			messagetest.Badge(), `{"direct_boot_ok": true}`,
		},
		{
			"send/v2-api", "the second configuration for Android", "android_v2",
			options{androidV2: `{"remoteNotification": {"notification": {"title": "New message", "id": 7}}, "ttl": "60s", "collapseKey": "x"}`},
			low(), `{"remote_notification": {"notification": {"title": "New message", "id": 7}}, "ttl": "60s", "collapse_key": "x"}`,
		},
		{
			"send/v2-api", "it in a badge update", "android_v2",
			options{androidV2: `{"remoteNotification": {"notification": {"title": "New message"}}, "ttl": "60s"}`},
			messagetest.Badge(), `{"background_sync": {}, "ttl": "60s", "collapse_key": "badge"}`,
		},
		{
			"a badge makes no sound", "capitals in aps", "apns",
			options{apns: `{"payload": {"aps": {"Alert": "x", "sound": {"critical": 1}, "SOUND": "x", "thread-id": "t"}, "own": {"alert": "x"}}}`},
			unreadCount(3), `{"payload": {"aps": {"badge": 3, "thread-id": "t"}, "own": {"alert": "x"}}}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(_ *fcmtest.Service, p *Provider) { test.options.set(p) })
			b.want(t, pushOf(test.n), providers.KindDelivered, "delivered")
			wantPart(t, b.sent(t).Raw, test.part, test.want)
		})
	}
}

func TestTheSecondConfigurationForAndroidTakesThePlaceOfTheFirst(t *testing.T) {
	t.Parallel()
	p := offline(t)
	options{androidV2: `{"background_sync": {}}`}.set(p)
	push, now := alert(), time.Now()
	push.Expires = now.Add(90 * time.Second)
	raw := messageFor(t, live(t, p), push, now)
	var message map[string]json.RawMessage
	if err := json.Unmarshal(raw, &message); err != nil {
		t.Fatal(err)
	}
	if got := string(message["android_v2"]); got != `{"background_sync":{},"ttl":"90s"}` || message["android"] != nil {
		t.Errorf("the message is %s", raw)
	}
}

// RFC 9110 section 5.1: names of headers ignore case.
func TestAHeaderOfTheOperatorsTakesThePlaceOfOursInAnyCase(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *fcmtest.Service, p *Provider) {
		options{apns: `{"headers": {"APNs-Priority": "1", "Apns-Expiration": "7"}}`}.set(p)
	})
	b.want(t, alert(), providers.KindDelivered, "delivered")
	var message struct {
		APNS struct {
			Headers map[string]string `json:"headers"`
		} `json:"apns"`
	}
	if err := json.Unmarshal(b.sent(t).Raw, &message); err != nil {
		t.Fatal(err)
	}
	if got := message.APNS.Headers; len(got) != 2 || got["APNs-Priority"] != "1" || got["Apns-Expiration"] != "7" {
		t.Errorf("the headers are %v", got)
	}
}
