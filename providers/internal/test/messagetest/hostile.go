package messagetest

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// hostileBodies are broken or malicious answers of a server. {topic} stands for the last part of the endpoint's path.
var hostileBodies = []struct{ name, contentType, body string }{
	{"10 MB that begin with a dead word", "application/json", `{"reason":"BadWebPushToken","x":"` + strings.Repeat("a", 10<<20) + `"}`},
	{"10 MB of a sentence", "text/plain", "push subscription has unsubscribed or expired." + strings.Repeat(" x", 5<<20)},
	{"10 MB of nothing", "", strings.Repeat("\x00", 10<<20)},
	{"4 KiB of a sentence", "text/plain", "push subscription has unsubscribed or expired." + strings.Repeat(" ", 4<<10)},
	{"a page", "text/html", "<html><head><title>Not Found</title></head><body>BadWebPushToken</body></html>"},
	{"broken JSON", "application/json", `{"reason":"BadWebPushToken"`},
	{"JSON and more", "application/json", `{"reason":"BadWebPushToken"} {"errno":102}`},
	{"a list", "application/json", `[{"reason":"BadWebPushToken","code":404,"errno":102}]`},
	{"a string", "application/json", `"BadWebPushToken"`},
	{"a word inside of something", "application/json", `{"error":{"reason":"BadWebPushToken","code":404,"errno":102}}`},
	{"words of other types", "application/json", `{"reason":["BadWebPushToken"],"errno":[102],"code":{"code":404},"success":"false"}`},
	{"UTF-16", "application/json; charset=utf-16", inUTF16(`{"reason":"BadWebPushToken"}`)},
	{"Latin-1", "application/json; charset=iso-8859-1", "{\"reason\":\"Ung\xfcltig\"}"},
	{"a reason of 10,000 letters", "application/json", `{"reason":"` + strings.Repeat("B", 10_000) + `"}`},
	{"a reason of 65 letters", "application/json", `{"reason":"` + strings.Repeat("B", 65) + `"}`},
	{"line breaks", "application/json", `{"reason":"BadWebPushToken\nlevel=error msg=forged"}`},
	{"a line break behind a word", "application/json", `{"reason":"BadWebPushToken\n"}`},
	{"a control character", "application/json", `{"reason":"Bad\u001b[31m"}`},
	{"another direction", "application/json", `{"reason":"Bad\u202eWord"}`},
	{"HTML in a reason", "application/json", `{"reason":"<script>alert(1)</script>"}`},
	{"a nest", "application/json", strings.Repeat(`{"reason":`, 400) + `1` + strings.Repeat(`}`, 400)},
	{"the endpoint's topic as a reason", "application/json", `{"reason":"{topic}"}`},
	{"the endpoint's topic in capitals", "application/json", `{"reason":"{TOPIC}"}`},
	{"the endpoint's topic in a longer word", "application/json", `{"reason":"Bad_{topic}_Token"}`},
	{"half of the endpoint's topic", "application/json", `{"reason":"{half}"}`},
	{"the endpoint's topic as a code", "application/json", `{"code":"{topic}"}`},
	{"the endpoint's topic as text", "text/plain", "{topic}"},
	{"the endpoint's topic as a title", "text/html", "<html><head><title>{topic}</title></head><body><h1>{topic}</h1></body></html>"},
	{"the endpoint's topic in escapes", "application/json", `{"reason":"{escaped}"}`},
}

// byStatus has the outcome of each status without a word.
var byStatus = map[int]providers.Outcome{
	http.StatusBadRequest:          refused,
	http.StatusUnauthorized:        misconfigured("http_401"),
	http.StatusForbidden:           misconfigured("http_403"),
	http.StatusNotFound:            suspected,
	http.StatusGone:                dead("gone"),
	http.StatusConflict:            refused,
	http.StatusInternalServerError: serverError,
	http.StatusBadGateway:          serverError,
}

// HostileBodies checks that the status decides, and that nothing is revealed, whatever the body of an answer is. See [Words] for push.
func HostileBodies(t *testing.T, push func(t *testing.T, answers func(endpoint string) providertest.Answer) providers.Outcome) {
	t.Helper()
	for _, hostile := range hostileBodies {
		for status, want := range byStatus {
			if len(hostile.body) > 1<<20 && status != http.StatusNotFound && status != http.StatusBadRequest {
				continue // a second for each
			}
			t.Run(fmt.Sprintf("%s with %d", hostile.name, status), func(t *testing.T) {
				got := push(t, func(endpoint string) providertest.Answer {
					return providertest.Answer{
						Status: status, Header: http.Header{"Content-Type": {hostile.contentType}}, Body: filled(t, hostile.body, endpoint),
					}
				})
				if got.Err != nil {
					t.Errorf("the error is %v", got.Err)
				}
				wantMeaning(t, got, want, "Bad input")
			})
		}
	}
}

// filled returns a body with the endpoint's topic in it.
func filled(t *testing.T, body, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	topic := path.Base(u.Path)
	var escaped strings.Builder
	for _, r := range topic {
		fmt.Fprintf(&escaped, `\u%04x`, r)
	}
	return strings.NewReplacer(
		"{topic}", topic, "{TOPIC}", strings.ToUpper(topic), "{half}", topic[:len(topic)/2], "{escaped}", escaped.String(),
	).Replace(body)
}

// inUTF16 returns a text in UTF-16, little-endian with a byte order mark.
func inUTF16(s string) string {
	b := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(s)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}
