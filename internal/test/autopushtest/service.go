// Package autopushtest is a small push service in place of Mozilla's autopush, for a real Firefox and the gateway. A browser subscribes
// over a websocket, with the protocol that Firefox speaks. An application server sends to an endpoint by HTTPS (RFC 8030).
//
// The service is as strict as autopush, with the same words: https://github.com/mozilla-services/autopush-rs, autoendpoint/src/error.rs for
// the one side, and autoconnect/autoconnect-common/src/protocol.rs for the other. Where RFC 8030 demands more, it is stricter. It does
// not decrypt anything, because only the browser has the keys.
package autopushtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// patience is how long a test waits for what a working browser does soon.
const patience = 60 * time.Second

// Service is a push service on loopback. It ends with its test. It is safe for concurrent use.
type Service struct {
	// Origin is the origin of all endpoints, https://127.0.0.1:<port>.
	Origin string
	// CAFile is a file with the certificate of the authority that signed the server's, for the option trusted_ca.
	CAFile string
	// WebSocket is the URL that browsers connect to, ws://127.0.0.1:<port>/.
	WebSocket string

	t       testing.TB
	ctx     context.Context // done when the service closes
	serving sync.WaitGroup  // browsers' connections

	mu            sync.Mutex
	users         map[string]*connection // by uaid; nil for a browser that is away
	subscriptions []*subscription
	refusals      []Refusal
	held          bool
	changed       chan struct{} // closed and replaced when anything changes
}

// Subscription is a browser's subscription.
type Subscription struct {
	// Endpoint is the URL that an application server sends to.
	Endpoint string
	// Key is the application server's key that the subscription is for, in base64url; empty if anybody may send.
	Key string
	// Unregistered is 0, or why the browser gave the subscription up: 200 the page did so, 201 quota, 202 permission. It is -1 if the
	// service forgot the browser.
	Unregistered int
	// Messages are those that the service accepted, oldest first.
	Messages []Message
}

// Message is an encrypted message that the service accepted.
type Message struct {
	// Header has the request's headers.
	Header http.Header
	// Subject is the subject of the VAPID token.
	Subject string
	// Size is the length of the body in bytes.
	Size int
	// Ack is what the browser answered: 100 delivered, 101 it could not be decrypted, 102 it was not delivered for another reason, 301 the
	// worker threw an exception, 302 the worker rejected its promise, 303 an internal error. It is 0 before the browser answers.
	Ack int
	// Dropped means that the browser will never get the message: another one with the same topic replaced it, or the browser was away and
	// the TTL was 0.
	Dropped bool
}

// Refusal is a push that the service refused.
type Refusal struct {
	Status, Errno int
	Message       string
}

// subscription is a subscription with what only the service needs.
type subscription struct {
	Subscription
	uaid, channel string
	messages      []*message
	answers       []providertest.Answer
}

// message is a message with what only the service needs.
type message struct {
	Message
	version, topic string
	body           []byte
	sent           *connection // the last connection that it was sent on
}

// New starts a service. A middleware can see the requests of application servers.
func New(t testing.TB, middleware ...func(http.Handler) http.Handler) *Service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{t: t, ctx: ctx, users: make(map[string]*connection), changed: make(chan struct{})}
	endpoints := http.Handler(http.HandlerFunc(s.serveEndpoint))
	for _, wrap := range middleware {
		endpoints = wrap(endpoints)
	}
	server := providertest.NewTLSServer(t, endpoints)
	browsers := httptest.NewServer(http.HandlerFunc(s.serveBrowser))
	t.Cleanup(func() {
		cancel()
		browsers.Close()
		s.serving.Wait()
	})
	s.Origin, s.CAFile = server.URL, server.CAFile
	s.WebSocket = strings.Replace(browsers.URL, "http://", "ws://", 1) + "/"
	return s
}

// Subscriptions returns all subscriptions that browsers have made, oldest first.
func (s *Service) Subscriptions() []Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot()
}

// snapshot copies the subscriptions. The lock is held.
func (s *Service) snapshot() (all []Subscription) {
	for _, sub := range s.subscriptions {
		copied := sub.Subscription
		for _, m := range sub.messages {
			copied.Messages = append(copied.Messages, m.Message)
		}
		all = append(all, copied)
	}
	return all
}

// Refusals returns the pushes that the service refused, oldest first. Programmed answers are not among them.
func (s *Service) Refusals() []Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refusals)
}

// Wait waits until a condition holds for the subscription with an endpoint, and returns it. The test fails if that takes too long.
func (s *Service) Wait(endpoint string, holds func(Subscription) bool) Subscription {
	s.t.Helper()
	var found Subscription
	s.wait(func() bool {
		i := slices.IndexFunc(s.subscriptions, func(sub *subscription) bool { return sub.Endpoint == endpoint })
		if i < 0 {
			return false
		}
		found = s.snapshot()[i]
		return holds(found)
	})
	return found
}

// WaitAcks waits until the browser has answered a number of messages to an endpoint, and no message is open.
func (s *Service) WaitAcks(endpoint string, n int) Subscription {
	s.t.Helper()
	return s.Wait(endpoint, func(sub Subscription) bool {
		open := func(m Message) bool { return m.Ack == 0 && !m.Dropped }
		return len(sub.Messages) >= n && !slices.ContainsFunc(sub.Messages, open)
	})
}

// WaitConnected waits until a number of browsers are connected.
func (s *Service) WaitConnected(browsers int) {
	s.t.Helper()
	s.wait(func() bool {
		connected := 0
		for _, c := range s.users {
			if c != nil {
				connected++
			}
		}
		return connected == browsers
	})
}

// wait waits until a condition holds, which is called with the lock held.
func (s *Service) wait(holds func() bool) {
	s.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		ok, changed := holds(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			s.t.Fatalf("what the test waits for does not happen:\n%s", s.describe())
		}
	}
}

// describe describes the subscriptions without their endpoints and keys.
func (s *Service) describe() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for i, sub := range s.subscriptions {
		line := fmt.Sprintf("subscription %d, unregistered %d:", i, sub.Unregistered)
		for _, m := range sub.messages {
			line += fmt.Sprintf(" %d", m.Ack)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n") + fmt.Sprintf("\nrefused: %v", s.refusals)
}

// change wakes everybody who waits. The lock is held.
func (s *Service) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Hold makes the service keep messages until [Service.Release], as if all browsers were away. It does accept them.
func (s *Service) Hold() { s.hold(true) }

// Release sends the messages that were held.
func (s *Service) Release() { s.hold(false) }

func (s *Service) hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	s.change()
}

// Disconnect closes the connections of all browsers. They connect again.
func (s *Service) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect()
}

func (s *Service) disconnect() {
	for _, c := range s.users {
		if c != nil {
			c.cancel()
		}
	}
}

// Forget forgets all browsers and closes their connections. They get new names, and lose their subscriptions.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect()
	for _, sub := range s.subscriptions {
		if sub.Unregistered == 0 {
			sub.Unregistered = -1
		}
	}
	clear(s.users)
	s.change()
}

// Answer programs the answers to pushes to an endpoint that break no rule. Each answer is given as many times as its Times says, and then
// messages are accepted again.
func (s *Service) Answer(endpoint string, answers ...providertest.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subscriptions {
		if sub.Endpoint == endpoint {
			sub.answers = slices.Clone(answers)
		}
	}
}

// word returns a new word that nobody can guess.
func word() string { return strings.ToLower(rand.Text()) }
