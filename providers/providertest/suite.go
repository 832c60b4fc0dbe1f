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

// Suite describes a provider to [Run].
type Suite struct {
	// New makes a provider that delivers to baseURL (https://127.0.0.1:<port>), trusts the authority in caFile and nobody else,
	// and may reach loopback, together with a push for it whose notification and device are good. It is called many times, and
	// registers the provider's clean-up with t.
	New func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push)

	// Verdicts is the provider's table of answers, and what each means. At least one is for a push that was delivered.
	Verdicts []Verdict

	// Rings reports whether a request makes the device alert its user, by a text, a sound or a banner: also if it is the app that does so for
	// what is in the request. New's push must ring, and no badge update may. The body is what the device reads: see Decrypt. Required.
	Rings func(r *http.Request, body []byte) bool

	// Decrypt returns what the device reads of a request's body, for a push service whose messages are encrypted. It is required if bodies are
	// not text. For the body of another request it returns an error.
	Decrypt func(body []byte) ([]byte, error)

	// DataThatLeaves are the members of a device's data that may be in a request although the notification is reduced to ids, such as
	// default_payload; "tweaks" for the device's tweaks.
	DataThatLeaves []string

	// Unusable are devices that nothing could ever be delivered to, whatever the operator configures. The provider implements
	// [providers.Usable]; Push finds them unusable as well, without a request. Required, unless NothingUnusable is set.
	Unusable []providers.Device

	// NothingUnusable means that any pushkey may be good, with any data: the provider has no device for Unusable.
	NothingUnusable bool

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

	run *run
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

	// Documented is where it is documented that only a dead pushkey gets this answer: a page of the push service's, a section of an RFC. It is
	// required for each answer that is Rejected and not Doubtful: the homeserver deletes the pusher at once. An answer that a wrong
	// credential, topic, project or URL of the operator's gets as well is Doubtful, whatever page says what.
	Documented string
}

// Run tests a provider against the contract of [providers.Provider]: see each test's name. Run it with -race.
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
	provider, push := s.make(t, server, server.URL, trusted)
	return &bench{suite: s, server: server, provider: provider, push: push}
}

// do makes one push, and checks what is true of every outcome.
func (b *bench) do(ctx context.Context, t *testing.T) providers.Outcome {
	t.Helper()
	outcome, _ := b.call(ctx, t, b.push, patience)
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

// within makes a push, and fails the test if it is not over in time.
func (b *bench) within(ctx context.Context, t *testing.T, limit time.Duration) (providers.Outcome, bool) {
	t.Helper()
	return b.call(ctx, t, b.push, limit)
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
