package providertest

import (
	"bytes"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// testPreview tests that a provider shows what it sends: see [providers.Previewer].
func (s Suite) testPreview(t *testing.T) {
	t.Parallel()
	b := s.start(t, answers(http.StatusInternalServerError, nil, ""))
	p, ok := b.provider.(providers.Previewer)
	if !ok {
		return
	}
	t.Cleanup(func() {
		if n := b.server.Connections(); n != 0 {
			t.Errorf("%d connections were made to the push service", n)
		}
	})
	t.Run("it is what a push sends", func(t *testing.T) {
		t.Parallel()
		answer := s.taken()
		s.testPreviewed(t, answers(answer.Status, answer.Header, answer.Body))
	})
	t.Run("it is also what a push sends if the push service finds it too large", func(t *testing.T) {
		t.Parallel()
		s.testPreviewed(t, answers(http.StatusRequestEntityTooLarge, nil, ""))
	})
	t.Run("nothing is shown for a device that nothing could be delivered to", func(t *testing.T) {
		t.Parallel()
		for i, d := range s.Unusable {
			push := copyOf(b.push)
			push.Device = &d
			if made := b.preview(t, p, push); len(made.Requests) > 0 || !made.Outcome.Unusable {
				t.Errorf("Unusable[%d]: %d requests are shown, and the outcome is %s (%s)", i, len(made.Requests), made.Outcome.Kind, made.Outcome.Reason)
			}
		}
	})
	t.Run("nothing makes it panic", func(t *testing.T) {
		t.Parallel()
		for _, d := range strangeDevices(b.push.Device) {
			push := copyOf(b.push)
			push.Device = &d
			b.preview(t, p, push)
		}
	})
}

// testPreviewed makes pushes to a push service that always gives the same answer, and compares each with its preview.
func (s *Suite) testPreviewed(t *testing.T, handler http.Handler) {
	pushes := new(recorder)
	b := s.start(t, pushes.before(handler))
	p := b.provider.(providers.Previewer)
	canaries := b.canaryPush(t)
	long := copyOf(canaries)
	long.Notification.Content = marshalled(t, map[string]string{"msgtype": "m.text", "body": strings.Repeat("long ", 2000)})
	all := []*providers.Push{b.push, canaries, long}
	for _, n := range slices.Concat([]*providers.Notification{canaries.Notification.Reduced()}, bareNotifications(), slices.Collect(maps.Values(badgeUpdates()))) {
		push := copyOf(b.push)
		push.Notification = n
		all = append(all, push)
	}
	for i := range s.Unusable {
		push := copyOf(b.push)
		push.Device = &s.Unusable[i]
		all = append(all, push)
	}
	for _, push := range all {
		for how, n := range b.forms(t, push.Notification) {
			push := copyOf(push)
			push.Notification = n
			if !b.pushPreviewed(t, p, pushes, push, how) {
				return
			}
		}
	}
}

// pushPreviewed makes a push and compares it with its preview, and returns false if the push did not return. A body or header may depend on
// the time. So the push is made again unless the preview is the same before and after it.
func (b *bench) pushPreviewed(t *testing.T, p providers.Previewer, pushes *recorder, push *providers.Push, how string) bool {
	t.Helper()
	began := time.Now()
	for {
		made := b.preview(t, p, push)
		pushes.take()
		o, ok := b.call(t.Context(), t, push, patience)
		if !ok {
			return false
		}
		if again := b.preview(t, p, push); reflect.DeepEqual(made.Requests, again.Requests) {
			b.suite.comparePreview(t, how, made, o, pushes.take())
			return true
		}
		if time.Since(began) > patience {
			t.Errorf("two previews of one push differ%s. If a header has another value in each request, write providers.Masked", how)
			return true
		}
	}
}

// preview calls the method, and checks what must be true of each call.
func (b *bench) preview(t *testing.T, p providers.Previewer, push *providers.Push) (made providers.Preview) {
	t.Helper()
	before := copyOf(push)
	made, ok := attempt(t, b.suite.run, "Preview", patience, func() providers.Preview { return p.Preview(push) })
	if !ok {
		t.FailNow()
	}
	if !samePush(before, push) {
		t.Error("the push was modified")
	}
	if len(made.Requests) == 0 {
		b.check(t, made.Outcome)
		return made
	}
	for _, r := range made.Requests {
		shown := r.URL
		for name, values := range r.Header {
			shown += "\n" + name + "\n" + strings.Join(values, "\n")
			if http.CanonicalHeaderKey(name) != name {
				t.Errorf("the name of the header %s is not canonical", name)
			}
		}
		for i, secret := range b.suite.Secrets {
			if secret != "" && strings.Contains(shown, secret) {
				t.Errorf("the URL or a header shows secret number %d", i)
			}
		}
	}
	return made
}

// comparePreview requires that a preview shows the requests that a push made, and the outcome of a push that made none. Only some push
// services make a provider send again what is too large, so a preview may show more requests.
func (s *Suite) comparePreview(t *testing.T, how string, made providers.Preview, o providers.Outcome, sent []request) {
	t.Helper()
	switch {
	case len(made.Requests) == 0 && len(sent) == 0:
		if made.Outcome.Kind != o.Kind || made.Outcome.Reason != o.Reason {
			t.Errorf("the preview's outcome is %s (%s), and that of the push is %s (%s)%s",
				made.Outcome.Kind, made.Outcome.Reason, o.Kind, o.Reason, how)
		}
	case len(sent) == 0, len(sent) > len(made.Requests):
		t.Errorf("the preview shows %d requests, but the push made %d (%s, %s)%s", len(made.Requests), len(sent), o.Kind, o.Reason, how)
	default:
		for i, r := range sent {
			s.compareRequest(t, how, made.Requests[i], r)
		}
	}
}

// compareRequest requires that a request is as it was shown.
func (s *Suite) compareRequest(t *testing.T, how string, shown providers.Request, sent request) {
	t.Helper()
	if shown.Method != sent.Method {
		t.Errorf("the method is shown as %s, and is %s%s", shown.Method, sent.Method, how)
	}
	if !matches(shown.URL, "https://"+sent.Host+sent.RequestURI) {
		t.Errorf("the URL is shown as %s, but another one was requested%s", shown.URL, how)
	}
	if body := s.body(t, sent); !bytes.Equal(shown.Body, body) {
		t.Errorf("the body is shown as\n%s\nand is\n%s%s", shown.Body, body, how)
	}
	if encrypted := !bytes.Equal(shown.Body, unpacked(sent)); shown.Encrypted != encrypted {
		t.Errorf("Encrypted is %t, but should be %t%s", shown.Encrypted, encrypted, how)
	}
	for name, values := range shown.Header {
		if got := sent.Header[name]; !slices.Equal(got, values) && (got == nil || !slices.Equal(values, []string{providers.Masked})) {
			t.Errorf("the header %s is shown as %q, and is %q%s", name, values, got, how)
		}
	}
	for name, values := range sent.Header {
		if shown.Header[name] == nil && !unshown[name] && !s.isSecret(values) {
			t.Errorf("the header %s is sent, but not shown. If it has a credential, name the credential in Suite.Secrets, or show the header as "+
				"providers.Masked%s", name, how)
		}
	}
}

// unshown are headers that a preview may omit: they have credentials, or come from an HTTP client.
var unshown = map[string]bool{
	"Authorization": true, "Proxy-Authorization": true, "Cookie": true,
	"Accept-Encoding": true, "Content-Length": true, "User-Agent": true,
}

// isSecret reports whether a header has one of the suite's secrets.
func (s *Suite) isSecret(values []string) bool {
	return slices.ContainsFunc(s.Secrets, func(secret string) bool {
		return secret != "" && strings.Contains(strings.Join(values, "\n"), secret)
	})
}

// matches reports whether a URL is one that was shown with [providers.Masked] in place of some parts.
func matches(shown, url string) bool {
	parts := strings.Split(shown, providers.Masked)
	rest, ok := strings.CutPrefix(url, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, parts[last])
}
