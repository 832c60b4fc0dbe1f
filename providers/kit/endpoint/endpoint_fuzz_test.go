package endpoint

import (
	"cmp"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/posting"
)

// endpointForm is an https URL by RFC 3986 without user information: the authority ends where the path, the query or the fragment
// begins.
var endpointForm = regexp.MustCompile(`^(?i:https)://(\[[0-9A-Fa-f:.]+(?:%25[^\]]+)?\]|[^\[\]@/?#\\:\s]+)(?::([0-9]*))?([/?#](?s:.*))?$`)

// FuzzEndpoint compares the parser of endpoints with a separate pattern, and with the request that is made: text that users choose
// causes one request, to the host that the guard checked.
func FuzzEndpoint(f *testing.F) {
	for _, seed := range []string{
		"https://push.example/up/phone?up=1", "HTTPS://PUSH.Example.:8443/%2f%41?a=b&&c#d", "https://[2620:fe::9]:443/", "https://[fe80::1%25lo]/",
		"https://user:secret@push.example/", "https://push.example:99999/", "https://push.example:/", "https://push.example:+1/", "https:push.example",
		"https:///up", "http://push.example/", "//push.example/", "https://push.example\\@10.0.0.1/", "https://push.example#@10.0.0.1/",
		"https://10.0.0.1?@push.example/", "https://push.example/\r\nHost: other", "https://push.example/a b", "https://push.ex%61mple/", "https://[::1/",
		"https://0x7f.1/", "https://ⓟush.example/", "https://push.example/%zz", "https://a:b:c/", "https://push.example/\x00", "https://@/", "https://:443/",
		"https://push.example/" + strings.Repeat("%41", 400), "\thttps://push.example/", "https://push.example /", "https://push.example/? HTTP/1.1", "https://push.example#\n", "https://push.example:443:443/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := Parse(raw)
		if err != nil {
			if (len(raw) > 12 && strings.Contains(err.Error(), raw)) || Host(raw) != "" {
				t.Errorf("%q: %v, and the host is %q", raw, err, Host(raw))
			}
			return
		}
		m := endpointForm.FindStringSubmatch(raw)
		if m == nil {
			t.Fatalf("%q is taken for %s", raw, u)
		}
		want, err := strconv.Atoi(cmp.Or(m[2], "443"))
		if n, wrong := strconv.Atoi(portOf(u)); err != nil || wrong != nil || n != want || n > 65535 || u.Port() == "443" {
			t.Errorf("the port of %q is %q", raw, portOf(u))
		}
		if host, known := oneSpelling(strings.Trim(m[1], "[]")); known && u.Hostname() != host {
			t.Errorf("the host of %q is %q, want %q", raw, u.Hostname(), host)
		}
		again, err := Parse(u.String())
		if err != nil || Host(u.String()) != Host(raw) || again.String() != u.String() {
			t.Errorf("%q becomes %s, and that %s, %v", raw, u, again, err)
		}
		wantOneRequest(t, raw, u)
	})
}

// oneSpelling returns the spelling of a host that has neither escapes nor non-ASCII letters.
func oneSpelling(host string) (spelling string, known bool) {
	if strings.ContainsFunc(host, func(c rune) bool { return c >= 0x80 || c == '%' }) {
		return "", false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String(), true
	}
	return strings.ToLower(host), true
}

// wantOneRequest checks that the connection carries exactly one request line and one Host, whatever the endpoint contains.
func wantOneRequest(t *testing.T, raw string, target *url.URL) {
	written, err := url.Parse(target.String())
	if err != nil {
		t.Fatalf("%q becomes %s, which is not a URL: %v", raw, target, err)
	}
	if written.Host != target.Host || written.RequestURI() != target.RequestURI() {
		t.Errorf("%q leads to %s at %s, and as text to %s at %s", raw, target.RequestURI(), target.Host, written.RequestURI(), written.Host)
	}
	req := posting.New(t.Context(), target, http.Header{"User-Agent": {"fuzz"}}, nil)
	dump, err := httputil.DumpRequestOut(req, false)
	if err != nil {
		return // the transport may refuse what the parser accepts
	}
	lines := strings.Split(strings.TrimSuffix(string(dump), "\r\n\r\n"), "\r\n")
	hosts := 0
	for i, line := range lines {
		if strings.ContainsAny(line, "\r\n") || i > 0 && !strings.Contains(line, ": ") {
			t.Errorf("%q makes the line %q", raw, line)
		}
		if strings.HasPrefix(strings.ToLower(line), "host:") {
			hosts++
		}
	}
	if words := strings.Split(lines[0], " "); len(words) != 3 || words[0] != "POST" || words[2] != "HTTP/1.1" || hosts != 1 {
		t.Errorf("%q makes %q", raw, lines)
	}
}

// hasDeadWord reports whether a text may contain a push service's word for a dead subscription.
func hasDeadWord(text string) bool {
	for _, word := range []string{"errno", "BadWebPushToken", `\u`} {
		if strings.Contains(text, word) {
			return true
		}
	}
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	return strings.Contains(text, "push subscription has unsubscribed") || strings.Contains(text, "a valid push subscription endpoint")
}

// FuzzOutcome checks that each answer of a push server has one of the outcomes, and that only a 410 or a push service's own word
// rejects a pushkey.
func FuzzOutcome(f *testing.F) {
	for _, status := range []int{100, 200, 201, 202, 204, 301, 400, 401, 403, 404, 408, 410, 413, 425, 429, 500, 503, 507, 599, 0, -1, 999} {
		f.Add(status, "", "")
		f.Add(status, "86401", `{"code": 404, "errno": 102}`)
	}
	f.Add(429, "Wed, 01 Jul 2099 12:00:00 GMT", "")
	f.Add(404, "", `{"errno": "102"}`)
	f.Add(404, "", `{"errno": 102`)
	f.Fuzz(func(t *testing.T, status int, retryAfter, body string) {
		o := Outcome(Response{Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: []byte(body)}, time.Now())
		word := hasDeadWord(body)
		if rejects := o.Kind == providers.KindRejected; rejects && status != 410 && (status < 400 || status > 499 || !word) {
			t.Errorf("%d with %q is %s", status, body, o.Kind)
		}
		if o.Kind == providers.KindSuspected && status != 404 {
			t.Errorf("%d with %q is %s", status, body, o.Kind)
		}
		if (o.Kind == providers.KindDelivered) != (status/100 == 2) {
			t.Errorf("%d is %s", status, o.Kind)
		}
		if o.Reason == "" || strings.Trim(o.Reason, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" || len(o.Reason) > 30 {
			t.Errorf("%d is %+v", status, o)
		}
		if o.RetryAfter < 0 || o.RetryAfter > 24*time.Hour || o.Unusable || o.Doubtful || !o.Since.IsZero() {
			t.Errorf("%d with %q is %+v", status, retryAfter, o)
		}
	})
}
