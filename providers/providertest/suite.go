package providertest

import (
	"context"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// prompt is how soon a push must be over once nothing holds it up any more. Generous: it only tells prompt from never.
const prompt = 10 * time.Second

// Suite describes a provider to [Run].
type Suite struct {
	// New makes a provider that delivers to baseURL (https://127.0.0.1:<port>), trusts the authority in caFile and nobody else,
	// and may reach loopback, together with a push for it whose notification and device are good. It is called many times, and
	// registers the provider's clean-up with t.
	New func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push)

	// Verdicts is the provider's table of answers, and what each means.
	Verdicts []Verdict

	// Unusable are devices that nothing could ever be delivered to, whatever the operator configures. If there are any, the provider
	// implements [providers.Usable]; Push finds them unusable as well, without a request.
	Unusable []providers.Device

	// Usable are devices that nothing is delivered to with the provider's configuration, and might be with another one: such as an
	// endpoint in a private network.
	Usable []providers.Device

	// Secrets are what must never be seen in an outcome: the pushkey or its token, the path of the endpoint, the authentication
	// secret, the notification's content, the provider's credentials.
	Secrets []string

	// Wrap, if set, is put before the push service of each test: for requests that are no pushes, such as for an OAuth token. It
	// passes pushes on to next.
	Wrap func(next http.Handler) http.Handler

	// HTTP2Only says that the push service speaks nothing but HTTP/2; otherwise the reuse of HTTP/1.1 connections is tested.
	HTTP2Only bool

	// SkipTLS leaves out that a certificate of an unknown authority is refused.
	SkipTLS bool

	// SkipRedirects leaves out that redirects are not followed.
	SkipRedirects bool
}

// Verdict is an answer of the push service, and what the provider must make of it.
type Verdict struct {
	// Name says what is tested.
	Name string
	// Status, Header and Body are the answer to every request of the push.
	Status int
	Header http.Header
	Body   string

	// Kind, Cause, RetryAfter, Since and Doubtful are those of the outcome. Reason is, too, unless it is empty.
	Kind       providers.Kind
	Cause      providers.Cause
	RetryAfter time.Duration
	Since      time.Time
	Doubtful   bool
	Reason     string
}

// Run tests a provider against the contract of [providers.Provider]: see each test's name. Run it with -race.
func Run(t *testing.T, s Suite) {
	t.Helper()
	t.Run("every answer has its verdict", s.testVerdicts)
	t.Run("a device that can never be delivered to is known at once", s.testUsable)
	t.Run("a device is told apart by all that decides where its pushes go", s.testTargets)
	t.Run("concurrent pushes do not disturb each other", s.testConcurrency)
	t.Run("a push ends with its context", s.testCancellation)
	t.Run("a network that fails means try again", s.testNetwork)
	t.Run("a connection that is cut at any byte means try again", s.testCuts)
	t.Run("no outcome shows a secret", s.testSecrets)
	t.Run("answers are read to their end and closed", s.testBodies)
	if !s.SkipRedirects {
		t.Run("a redirect is not followed", s.testRedirects)
	}
}

// bench is a provider and the push service it delivers to, for one test.
type bench struct {
	suite    *Suite
	server   *TLSServer
	provider providers.Provider
	push     *providers.Push
}

// start serves the handler and makes a provider for it.
func (s *Suite) start(t *testing.T, handler http.Handler) *bench {
	t.Helper()
	ca := NewCA(t)
	return s.startWith(t, ca, ca.File, true, handler)
}

func (s *Suite) startWith(t *testing.T, ca *CA, trusted string, http2 bool, handler http.Handler) *bench {
	t.Helper()
	if s.Wrap != nil {
		handler = s.Wrap(handler)
	}
	server := newTLSServer(t, ca, handler, http2)
	provider, push := s.New(t, server.URL, trusted)
	return &bench{suite: s, server: server, provider: provider, push: push}
}

// do makes one push, and checks what is true of every outcome.
func (b *bench) do(ctx context.Context, t *testing.T) providers.Outcome {
	t.Helper()
	outcome := b.provider.Push(ctx, b.push)
	b.check(t, outcome)
	return outcome
}

// reasonForm is what a reason may look like: a metric's label.
var reasonForm = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)

func (b *bench) check(t *testing.T, o providers.Outcome) {
	t.Helper()
	if !reasonForm.MatchString(o.Reason) {
		t.Errorf("the reason %q is not snake_case", o.Reason)
	}
	if o.RetryAfter < 0 {
		t.Errorf("the outcome asks for a retry after %s", o.RetryAfter)
	}
	if o.Cause != 0 && o.Kind != providers.KindRetry {
		t.Errorf("the outcome is %s, and has the cause %d of a retry", o.Kind, o.Cause)
	}
	if o.Blocked && o.Kind != providers.KindDropped || o.Unusable && o.Kind != providers.KindRejected {
		t.Errorf("the outcome is %s, blocked: %t, unusable: %t", o.Kind, o.Blocked, o.Unusable)
	}
	if providers.Word(o.Word) != o.Word {
		t.Errorf("the word %q is none", o.Word)
	}
	shown := o.Reason + " " + o.Word
	if o.Err != nil {
		shown += " " + o.Err.Error()
	}
	for i, secret := range b.suite.Secrets {
		if secret != "" && strings.Contains(shown, secret) {
			t.Errorf("the outcome shows secret number %d", i)
		}
	}
}

// within runs a push, and fails the test if it is not over in time.
func (b *bench) within(ctx context.Context, t *testing.T, limit time.Duration) (providers.Outcome, bool) {
	t.Helper()
	done := make(chan providers.Outcome, 1)
	go func() { done <- b.provider.Push(ctx, b.push) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case outcome := <-done:
		b.check(t, outcome)
		return outcome, true
	case <-timer.C:
		t.Errorf("the push is not over after %s", limit)
		return providers.Outcome{}, false
	}
}

// wantKind fails the test if the outcome is of another kind.
func wantKind(t *testing.T, o providers.Outcome, want providers.Kind) {
	t.Helper()
	if o.Kind != want {
		t.Errorf("the outcome is %s (%s, %v), want %s", o.Kind, o.Reason, o.Err, want)
	}
}

// wantUnreachable fails the test unless the push is to be tried again because there was no answer.
func wantUnreachable(t *testing.T, o providers.Outcome) {
	t.Helper()
	wantKind(t, o, providers.KindRetry)
	if o.Kind == providers.KindRetry && o.Cause != providers.CauseNetwork {
		t.Errorf("the cause of the outcome %s is %d, want that of the network", o.Reason, o.Cause)
	}
}

// answers is a push service that always gives the same answer.
func answers(status int, header http.Header, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Answer{Status: status, Header: header, Body: body}.write(w, r, nil)
	})
}

// copyOf is a deep copy of a push, to see whether a provider changed it.
func copyOf(p *providers.Push) *providers.Push {
	push, notification, device := *p, *p.Notification, *p.Device
	notification.Content = append([]byte(nil), notification.Content...)
	device.Data = append([]byte(nil), device.Data...)
	device.Tweaks = append([]byte(nil), device.Tweaks...)
	notification.Counts.Unread = copyInt(notification.Counts.Unread)
	notification.Counts.MissedCalls = copyInt(notification.Counts.MissedCalls)
	push.Notification, push.Device = &notification, &device
	return &push
}

func copyInt(n *int64) *int64 {
	if n == nil {
		return nil
	}
	return new(*n)
}

// samePush says whether two pushes say the same; an empty slice is as good as none.
func samePush(a, b *providers.Push) bool { return reflect.DeepEqual(copyOf(a), copyOf(b)) }
