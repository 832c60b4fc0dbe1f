package providertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody is the body size that a push service must accept (RFC 8030 section 7.2). This one accepts no more.
const maxBody = 4096

// PushService is a push service for tests and demonstrations. It has UnifiedPush endpoints at /up/<topic> and Web Push endpoints (RFC
// 8030) at /webpush/<name>. It checks a push as strictly as the RFCs allow, decrypts it with the subscriber's keys and verifies its
// VAPID token. If something is wrong, it answers 400, 401, 403, 405 or 413, and the body lists what.
//
// It is an [http.Handler] that must be served at a separate origin. An unknown path gets 404. It is safe for concurrent use.
type PushService struct {
	options PushServiceOptions
	ctx     context.Context // done when the service is closed
	close   context.CancelFunc

	mu        sync.Mutex
	origin    string
	endpoints map[string]*endpoint
	sent      int
}

// PushServiceOptions are the options of a [PushService]. The zero value is fine.
type PushServiceOptions struct {
	// Origin is the service's origin, scheme://host[:port], for which a VAPID token must be made. If it is empty, each request's own
	// origin counts. See also [PushService.SetOrigin].
	Origin string
	// RequireVAPID makes the service refuse a push without a VAPID token to a Web Push endpoint, as browsers' services do.
	RequireVAPID bool
	// Keep is how many messages of an endpoint are kept; 0 for 1000.
	Keep int
	// Now is the clock for checking VAPID tokens; nil for time.Now.
	Now func() time.Time
	// OnMessage is called with each message before it is answered. Calls may be concurrent.
	OnMessage func(Message)
}

// Message is one request to an endpoint, accepted or not.
type Message struct {
	// Time is when the request arrived.
	Time time.Time
	// Path is the endpoint's path.
	Path string
	// Header has the request's headers.
	Header http.Header
	// TTL is the header of RFC 8030 section 5.2, in seconds; -1 if it is missing or wrong.
	TTL int
	// Urgency and Topic are the headers of RFC 8030 sections 5.3 and 5.4; empty if they are missing.
	Urgency, Topic string
	// Encrypted reports whether the body was encrypted.
	Encrypted bool
	// Body is the body, decrypted.
	Body []byte
	// Size is the length of the body as it was sent, in bytes.
	Size int
	// VAPID reports whether the request has a valid VAPID token.
	VAPID bool
	// Subject is the sub of the VAPID token.
	Subject string
	// Violations are the rules that the request breaks. If there are any, the message was not accepted.
	Violations []string
	// Status is the status of the answer.
	Status int
}

// endpoint is one path and what has arrived there.
type endpoint struct {
	sub      *Subscription // nil for plain UnifiedPush
	answers  []Answer
	messages []Message
	dropped  int           // messages no longer kept
	waited   int           // messages that Wait returned or skipped
	arrived  chan struct{} // closed and replaced when a message arrives
}

// NewPushService makes a push service without endpoints.
func NewPushService(o PushServiceOptions) *PushService {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Keep == 0 {
		o.Keep = 1000
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &PushService{options: o, ctx: ctx, close: cancel, endpoints: map[string]*endpoint{}}
	s.SetOrigin(o.Origin)
	return s
}

// SetOrigin sets the service's origin, as soon as its server has one.
func (s *PushService) SetOrigin(origin string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.origin = strings.TrimRight(origin, "/")
}

// Origin returns the service's origin.
func (s *PushService) Origin() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.origin
}

// Close ends every request that hangs. Call it before closing the server, which waits for these requests.
func (s *PushService) Close() { s.close() }

// add opens an endpoint. An existing one keeps its messages.
func (s *PushService) add(path string, sub *Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.endpoints[path]; e != nil {
		e.sub = sub
		return
	}
	s.endpoints[path] = &endpoint{sub: sub, arrived: make(chan struct{})}
}

// find returns an endpoint by its path or URL; nil if there is none. The lock is held.
func (s *PushService) find(path string) *endpoint {
	if u, err := url.Parse(path); err == nil {
		path = u.Path
	}
	return s.endpoints[path]
}

// Messages returns the messages that arrived at an endpoint, given as its path or URL, oldest first.
func (s *PushService) Messages(path string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(path)
	if e == nil {
		return nil
	}
	return append([]Message(nil), e.messages...)
}

// Wait returns the next message of an endpoint, given as its path or URL, and waits for one if necessary. It returns each message once,
// in order.
func (s *PushService) Wait(ctx context.Context, path string) (Message, error) {
	for {
		m, arrived, err := s.next(path)
		if arrived == nil {
			return m, err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("no message arrived: %w", ctx.Err())
		}
	}
}

// next returns the next message for Wait, or a channel that is closed when one arrives.
func (s *PushService) next(path string) (Message, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(path)
	if e == nil {
		return Message{}, nil, fmt.Errorf("there is no endpoint %s", path)
	}
	e.waited = max(e.waited, e.dropped)
	if e.waited == e.dropped+len(e.messages) {
		return Message{}, e.arrived, nil
	}
	e.waited++
	return e.messages[e.waited-e.dropped-1], nil, nil
}

// ServeHTTP receives a push.
func (s *PushService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	e := s.endpoints[r.URL.Path]
	var sub *Subscription
	if e != nil {
		sub = e.sub
	}
	s.mu.Unlock()
	if e == nil {
		http.NotFound(w, r)
		return
	}

	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return // the client is gone
	}
	m, refusal := s.check(r, body, sub)
	answer := Answer{Status: http.StatusCreated}
	if refusal != 0 {
		answer = Answer{Status: refusal, Body: strings.Join(m.Violations, "\n") + "\n"}
	} else if programmed, ok := s.takeAnswer(e); ok {
		answer = programmed
	}
	m.Status = answer.Status
	number := s.record(e, m)
	if s.options.OnMessage != nil {
		s.options.OnMessage(m)
	}
	if answer.Status == http.StatusCreated {
		// RFC 8030 section 5: the location of the message, and how long it is kept.
		w.Header().Set("Location", s.originOf(r)+"/message/"+strconv.Itoa(number))
		w.Header().Set("TTL", strconv.Itoa(m.TTL))
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	answer.ServeHTTP(w, r.WithContext(ctx))
}

// record stores a message, wakes everybody who waits for it, and returns its number.
func (s *PushService) record(e *endpoint, m Message) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.messages = append(e.messages, m)
	if over := len(e.messages) - s.options.Keep; over > 0 {
		e.messages = append([]Message(nil), e.messages[over:]...)
		e.dropped += over
	}
	close(e.arrived)
	e.arrived = make(chan struct{})
	s.sent++
	return s.sent
}

// originOf returns the service's origin for a request.
func (s *PushService) originOf(r *http.Request) string {
	if origin := s.Origin(); origin != "" {
		return origin
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
