package apnstest_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// expectRefusal sends a push with one mistake, and wants it refused and recorded for only that mistake.
func expectRefusal(t *testing.T, f fixture, r *http.Request, status int, reason, violation string) {
	t.Helper()
	f.expect(t, r, status, reason)
	requests := f.Requests()
	last := requests[len(requests)-1]
	if last.Status != status || last.Reason != reason {
		t.Errorf("%d %s was recorded", last.Status, last.Reason)
	}
	if v := last.Violations; len(v) != 1 || !strings.Contains(v[0], violation) {
		t.Errorf("the violations are %q, want %q", v, violation)
	}
	for _, push := range f.Pushes() {
		if string(push.Payload) == string(last.Payload) && push.Time.Equal(last.Time) {
			t.Error("the push was taken")
		}
	}
}

func TestAPNsCatchesEveryBrokenRuleOfARequest(t *testing.T) {
	t.Parallel()
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) {
			delete(r.Header, name)
			if len(values) > 0 {
				r.Header[name] = values
			}
		}
	}
	path := func(path string) func(*http.Request) {
		return func(r *http.Request) { r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?") }
	}
	background := func(priority ...string) func(*http.Request) {
		return func(r *http.Request) {
			header("Apns-Push-Type", "background")(r)
			header("Apns-Priority", priority...)(r)
			setBody(r, `{"aps":{"content-available":1}}`)
		}
	}
	tests := []struct {
		name      string
		change    func(*http.Request)
		status    int
		reason    string
		violation string
	}{
		{"PUT", func(r *http.Request) { r.Method = http.MethodPut }, 405, "MethodNotAllowed", "method"},
		{"another path", path("/4/device/" + deviceToken), 404, "BadPath", "path"},
		{"a query", path("/3/device/" + deviceToken + "?a=b"), 404, "BadPath", "path"},
		{"something after the token", path("/3/device/" + deviceToken + "/"), 404, "BadPath", "path"},
		{"no token", path("/3/device/"), 400, "MissingDeviceToken", "device token"},
		{"a token of half a byte", path("/3/device/" + deviceToken[1:]), 400, "BadDeviceToken", "hexadecimal"},
		{"a token of 31 bytes", path("/3/device/" + deviceToken[2:]), 400, "BadDeviceToken", "fewer than 32 bytes"},
		{"a token in base64", path("/3/device/spqrspqrspqrspqr"), 400, "BadDeviceToken", "hexadecimal"},
		{"two topics", header("Apns-Topic", bundle, bundle), 400, "DuplicateHeaders", "Apns-Topic"},
		{"no topic", header("Apns-Topic"), 400, "MissingTopic", "no apns-topic"},
		{"a topic with a space", header("Apns-Topic", "com.example app"), 400, "BadTopic", "apns-topic"},
		{"another app's topic", header("Apns-Topic", "com.example.other"), 400, "TopicDisallowed", "apns-topic"},
		{"a topic with an unknown suffix", header("Apns-Topic", bundle+".voice"), 400, "TopicDisallowed", "apns-topic"},
		{"no push type", header("Apns-Push-Type"), 400, "InvalidPushType", "no apns-push-type"},
		{"an unknown push type", header("Apns-Push-Type", "Alert"), 400, "InvalidPushType", "not one of Apple's"},
		{"alert for a VoIP topic", header("Apns-Topic", bundle+".voip"), 400, "InvalidPushType", "does not go with"},
		{"voip for the plain topic", header("Apns-Push-Type", "voip"), 400, "InvalidPushType", "does not go with"},
		{"priority 0", header("Apns-Priority", "0"), 400, "BadPriority", "apns-priority"},
		{"priority high", header("Apns-Priority", "high"), 400, "BadPriority", "apns-priority"},
		{"background with priority 10", background("10"), 400, "BadPriority", "background"},
		{"background with priority 1", background("1"), 400, "BadPriority", "background"},
		{"background with the default priority", background(), 400, "BadPriority", "background"},
		{"an expiration in words", header("Apns-Expiration", "tomorrow"), 400, "BadExpirationDate", "not a number"},
		{"a negative expiration", header("Apns-Expiration", "-1"), 400, "BadExpirationDate", "not a number"},
		{"an expiration that is over", header("Apns-Expiration", strconv.FormatInt(noon.Unix(), 10)), 400, "BadExpirationDate", "over"},
		{"an upper-case id", header("Apns-Id", strings.ToUpper(pushID)), 400, "BadMessageId", "apns-id"},
		{"an id without hyphens", header("Apns-Id", strings.ReplaceAll(pushID, "-", "")), 400, "BadMessageId", "apns-id"},
		{"a collapse id of 65 bytes", header("Apns-Collapse-Id", strings.Repeat("c", 65)), 400, "BadCollapseId", "64 bytes"},
		{"no authorization", header("Authorization"), 403, "MissingProviderToken", "authorization"},
		{"an empty bearer", header("Authorization", "bearer "), 403, "MissingProviderToken", "authorization"},
		{"another scheme", header("Authorization", "vapid t=a"), 403, "MissingProviderToken", "authorization"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			r := f.request(t)
			test.change(r)
			expectRefusal(t, f, r, test.status, test.reason, test.violation)
		})
	}
}

// setBody replaces the payload.
func setBody(r *http.Request, body string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	r.GetBody = nil
}

// padded returns a payload of n bytes.
func padded(n int) string {
	const frame = `{"aps":{"alert":""}}`
	return strings.Replace(frame, `""`, `"`+strings.Repeat("a", n-len(frame))+`"`, 1)
}

func TestAPNsCatchesEveryBrokenRuleOfAPayload(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pushType, body string
		status               int
		reason, violation    string
	}{
		{"an empty body", "alert", "", 400, "PayloadEmpty", "no payload"},
		{"4097 bytes", "alert", padded(4097), 413, "PayloadTooLarge", "4096"},
		{"5121 bytes for VoIP", "voip", padded(5121), 413, "PayloadTooLarge", "5120"},
		{"100000 bytes", "alert", padded(100000), 413, "PayloadTooLarge", "4096"},
		{"no JSON", "alert", "hello", 400, "BadPayload", "JSON"},
		{"a list", "alert", "[]", 400, "BadPayload", "JSON object"},
		{"null", "alert", "null", 400, "BadPayload", "JSON object"},
		{"two objects", "alert", `{"aps":{"badge":1}}{}`, 400, "BadPayload", "after"},
		{"no UTF-8", "alert", `{"aps":{"alert":"` + "\xff" + `"}}`, 400, "BadPayload", "UTF-8"},
		{"no aps", "alert", `{"room_id":"!r"}`, 400, "BadPayload", "aps is not"},
		{"no aps for VoIP", "voip", `{"room_id":"!r"}`, 400, "BadPayload", "aps is not"},
		{"aps that is a string", "alert", `{"aps":"alert"}`, 400, "BadPayload", "aps is not"},
		{"an alert push that shows nothing", "alert", `{"aps":{"mutable-content":1}}`, 400, "BadPayload", "none of"},
		{"an alert that is a number", "alert", `{"aps":{"alert":1}}`, 400, "BadPayload", "aps.alert is"},
		{"a title that is a number", "alert", `{"aps":{"alert":{"title":1}}}`, 400, "BadPayload", "alert.title"},
		{"arguments that are a string", "alert", `{"aps":{"alert":{"loc-args":"a"}}}`, 400, "BadPayload", "not a list"},
		{"an argument that is null", "alert", `{"aps":{"alert":{"loc-args":[null]}}}`, 400, "BadPayload", "list of strings"},
		{"a badge that is a string", "alert", `{"aps":{"badge":"1"}}`, 400, "BadPayload", "aps.badge"},
		{"a negative badge", "alert", `{"aps":{"badge":-1}}`, 400, "BadPayload", "aps.badge"},
		{"a badge with a fraction", "alert", `{"aps":{"badge":1.5}}`, 400, "BadPayload", "aps.badge"},
		{"a sound that is true", "alert", `{"aps":{"sound":true}}`, 400, "BadPayload", "aps.sound"},
		{"mutable-content that is true", "alert", `{"aps":{"alert":"a","mutable-content":true}}`, 400, "BadPayload", "aps.mutable-content"},
		{"a thread that is a number", "alert", `{"aps":{"alert":"a","thread-id":1}}`, 400, "BadPayload", "aps.thread-id"},
		{"background without content", "background", `{"aps":{}}`, 400, "BadPayload", "content-available"},
		{"background with content 0", "background", `{"aps":{"content-available":0}}`, 400, "BadPayload", "content-available"},
		{"background with an alert", "background", `{"aps":{"content-available":1,"alert":"a"}}`, 400, "BadPayload", "has alert"},
		{"background with a badge", "background", `{"aps":{"content-available":1,"badge":1}}`, 400, "BadPayload", "has badge"},
		{"widgets without a change", "widgets", `{"aps":{}}`, 400, "BadPayload", "content-changed"},
		{"widgets whose change is 1", "widgets", `{"aps":{"content-changed":1}}`, 400, "BadPayload", "content-changed"},
		{"controls that have not changed", "controls", `{"aps":{"content-changed":false}}`, 400, "BadPayload", "content-changed"},
		{"a Live Activity without a time", "liveactivity", `{"aps":{"event":"update","content-state":{}}}`, 400, "BadPayload", "timestamp"},
		{"a Live Activity without an event", "liveactivity", `{"aps":{"timestamp":1,"content-state":{}}}`, 400, "BadPayload", "event"},
		{"a Live Activity without a state", "liveactivity", `{"aps":{"timestamp":1,"event":"update"}}`, 400, "BadPayload", "content-state"},
		{"background with a sound", "background", `{"aps":{"content-available":1,"sound":""}}`, 400, "BadPayload", "has sound"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			expectRefusal(t, f, f.typed(t, test.pushType, test.body), test.status, test.reason, test.violation)
		})
	}
}

// managed is the topic of an MDM certificate, which the key may send to, too.
const managed = "com.apple.mgmt.External.5f0d1a8c"

// typed returns a push of a type, with the topic and the priority that go with it.
func (f fixture) typed(t *testing.T, pushType, body string) *http.Request {
	t.Helper()
	r := f.request(t)
	suffixes := map[string]string{
		"voip": ".voip", "complication": ".complication", "fileprovider": ".pushkit.fileprovider", "location": ".location-query",
		"liveactivity": ".push-type.liveactivity", "pushtotalk": ".voip-ptt", "widgets": ".push-type.widgets", "controls": ".push-type.controls",
	}
	r.Header.Set("Apns-Push-Type", pushType)
	r.Header.Set("Apns-Topic", bundle+suffixes[pushType])
	switch pushType {
	case "background":
		r.Header.Set("Apns-Priority", "5")
	case "pushtotalk":
		r.Header.Set("Apns-Expiration", "0")
	case "mdm":
		r.Header.Set("Apns-Topic", managed)
	}
	setBody(r, body)
	return r
}

func TestAPNsTakesWhatAppleDocuments(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, pushType, body string }{
		{"4096 bytes", "alert", padded(4096)},
		{"5120 bytes for VoIP", "voip", padded(5120)},
		{"only a badge", "alert", `{"aps":{"badge":3}}`},
		{"a localized alert", "alert", `{"aps":{"alert":{"loc-key":"K","loc-args":["a","b"]},"mutable-content":1,"sound":"default"}}`},
		{"a critical sound", "alert", `{"aps":{"sound":{"critical":1,"name":"n","volume":0.5}}}`},
		{"a background push", "background", `{"aps":{"content-available":1},"room_id":"!r"}`},
		{"a live activity", "liveactivity", `{"aps":{"timestamp":1,"event":"update","content-state":{}}}`},
		{"the end of a live activity", "liveactivity", `{"aps":{"timestamp":1,"event":"end"}}`},
		{"a complication", "complication", `{"unread":1}`},
		{"a file provider", "fileprovider", `{"container-identifier":"c","domain":"d"}`},
		{"a speaker", "pushtotalk", `{"aps":{},"speaker":"s"}`},
		{"widgets", "widgets", `{"aps":{"content-changed":true}}`},
		{"controls", "controls", `{"aps":{"content-changed":true}}`},
		{"a question for the location", "location", `{"aps":{}}`},
		{"a command for a managed device", "mdm", `{"mdm":"magic"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *apnstest.Options) { o.Keys[0].Topics = append(o.Keys[0].Topics, managed) })
			r := f.typed(t, test.pushType, test.body)
			if test.pushType != "pushtotalk" {
				r.Header.Set("Apns-Expiration", strconv.FormatInt(noon.Add(time.Second).Unix(), 10))
			}
			f.expect(t, r, http.StatusOK, "")
			if string(f.Pushes()[0].Payload) != test.body {
				t.Error("the payload is another one")
			}
		})
	}
}

func TestAPNsCatchesWhatAPushTypeRulesOut(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	const update = `{"aps":{"timestamp":1,"event":"update","content-state":{}}}`
	tests := []struct {
		name, pushType, body string
		change               func(*http.Request)
		reason, violation    string
	}{
		{"a speaker with priority 5", "pushtotalk", `{"aps":{}}`, set("Apns-Priority", "5"), "BadPriority", "not 10"},
		{
			"a speaker for later", "pushtotalk", `{"aps":{}}`,
			set("Apns-Expiration", strconv.FormatInt(noon.Unix()+9, 10)), "BadExpirationDate", "not 0",
		},
		{
			"a speaker for whenever", "pushtotalk", `{"aps":{}}`, func(r *http.Request) { r.Header.Del("Apns-Expiration") },
			"BadExpirationDate", "not 0",
		},
		{"a Live Activity with priority 1", "liveactivity", update, set("Apns-Priority", "1"), "BadPriority", "neither 5 nor 10"},
		{"mdm for an app", "mdm", `{"mdm":"m"}`, set("Apns-Topic", bundle), "InvalidPushType", "mdm does not go with"},
		{
			"an alert for a managed device", "alert", `{"aps":{"alert":"a"}}`,
			set("Apns-Topic", managed), "InvalidPushType", "alert does not go with",
		},
		{
			"background for calls", "background", `{"aps":{"content-available":1}}`,
			set("Apns-Topic", bundle+".voip"), "InvalidPushType", `".voip"`,
		},
		{"voip for a complication", "voip", `{"aps":{}}`, set("Apns-Topic", bundle+".complication"), "InvalidPushType", `".complication"`},
		{"voip for push to talk", "voip", `{"aps":{}}`, set("Apns-Topic", bundle+".voip-ptt"), "InvalidPushType", `".voip-ptt"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *apnstest.Options) { o.Keys[0].Topics = append(o.Keys[0].Topics, managed) })
			r := f.typed(t, test.pushType, test.body)
			test.change(r)
			expectRefusal(t, f, r, 400, test.reason, test.violation)
		})
	}
}

func TestAPNsKnowsBothSpellingsOfAKeyForTheOtherEnvironment(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken"} {
		f := newFixture(t)
		f.Answer("", apnstest.Answer{Reason: reason})
		f.expect(t, f.request(t), http.StatusForbidden, reason)
	}
}

func TestAPNsNotesEveryMistakeAndAnswersTheFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.request(t)
	r.Header.Set("Apns-Priority", "7")
	r.Header.Set("Apns-Id", "1")
	f.expect(t, r, http.StatusBadRequest, "BadPriority")
	if v := f.Violations(); len(v) != 2 || !strings.HasPrefix(v[1], "400 BadPriority: apns-id") {
		t.Errorf("the violations are %q", v)
	}
}

func TestAPNsKnowsWhoseTokensItHas(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *apnstest.Options) {
		o.Keys[0].Topics = append(o.Keys[0].Topics, bundle+".other")
		o.DeviceTopic = bundle + ".other"
	})
	expectRefusal(t, f, f.request(t), 400, "DeviceTokenNotForTopic", "was not made for apns-topic")
	f.SetDeviceTopic(bundle)
	f.expect(t, f.request(t), 200, "")
}
