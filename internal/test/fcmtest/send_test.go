package fcmtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

// answerBody is the body of Google's errors.
type answerBody struct {
	Error struct {
		Code    int
		Message string
		Status  string
		Details []struct {
			Type            string `json:"@type"`
			ErrorCode       string
			FieldViolations []struct{ Field, Description string }
		}
	}
}

// expect wants the last request refused for only one mistake, with Google's error, and the mistake recorded.
func (s *sender) expect(t *testing.T, r *http.Request, status int, grpcStatus, errorCode, message string) (fields []string) {
	t.Helper()
	got, text := s.do(t, r)
	var body answerBody
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	e := body.Error
	if got != status || e.Code != status || e.Status != grpcStatus || !strings.Contains(e.Message, message) {
		t.Errorf("the answer is %d, %s; want %d, %s, %q", got, text, status, grpcStatus, message)
	}
	code := ""
	for _, d := range e.Details {
		code += d.ErrorCode
		for _, v := range d.FieldViolations {
			fields = append(fields, v.Field)
		}
	}
	if code != errorCode {
		t.Errorf("the error code is %q, want %q", code, errorCode)
	}
	requests := s.Requests()
	if len(requests) != 1 || requests[0].Status != status || len(requests[0].Violations) != 1 || len(s.Messages()) != 0 {
		t.Errorf("the requests are %+v", requests)
	}
	return fields
}

func TestFCMRefusesARequestThatIsNoSend(t *testing.T) {
	t.Parallel()
	header := func(name string, values ...string) func(r *http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	path := func(path string) func(r *http.Request) { return func(r *http.Request) { r.URL.Path = path } }
	body := func(body string) func(r *http.Request) {
		return func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1 }
	}
	tests := []struct {
		name       string
		change     func(r *http.Request)
		status     int
		grpcStatus string
		message    string
	}{
		{"PUT", func(r *http.Request) { r.Method = http.MethodPut }, 404, "NOT_FOUND", "not found"},
		{"another path", path("/v1/projects/demo-project/messages"), 404, "NOT_FOUND", "not found"},
		{"an empty project", path("/v1/projects//messages:send"), 404, "NOT_FOUND", "not found"},
		{"the API of old", path("/fcm/send"), 404, "NOT_FOUND", "not found"},
		{"a query", func(r *http.Request) { r.URL.RawQuery = "key=1" }, 404, "NOT_FOUND", "not found"},
		{"another project", path("/v1/projects/other/messages:send"), 403, "PERMISSION_DENIED", "projects/other'"},
		{"no Authorization", header("Authorization"), 401, "UNAUTHENTICATED", "OAuth 2"},
		{"an unknown access token", header("Authorization", "Bearer ya29.other"), 401, "UNAUTHENTICATED", "OAuth 2"},
		{"the key of old", header("Authorization", "key=AAAA"), 401, "UNAUTHENTICATED", "OAuth 2"},
		{"another scheme", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Bearer", "Basic", 1))
		}, 401, "UNAUTHENTICATED", "OAuth 2"},
		{"two Authorizations", func(r *http.Request) {
			r.Header["Authorization"] = append(r.Header["Authorization"], r.Header["Authorization"]...)
		}, 401, "UNAUTHENTICATED", "OAuth 2"},
		{"no content type", header("Content-Type"), 400, "INVALID_ARGUMENT", "content type"},
		{"another content type", header("Content-Type", "text/plain"), 400, "INVALID_ARGUMENT", "content type"},
		{"another charset", header("Content-Type", "application/json; charset=latin1"), 400, "INVALID_ARGUMENT", "content type"},
		{"an encoded body", header("Content-Encoding", "gzip"), 400, "INVALID_ARGUMENT", "encoded"},
		{"an empty body", body(""), 400, "INVALID_ARGUMENT", "Invalid JSON payload received"},
		{"half a body", body(hello[:40]), 400, "INVALID_ARGUMENT", "Invalid JSON payload received"},
		{"two bodies", body(hello + hello), 400, "INVALID_ARGUMENT", "Invalid JSON payload received"},
		{"a body that is not UTF-8", body(strings.Replace(hello, "$e", "\xff", 1)), 400, "INVALID_ARGUMENT", "UTF-8"},
		{"an enormous body", body(hello + strings.Repeat(" ", 64<<10)), 400, "INVALID_ARGUMENT", "size exceeds the limit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newSender(t, fcmtest.Options{})
			r := f.request(t.Context(), hello)
			test.change(r)
			f.expect(t, r, test.status, test.grpcStatus, "", test.message)
		})
	}
}

// with returns a message with more members than a token.
func with(members string) string {
	return fmt.Sprintf(`{"message":{"token":%q,%s}}`, phone, members)
}

func TestFCMRefusesAMessageThatIsNotOfTheSchema(t *testing.T) {
	t.Parallel()
	const (
		unknown = "Invalid JSON payload received. Unknown name "
		oneof   = "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set 'topic'"
	)
	invalid := func(at, kind, value string) string {
		return fmt.Sprintf("Invalid value at '%s' (%s), %s", at, kind, value)
	}
	tests := []struct {
		name, body, field, message string
	}{
		{"a list", `[]`, "", "SendMessageRequest"},
		{"an unknown name at the top", `{"message":{"token":"` + phone + `"},"to":"x"}`, "", unknown + `"to": Cannot find field.`},
		{"a message that is a string", `{"message":"hello"}`, "message", "fcm.v1.Message"},
		{"validate_only as a text", `{"message":{"token":"` + phone + `"},"validate_only":"yes"}`, "validate_only", "TYPE_BOOL"},
		{"an unknown name", with(`"priority":"high"`), "message", unknown + `"priority" at 'message': Cannot find field.`},
		{"a name twice", with(`"data":{},"data":{}`), "message", "Duplicate name"},
		{"a token that is a number", `{"message":{"token":1}}`, "message.token", invalid("message.token", "TYPE_STRING", "1")},
		{"a token and a topic", with(`"topic":"news"`), "message", oneof},
		{"data that is a list", with(`"data":[]`), "message.data", "TYPE_MAP"},
		{
			"a number in the data", with(`"data":{"event_id":"$e","unread":3}`), "message.data[1].value",
			invalid("message.data[1].value", "TYPE_STRING", "3"),
		},
		{"an object in the data", with(`"data":{"content":{}}`), "message.data[0].value", "(TYPE_STRING), {}"},
		{"null in the data", with(`"data":{"content":null}`), "message.data[0].value", "(TYPE_STRING), null"},
		{"a key of the data twice", with(`"data":{"a":"1","a":"2"}`), "message.data", "Duplicate name"},
		{"an unknown name in notification", with(`"notification":{"sound":"x"}`), "message.notification", unknown + `"sound"`},
		{"a title that is an object", with(`"notification":{"title":{}}`), "message.notification.title", "TYPE_STRING"},
		{"an unknown name in android", with(`"android":{"time_to_live":60}`), "message.android", unknown + `"time_to_live"`},
		{"an unknown priority", with(`"android":{"priority":"urgent"}`), "message.android.priority", "AndroidMessagePriority"},
		{"a priority that is a number", with(`"android":{"priority":10}`), "message.android.priority", "AndroidMessagePriority"},
		{"a ttl that is a number", with(`"android":{"ttl":60}`), "message.android.ttl", "Field 'ttl', Illegal duration format"},
		{"a ttl without a unit", with(`"android":{"ttl":"60"}`), "message.android.ttl", "must end with 's'"},
		{"a ttl in minutes", with(`"android":{"ttl":"1m0s"}`), "message.android.ttl", "Illegal duration format"},
		{"a ttl with an exponent", with(`"android":{"ttl":"1e3s"}`), "message.android.ttl", "Illegal duration format"},
		{"a number in android's data", with(`"android":{"data":{"a":1}}`), "message.android.data[0].value", "TYPE_STRING"},
		{"a flag that is a text", with(`"android":{"direct_boot_ok":"true"}`), "message.android.direct_boot_ok", "TYPE_BOOL"},
		{
			"an unknown name in android's notification", with(`"android":{"notification":{"badge":"1"}}`),
			"message.android.notification", unknown + `"badge"`,
		},
		{
			"a count that is a text", with(`"android":{"notification":{"notification_count":"many"}}`),
			"message.android.notification.notification_count", "TYPE_INT32",
		},
		{
			"arguments that are not a list", with(`"android":{"notification":{"body_loc_args":"x"}}`),
			"message.android.notification.body_loc_args", "TYPE_REPEATED",
		},
		{
			"an argument that is null", with(`"android":{"notification":{"body_loc_args":["x",null]}}`),
			"message.android.notification.body_loc_args[1]", "TYPE_STRING",
		},
		{
			"a time that is a number", with(`"android":{"notification":{"event_time":1}}`),
			"message.android.notification.event_time", "Timestamp",
		},
		{"an unknown name in webpush", with(`"webpush":{"ttl":"60"}`), "message.webpush", unknown + `"ttl"`},
		{"a header that is a number", with(`"webpush":{"headers":{"TTL":60}}`), "message.webpush.headers[0].value", "TYPE_STRING"},
		{"an unknown name in apns", with(`"apns":{"aps":{}}`), "message.apns", unknown + `"aps"`},
		{
			"an APNs header that is a number", with(`"apns":{"headers":{"apns-priority":5}}`),
			"message.apns.headers[0].value", "(TYPE_STRING), 5",
		},
		{"a payload that is a text", with(`"apns":{"payload":"{}"}`), "message.apns.payload", "protobuf.Struct"},
		{"an aps that is a text", with(`"apns":{"payload":{"aps":"x"}}`), "message.apns.payload.aps", "protobuf.Struct"},
		{
			"a mixture of both spellings", with(`"android":{"restricted_packageName":"x"}`), "message.android",
			unknown + `"restricted_packageName"`,
		},
		{"a name twice, in both spellings", with(`"android":{"collapse_key":"x","collapseKey":"x"}`), "message.android", "Duplicate name"},
		{"a priority in android_v2", with(`"android_v2":{"background_sync":{},"priority":"high"}`), "message.android_v2", unknown + `"priority"`},
		{
			"a proxy in android_v2", with(`"androidV2":{"remoteNotification":{"notification":{"proxy":"DENY"}}}`),
			"message.android_v2.remote_notification.notification", unknown + `"proxy"`,
		},
		{"a token and an installation", with(`"fid":"x"`), "message", "Cannot set 'fid'"},
		{"an installation that is a number", `{"message":{"fid":1}}`, "message.fid", "TYPE_STRING"},
		{"an unknown option", with(`"fcm_options":{"label":"x"}`), "message.fcm_options", unknown + `"label"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newSender(t, fcmtest.Options{})
			fields := f.expect(t, f.request(t.Context(), test.body), 400, "INVALID_ARGUMENT", "", test.message)
			if !slices.Equal(fields, []string{test.field}) {
				t.Errorf("the fields are %q, want %q", fields, test.field)
			}
		})
	}
}

func TestFCMRefusesAMessageThatBreaksARuleOfFCM(t *testing.T) {
	t.Parallel()
	big := func(size int) string {
		values := []string{}
		for i := range 4 {
			values = append(values, fmt.Sprintf(`"%d":%q`, i, strings.Repeat("x", size/4-1)))
		}
		return "{" + strings.Join(values, ",") + "}"
	}
	tests := []struct {
		name, body, field, message string
	}{
		{"no message", `{}`, "message", "Recipient of the message is not set."},
		{"null", `{"message":null}`, "message", "Recipient of the message is not set."},
		{"nobody to send to", `{"message":{"data":{"a":"b"},"token":null}}`, "message", "Recipient of the message is not set."},
		{"an empty token", `{"message":{"token":""}}`, "message.token", "not a valid FCM registration token"},
		{"a token of 19 characters", `{"message":{"token":"1234567890123456789"}}`, "message.token", "not a valid FCM registration token"},
		{"a token with a space", `{"message":{"token":"1234567890 123456789012"}}`, "message.token", "not a valid FCM registration token"},
		{"a token of APNs in base64", `{"message":{"token":"1234567890+123456789/2="}}`, "message.token", "not a valid FCM registration"},
		{"a topic with a slash", `{"message":{"topic":"/topics/news"}}`, "message.topic", "topic"},
		{"the key from", with(`"data":{"from":"x"}`), "message.data", "Invalid data payload key: from"},
		{"the key message_type", with(`"data":{"message_type":"x"}`), "message.data", "Invalid data payload key: message_type"},
		{"a key of google.", with(`"data":{"google.x":"x"}`), "message.data", "Invalid data payload key: google.x"},
		{"a key of gcm.", with(`"data":{"gcm.x":"x"}`), "message.data", "Invalid data payload key: gcm.x"},
		{"a reserved key in android's data", with(`"android":{"data":{"from":"x"}}`), "message.android.data", "payload key: from"},
		{"4100 bytes of data", with(`"data":` + big(4100)), "message.data", "Android message is too big"},
		{"4100 bytes of android's data", with(`"android":{"data":` + big(4100) + `}`), "message.android.data", "too big"},
		{"a negative ttl", with(`"android":{"ttl":"-1s"}`), "message.android.ttl", "between 0 and 4 weeks"},
		{"a ttl beyond 4 weeks", with(`"android":{"ttl":"2419201s"}`), "message.android.ttl", "between 0 and 4 weeks"},
		{"an android_v2 of no kind", with(`"android_v2":{"ttl":"1s"}`), "message.android_v2", "Exactly one of"},
		{
			"an android_v2 of both kinds", with(`"androidV2":{"remoteNotification":{},"background_sync":{}}`), "message.android_v2",
			"Exactly one of",
		},
		{"both of Android's", with(`"android":{},"android_v2":{"background_sync":{}}`), "message", "Only one of android"},
		{"a label with a space", with(`"fcm_options":{"analytics_label":"a b"}`), "message.fcm_options.analytics_label", "label"},
		{
			"an APNs payload of more than 4096 bytes", with(`"apns":{"payload":{"aps":{},"x":"` + strings.Repeat("x", 4096) + `"}}`),
			"message.apns.payload", "iOS message is too big",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newSender(t, fcmtest.Options{})
			fields := f.expect(t, f.request(t.Context(), test.body), 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", test.message)
			if !slices.Equal(fields, []string{test.field}) {
				t.Errorf("the fields are %q, want %q", fields, test.field)
			}
		})
	}
}

func TestFCMTakesWhateverGoogleTakes(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"a topic":             `{"message":{"topic":"news"}}`,
		"a condition":         `{"message":{"condition":"'a' in topics"}}`,
		"an installation":     `{"message":{"fid":"cIedIk5_QxmkYDgVzNP_1A"}}`,
		"names in camel case": with(`"android":{"collapseKey":"x","restrictedPackageName":"im.vector"}`),
		"all of android_v2": with(`"androidV2":{"remoteNotification":{"mutableContent":true,"use_as_v1_data_message":true,` +
			`"notification":{"id":7,"titleLocKey":"x"}},"ttl":"3.5s","bandwidthConstrainedOk":true,"restricted_satellite_ok":true}`),
		"a sync":                  with(`"android_v2":{"backgroundSync":{}},"android":null`),
		"labels":                  with(`"fcmOptions":{"analyticsLabel":"x"},"webpush":{"fcmOptions":{"analytics_label":"x"}}`),
		"null for nothing":        with(`"topic":null,"android":null`),
		"a high priority":         with(`"android":{"priority":"HIGH"}`),
		"a normal priority":       with(`"android":{"priority":"normal"}`),
		"no ttl to speak of":      with(`"android":{"ttl":"0s"}`),
		"a ttl with a fraction":   with(`"android":{"ttl":"3.5s"}`),
		"a ttl of 4 weeks":        with(`"android":{"ttl":"2419200s"}`),
		"4096 bytes of data":      with(fmt.Sprintf(`"data":{"a":%[1]q,"b":%[1]q,"c":%[1]q,"d":%[1]q}`, strings.Repeat("x", 1023))),
		"a notification":          with(`"notification":{"title":"x","body":"y","image":"z"}`),
		"a notification by parts": with(`"android":{"notification":{"vibrate_timings":["0.5s"],"light_settings":{"color":{"red":0.5}}}}`),
		"web push":                with(`"webpush":{"headers":{"TTL":"60"},"notification":{"any":["thing"]},"fcm_options":{"link":"x"}}`),
		"APNs": with(`"apns":{"headers":{"apns-priority":"5"},"payload":{"aps":{"badge":1},"any":["thing"]},` +
			`"fcm_options":{"analytics_label":"x"},"live_activity_token":"x"}`),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newSender(t, fcmtest.Options{})
			if status, answer := f.send(t, body); status != http.StatusOK {
				t.Errorf("the answer is %d, %s", status, answer)
			}
			if v := f.Requests()[0].Violations; len(v) != 0 {
				t.Errorf("the violations are %q", v)
			}
		})
	}
}

func TestFCMRecordsWhatGoogleLetsPass(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"the value of body has more than 1024 bytes": with(`"data":{"body":"` + strings.Repeat("é", 513) + `"}`),
		"there is no aps": with(`"apns":{"payload":{"event_id":"$e"}}`),
	}
	for violation, body := range tests {
		t.Run(violation, func(t *testing.T) {
			t.Parallel()
			f := newSender(t, fcmtest.Options{})
			if status, answer := f.send(t, body); status != http.StatusOK || len(f.Messages()) != 1 {
				t.Errorf("the answer is %d, %s", status, answer)
			}
			if v := f.Requests()[0].Violations; len(v) != 1 || !strings.Contains(v[0], violation) {
				t.Errorf("the violations are %q", v)
			}
		})
	}
}
