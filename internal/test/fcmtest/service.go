package fcmtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Service is Google's FCM HTTP v1 API and Google's OAuth token endpoint on one HTTPS server that ends with its test. It verifies requests
// as strictly as Google documents it. If one breaks a rule, the answer has Google's status and error body:
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and
// https://developers.google.com/identity/protocols/oauth2/service-account#httprest.
//
// The token endpoint is at /token. Service is also an http.Handler, so another server can pass token requests on to it. An
// assertion's audience must be the URL that it is sent to. It is safe for concurrent use.
type Service struct {
	// URL is the server's origin, https://127.0.0.1:<port>. It replaces both https://fcm.googleapis.com and
	// https://oauth2.googleapis.com.
	URL string
	// CAFile is a file with the certificate of the authority that signed the server's, for the option trusted_ca.
	CAFile string

	options Options
	server  *providertest.TLSServer
	ctx     context.Context // done when the service closes

	mu            sync.Mutex
	credentials   []*credential
	tokens        map[string]time.Time // access tokens, and when each expires
	tokenAnswers  []providertest.Answer
	tokenRequests int
	answers       map[string][]providertest.Answer // by registration token
	requests      []Request
	accepted      int           // how many messages were accepted
	waited        int           // how many requests Wait has passed
	seen          int           // how many requests WaitRequest has returned
	arrived       chan struct{} // closed and replaced when a request arrives
}

// Options configure a [Service]. The zero value is valid.
type Options struct {
	// ProjectID is the only project that messages may be sent for; empty means demo-project.
	ProjectID string
	// TokenLife is how long an access token is valid; 0 means 1 h.
	TokenLife time.Duration
	// Now is the clock for assertions and access tokens; nil means the real one.
	Now func() time.Time
}

// Message is a message as it was sent.
type Message struct {
	// Time is when the service read it.
	Time time.Time
	// Token is the registration token that the message is for; empty if it is for a topic, for example.
	Token string
	// FID is the Firebase installation ID that the message is for; empty if it is for a registration token, for example.
	FID string
	// Data is the message's data, which an app gets if Google does not show a notification itself.
	Data map[string]string
	// Raw is the whole message object.
	Raw json.RawMessage
}

// Request is one request to the API, accepted or not.
type Request struct {
	Message
	// Path is the request's path and query.
	Path string
	// Header has the request's headers.
	Header http.Header
	// ValidateOnly means that the message is only validated, and not delivered: [Service.Messages] does not have it.
	ValidateOnly bool
	// Violations are the rules that the request breaks. If the answer is 200 all the same, they are rules of this fake only.
	Violations []string
	// Status is the answer's status; 0 without an answer.
	Status int

	accepted bool
}

// New starts the server. It is closed at the end of the test.
func New(t testing.TB, o Options) *Service {
	t.Helper()
	if o.ProjectID == "" {
		o.ProjectID = "demo-project"
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &Service{
		options: o, ctx: ctx,
		tokens: map[string]time.Time{}, answers: map[string][]providertest.Answer{}, arrived: make(chan struct{}),
	}
	f.server = providertest.NewTLSServer(t, f)
	f.URL, f.CAFile = f.server.URL, f.server.CAFile
	t.Cleanup(cancel) // before the server is closed, which waits for requests that hang
	return f
}

// ServeHTTP answers a token request or a send.
func (f *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == tokenPath {
		f.serveToken(w, r)
		return
	}
	f.serveSend(w, r)
}

// respond gives an answer. An answer that hangs ends with the service.
func (f *Service) respond(w http.ResponseWriter, r *http.Request, answer *providertest.Answer) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)()
	answer.ServeHTTP(w, r.WithContext(ctx))
}

// Answer programs the answers to sends to a registration token, or to an installation ID, unless they break a rule. Each answer is given as
// many times as its Times says, and then the answer is 200 again. An answer without a Status is the usual one. Without answers, it is 200
// at once. The token "" stands for any without programmed answers. A token of only zeros is nobody's: its usual answer is 400
// INVALID_ARGUMENT, also if the message is only validated. For such an installation ID, it is 404 UNREGISTERED. See [Error].
func (f *Service) Answer(token string, answers ...providertest.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[token] = append([]providertest.Answer(nil), answers...)
}

// Unregister makes the service answer 404 UNREGISTERED for a registration token from now on, as if the app was uninstalled.
func (f *Service) Unregister(token string) { f.Answer(token, ErrorFor("UNREGISTERED")) }

// Messages returns the accepted messages, oldest first.
func (f *Service) Messages() []Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	var messages []Message
	for _, r := range f.requests {
		if r.accepted {
			messages = append(messages, r.Message)
		}
	}
	return messages
}

// Requests returns all requests except those for access tokens, accepted or not, oldest first.
func (f *Service) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Request(nil), f.requests...)
}

// Connections returns how many connections were made to the server, for tokens and for sends.
func (f *Service) Connections() int { return f.server.Connections() }

// Wait returns the next accepted message: each message once, in order, including those that arrived before the call.
func (f *Service) Wait(ctx context.Context) (Message, error) {
	r, err := f.wait(ctx, &f.waited, func(r Request) bool { return r.accepted })
	return r.Message, err
}

// WaitRequest returns the next of [Service.Requests], accepted or not: each request once, in order. A request that is left to hang counts
// as soon as it is read.
func (f *Service) WaitRequest(ctx context.Context) (Request, error) {
	return f.wait(ctx, &f.seen, func(Request) bool { return true })
}

func (f *Service) wait(ctx context.Context, past *int, wanted func(Request) bool) (Request, error) {
	for {
		r, arrived := f.next(past, wanted)
		if arrived == nil {
			return r, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Request{}, fmt.Errorf("no message arrived: %w", ctx.Err())
		}
	}
}

// next returns the next wanted request, or a channel to wait on if it has not arrived.
func (f *Service) next(past *int, wanted func(Request) bool) (Request, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for *past < len(f.requests) {
		r := f.requests[*past]
		*past++
		if wanted(r) {
			return r, nil
		}
	}
	return Request{}, f.arrived
}

// record keeps a request, and wakes all that wait for one.
func (f *Service) record(r Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r)
	close(f.arrived)
	f.arrived = make(chan struct{})
}

// take takes the next programmed answer. The lock is held.
func take(answers []providertest.Answer) (providertest.Answer, []providertest.Answer) {
	if len(answers) == 0 {
		return providertest.Answer{}, nil
	}
	a := answers[0]
	switch a.Times {
	case 0:
	case 1:
		answers = answers[1:]
	default:
		answers[0].Times--
	}
	return a, answers
}

// usual reports whether nothing but the usual answer was programmed.
func usual(a providertest.Answer) bool { return a.Status == 0 && !a.Hang && !a.Drop }
