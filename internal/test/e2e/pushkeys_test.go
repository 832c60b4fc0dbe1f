package e2e

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// A homeserver compares rejected pushkeys byte for byte with those that it sent, and ignores all others.

// notifying returns a request with one device, whose pushkey is this JSON.
func notifying(appID, pushkey string) string {
	return `{"notification":{"event_id":"$1","devices":[{"app_id":"` + appID + `","pushkey":` + pushkey + `,"pushkey_ts":1700000000}]}}`
}

// wantEcho wants an answer that rejects only one pushkey: the same string as this JSON. A lone surrogate can only be compared as it is
// written.
func wantEcho(t *testing.T, r reply, pushkey string) {
	t.Helper()
	var answer struct {
		Rejected []json.RawMessage `json:"rejected"`
	}
	if err := json.Unmarshal([]byte(r.Body), &answer); err != nil || r.Status != http.StatusOK || len(answer.Rejected) != 1 {
		t.Fatalf("answered %d %s, want it to reject %s", r.Status, r.Body, pushkey)
	}
	if got := string(answer.Rejected[0]); got != pushkey && (strings.Contains(pushkey, `\ud`) || decoded(t, got) != decoded(t, pushkey)) {
		t.Errorf("%s is echoed as %s", pushkey, got)
	}
}

func decoded(t *testing.T, text string) (s string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAPushkeyIsEchoedByteForByte(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for _, test := range []struct{ name, pushkey string }{
		{"an upper-case scheme and host", `"HTTP://UP.Example.ORG/Abc?x=Y"`},
		{"a host with a dot at its end, and its port", `"http://up.example.org.:80/"`},
		{"dots and slashes that a URL could do without", `"http://up.example.org//a/../b/./c//"`},
		{"percent signs", `"http://up.example.org/%41%2f%2F%c3%A9?%"`},
		{"percent signs that escape nothing", `"100%, %zz, %"`},
		{"a plus and spaces", `" a+b c  "`},
		{"an = at the end", `"dG9rZW4=="`},
		{"base64's own characters", `"+/+/AAAA/+=="`},
		{"unicode", `"schlüssel-🔑-鍵"`},
		{"unicode that could be composed", `"e\u0301 \u00e9"`},
		{"unicode as escapes", `"\u00e9"`},
		{"line separators", `"a\u2028b\u2029c"`},
		{"characters that HTML escapes", `"<a href='x'>&amp;</a>"`},
		{"characters that JSON escapes", `"\"\\\/\b\f\n\r\t\u0000\u001f"`},
		{"a byte order mark", `"\ufeffkey\ufeff"`},
		{"a replacement character", `"\ufffd"`},
		{"a lone high surrogate", `"key-\ud83d"`},
		{"a lone low surrogate", `"\ude00-key"`},
		{"surrogates in the wrong order", `"\ude00\ud83d"`},
		{"a lone surrogate among all the rest", `"HTTP://É/%zz\ud800\"="`},
		{"only white space", `"\t"`},
		{"very long", `"` + strings.Repeat("long", 5_000) + `"`},
		{"JSON", `"{\"endpoint\":\"\",\"keys\":{}}"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Run("of an app that nobody knows", func(t *testing.T) {
				wantEcho(t, s.hs.notify(notifying("unknown", test.pushkey)), test.pushkey)
			})
			t.Run("that is not an endpoint", func(t *testing.T) {
				wantEcho(t, s.hs.notify(notifying("org.example.up", test.pushkey)), test.pushkey)
			})
			t.Run("that is not a subscription", func(t *testing.T) {
				wantEcho(t, s.hs.notify(notifying("org.example.web", test.pushkey)), test.pushkey)
			})
		})
	}
}

func TestAnEndpointIsEchoedByteForByteWhenItIsGone(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	_, port, _ := strings.Cut(strings.TrimPrefix(s.service.URL, "https://"), ":")
	for i, test := range []struct{ name, prefix, path, topic string }{
		{"as it is", "https://127.0.0.1:", "plain", "plain"},
		{"an upper-case scheme", "HTTPS://127.0.0.1:", "scheme", "scheme"},
		{"an upper-case host", "https://LocalHost:", "host", "host"},
		{"upper-case letters in the path", "https://127.0.0.1:", "UpAbC", "UpAbC"},
		{"percent signs", "https://127.0.0.1:", "%70ercent%2f%2B", "percent/+"},
		{"unicode", "https://127.0.0.1:", "schlüssel-🔑", "schlüssel-🔑"},
		{"an = at the end", "https://127.0.0.1:", "dG9rZW4==", "dG9rZW4=="},
		{"a query", "https://127.0.0.1:", "query?UP=1&&x=%c3%A9&y==", "query"},
		{"a fragment", "https://127.0.0.1:", "fragment#%41", "fragment"},
	} {
		t.Run(test.name, func(t *testing.T) {
			pushkey := test.prefix + port + "/up/" + test.path
			endpoint := "/up/" + test.topic
			s.service.Endpoint(test.topic)
			if test.topic == "percent/+" {
				endpoint = "/up/percent%2F+" // as the service parses a path
			}
			s.service.Answer(endpoint, answerGone)
			event := "$" + strconv.Itoa(i)
			wantBody(t, s.hs.notify(alert(event, upDevice(pushkey))), rejectingVerbatim(pushkey)) // the provider's verdict
			wantBody(t, s.hs.notify(alert(event, upDevice(pushkey))), rejectingVerbatim(pushkey)) // and the store's
			wantBody(t, s.hs.notify(badge(1, upDevice(pushkey))), rejectingVerbatim(pushkey))
			s.pushes(endpoint, 1)
		})
	}
}

func TestPushkeysThatOnlyLookAlikeAreToldApart(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	wantBody(t, s.hs.notify(alert("$1",
		device{AppID: "unknown", Pushkey: "key"}, device{AppID: "unknown", Pushkey: "KEY"}, device{AppID: "unknown", Pushkey: "key="},
		device{AppID: "unknown", Pushkey: "key "}, device{AppID: "other", Pushkey: "key"},
	)), rejecting("key", "KEY", "key=", "key "))
	wantBody(t, s.hs.notify(`{"notification":{"devices":[
		{"app_id":"unknown","pushkey":"\ud800"},{"app_id":"unknown","pushkey":"\ud801"},{"app_id":"unknown","pushkey":"\ud800"}
	]}}`), `{"rejected":["\ud800","\ud801"]}`)
}
