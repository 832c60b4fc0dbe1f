package component

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// handler is a Handler of two functions. Without refuse, every stanza is expected to be handled.
type handler struct {
	handle func(context.Context, []byte, Reply)
	refuse func([]byte, Reply)
}

func (h handler) Handle(ctx context.Context, stanza []byte, reply Reply) {
	h.handle(ctx, stanza, reply)
}
func (h handler) Refuse(stanza []byte, reply Reply) { h.refuse(stanza, reply) }

// echo answers each request with an empty result.
var echo = handler{
	handle: func(_ context.Context, stanza []byte, reply Reply) { _ = reply(answer(stanza, "result")) },
	refuse: func(stanza []byte, reply Reply) { _ = reply(answer(stanza, "error")) },
}

// lent returns echo, and the Reply of each request that it has answered.
func lent() (handler, chan Reply) {
	replies, h := make(chan Reply, 1024), echo
	h.handle = func(ctx context.Context, stanza []byte, reply Reply) {
		echo.handle(ctx, stanza, reply)
		replies <- reply
	}
	return h, replies
}

// answer returns an answer to a request.
func answer(stanza []byte, kind string) []byte {
	root := rootOf(stanza)
	return []byte("<" + root.XMLName.Local + " type='" + kind + "' id='" + escape(root.Attr("id")) +
		"' from='" + escape(root.Attr("to")) + "' to='" + escape(root.Attr("from")) + "'/>")
}

// rootOf returns the root of a stanza.
func rootOf(stanza []byte) *xmpptest.Element {
	e, err := xmpptest.NewReader(bytes.NewReader(stanza)).Header()
	if err != nil {
		panic(err)
	}
	return e
}

// observer records what happens to a component.
type observer struct {
	up chan struct{}

	mu       sync.Mutex
	failures []Failure
	ignored  []string
	changed  chan struct{} // closed at the next change
}

func newObserver() *observer {
	return &observer{up: make(chan struct{}, 1024), changed: make(chan struct{})}
}

func (o *observer) Up() { o.up <- struct{}{} }

func (o *observer) Down(f Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = append(o.failures, f)
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *observer) Ignored(reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ignored = append(o.ignored, reason)
}

// all returns the failures until now.
func (o *observer) all() []Failure {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.failures)
}

// failure waits for the failure with a number, from 0.
func (o *observer) failure(n int) Failure {
	return o.find(func(failures []Failure) bool { return len(failures) > n })[n]
}

// lost waits until a stream that was online has ended for the nth time.
func (o *observer) lost(n int) Failure {
	var online []Failure
	o.find(func(failures []Failure) bool {
		online = slices.DeleteFunc(slices.Clone(failures), func(f Failure) bool { return !f.Online })
		return len(online) >= n
	})
	return online[n-1]
}

// find waits until the failures are enough.
func (o *observer) find(enough func([]Failure) bool) []Failure {
	for {
		o.mu.Lock()
		failures, changed := o.failures, o.changed
		o.mu.Unlock()
		if enough(failures) {
			return failures
		}
		<-changed
	}
}

// running is a component that runs, and ends with the test.
type running struct {
	*Component
	*observer
	stop func() // ends the component, and waits for that
}

// run runs a component of a fake server. Options that are zero get what fits the server.
func run(t *testing.T, s *xmpptest.Server, h Handler, o Options) *running {
	t.Helper()
	if o.JID == "" {
		o.JID = s.Domain
	}
	if o.Secret == nil {
		o.Secret = func() (string, error) { return s.Secret, nil }
	}
	if o.dial == nil && o.Server == "" {
		o.dial = s.Dial
	}
	events := newObserver()
	o.Handler, o.Observer = h, events
	return start(t, New(o), events)
}

func start(t *testing.T, c *Component, events *observer) *running {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return &running{c, events, stop}
}

// request is a publish with an id.
func request(id string) string {
	return "<iq type='set' id='" + escape(id) + "' to='push.example.test' from='example.test'>" +
		"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='tok'/></pubsub></iq>"
}

// within fails the test if something takes longer than that on the bubble's clock.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > limit {
		t.Errorf("%s took %v, and not at most %v", what, took, limit)
	}
}
