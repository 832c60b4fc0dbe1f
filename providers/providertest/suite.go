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

// Suite describes a provider to [Run]. New, Verdicts, Rings, and Unusable or NothingUnusable are required.
type Suite struct {
	// New makes a provider that delivers to baseURL, https://127.0.0.1:<port>. The provider trusts only the authority in caFile, and may
	// connect to loopback addresses. New also returns a push with a good notification and a good device. It is called many times, and
	// registers the provider's clean-up with t.
	New func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push)

	// Verdicts are the answers of the push service, and what the provider must make of each. At least one is for a push that was
	// delivered.
	Verdicts []Verdict

	// Rings reports whether a request makes the device alert its user, or makes the app do so: by a text, a sound or a banner. New's push
	// must ring, and no badge update may. The argument body is what the device reads: see Decrypt.
	Rings func(r *http.Request, body []byte) bool

	// Decrypt returns what the device reads in a request's body. It is required if bodies are not text. For the body of any other request,
	// it returns an error.
	Decrypt func(body []byte) ([]byte, error)

	// DataThatLeaves are the members of a device's data that may be in a request even if the notification is reduced to ids, such as
	// default_payload. "tweaks" stands for the device's tweaks.
	DataThatLeaves []string

	// Unusable are devices that nothing could ever be delivered to, whatever the operator configures. The provider implements
	// [providers.Usable]. Push also finds them unusable, and makes no request.
	Unusable []providers.Device

	// NothingUnusable means that there are no devices for Unusable: any pushkey may be good, with any data.
	NothingUnusable bool

	// Usable are devices that the provider can't deliver to with New's configuration, but could with another one, such as an endpoint in a
	// private network.
	Usable []providers.Device

	// Secrets are texts that no outcome may show: the pushkey or its token, the path of the endpoint, the authentication secret, the
	// notification's content, the provider's credentials.
	Secrets []string

	// Wrap, if set, is called with the handler of each test's push service, and returns the handler to serve. That handler can check
	// pushes, and answer requests that are not pushes, such as for an OAuth token. It passes pushes on to next.
	Wrap func(next http.Handler) http.Handler

	// HTTP2Only means that the push service has HTTP/2 only. Otherwise, the suite tests that HTTP/1.1 connections are reused.
	HTTP2Only bool

	// SkipTLS skips the test that a certificate of an unknown authority is refused.
	SkipTLS bool

	// SkipRedirects skips the test that redirects are not followed.
	SkipRedirects bool

	run *run
}

// Verdict is an answer of the push service, with the [providers.Outcome] that the provider must make of it.
type Verdict struct {
	// Name is the name of the test.
	Name string
	// Status is the HTTP status of the answer to every request of the push.
	Status int
	// Header has the headers of the answer.
	Header http.Header
	// Body is the body of the answer.
	Body string

	// Kind is the outcome's kind.
	Kind providers.Kind
	// Cause is the cause of a Retry.
	Cause providers.Cause
	// RetryAfter is how long the push service asked to wait.
	RetryAfter time.Duration
	// Since is when the pushkey became invalid, if the push service reports it.
	Since time.Time
	// Doubtful means that a wrong setting of the operator gets the same answer.
	Doubtful bool
	// Reason is the outcome's reason. If it is empty, any reason passes.
	Reason string

	// Documented is a page of the push service, or a section of an RFC, which states that only a dead pushkey gets this answer. It is
	// required if the outcome is Rejected and not Doubtful, because the homeserver then deletes the pusher at once. If a wrong credential,
	// topic, project or URL of the operator can get the same answer, set Doubtful, whatever the page states.
	Documented string
}

// Run tests a provider against the contract of [providers.Provider]. The names of its tests describe the contract. Run it with -race.
func Run(t *testing.T, s Suite) {
	t.Helper()
	if s.New == nil {
		t.Fatal("Suite.New is missing: it makes the provider")
	}
	s.run = new(run)
	if !t.Run("a push returns, and nothing makes it panic", s.testReturns) {
		return
	}
	t.Run("every answer has its verdict", s.testVerdicts)
	t.Run("an answer that a wrong setting gets as well proves no death", s.testDoubt)
	t.Run("a badge update does not ring", s.testBadges)
	t.Run("of a notification that is reduced to ids, no text leaves", s.testReduced)
	t.Run("a push for an unusable device makes no request", s.testUnusable)
	t.Run("a device that can never be delivered to is known at once", s.testUsable)
	t.Run("a preview shows what a push sends", s.testPreview)
	t.Run("a device is identified by all that decides where its pushes go", s.testTargets)
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
	provider, push := s.make(t, server, server.URL, trusted)
	return &bench{suite: s, server: server, provider: provider, push: push}
}

// do makes one push, and checks what must be true of every outcome.
func (b *bench) do(ctx context.Context, t *testing.T) providers.Outcome {
	t.Helper()
	outcome, _ := b.call(ctx, t, b.push, patience)
	return outcome
}

// reasonForm is the form of a reason, which becomes the label of a metric.
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
		t.Errorf("the outcome is %s, but has the cause %d, which is for Retry only", o.Kind, o.Cause)
	}
	if o.Blocked && o.Kind != providers.KindDropped || o.Unusable && o.Kind != providers.KindRejected {
		t.Errorf("the outcome is %s, blocked: %t, unusable: %t", o.Kind, o.Blocked, o.Unusable)
	}
	if providers.Word(o.Word) != o.Word {
		t.Errorf("the word %q is not valid: see providers.Word", o.Word)
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

// within makes a push, and fails the test if it does not return in time.
func (b *bench) within(ctx context.Context, t *testing.T, limit time.Duration) (providers.Outcome, bool) {
	t.Helper()
	return b.call(ctx, t, b.push, limit)
}

// wantKind fails the test if the outcome has another kind.
func wantKind(t *testing.T, o providers.Outcome, want providers.Kind) {
	t.Helper()
	if o.Kind != want {
		t.Errorf("the outcome is %s (%s, %v), want %s", o.Kind, o.Reason, o.Err, want)
	}
}

// wantUnreachable fails the test unless the push is to be retried because there was no answer.
func wantUnreachable(t *testing.T, o providers.Outcome) {
	t.Helper()
	wantKind(t, o, providers.KindRetry)
	if o.Kind == providers.KindRetry && o.Cause != providers.CauseNetwork {
		t.Errorf("the cause of the outcome %s is %d, want that of the network", o.Reason, o.Cause)
	}
}

// answers returns a push service that always gives the same answer.
func answers(status int, header http.Header, body string) http.Handler {
	return Answer{Status: status, Header: header, Body: body}
}

// copyOf returns a deep copy of a push, to detect whether a provider changes it.
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

// samePush reports whether two pushes are equal. An empty slice equals a nil one.
func samePush(a, b *providers.Push) bool { return reflect.DeepEqual(copyOf(a), copyOf(b)) }
