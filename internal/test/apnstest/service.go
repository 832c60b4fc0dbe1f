package apnstest

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Service is a fake of Apple's push service for tests: HTTP/2 over TLS on a port of 127.0.0.1, for as long as its test. It verifies
// each push as Apple documents it, answers as Apple does, and remembers what came.
//
// Its HTTP/2 is written by hand, so that a test says exactly when a stream is refused and a connection ends. It is safe for
// concurrent use.
//
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
type Service struct {
	// URL is the service's: https://127.0.0.1:port.
	URL string
	// CAFile holds the certificate of the authority that vouches for the service: what trusted_ca takes.
	CAFile string

	options  Options
	tls      *tls.Config
	listener net.Listener
	ctx      context.Context // done when the service closes
	running  sync.WaitGroup

	mu           sync.Mutex
	changed      chan struct{} // closed and replaced whenever something below changes
	sockets      map[net.Conn]struct{}
	conns        map[*conn]struct{}
	stalled      chan struct{} // closed when handshakes go on; nil if they do not stall
	limit        uint32
	tokens       map[string]*providerToken
	answers      map[string][]Answer
	unregistered map[string]time.Time
	pushes       []Push
	waited       int // pushes that Wait returned
	requests     []Request
	connections  int
	maxStreams   int
	refused      int
}

// Options are what a [Service] can be told. It needs Keys or an Authority to let anybody in.
type Options struct {
	// Environment is "production" or "sandbox"; empty is "production". Keys and certificates for the other are refused.
	Environment string
	// Keys are those that provider tokens may be signed with.
	Keys []Key
	// Authority is whose client certificates are accepted, see [Authority.Certificate]. They say themselves which topics
	// and environments they are for. A connection with one needs no provider token.
	Authority *Authority
	// DeviceTopic is the bundle id of the app that the device tokens were made for; empty is any. See also [Service.SetDeviceTopic].
	DeviceTopic string
	// MaxConcurrentStreams is the limit that a connection is told; 0 is 1000.
	MaxConcurrentStreams uint32
	// OneUntilAuthenticated allows one stream on a connection until the first request with a valid provider token, and
	// MaxConcurrentStreams from then on, as Apple documents.
	OneUntilAuthenticated bool
	// AllowTokenUpdates lets a key have new provider tokens more often than every 20 minutes.
	AllowTokenUpdates bool
	// Now is the clock that tokens, certificates and expirations are judged by; nil is the real one.
	Now func() time.Time
}

// Key is a key for provider tokens as Apple knows it.
type Key struct {
	// KeyID and TeamID are in the provider tokens that it signs: kid and iss.
	KeyID, TeamID string
	// Public verifies them.
	Public *ecdsa.PublicKey
	// Topics are the bundle ids that the key may push to; with the suffixes for push types, such as .voip, too.
	Topics []string
	// Environment limits the key to "production" or "sandbox"; empty is both.
	Environment string
}

// New starts a fake of APNs. It ends with the test, and with it all that it does.
func New(t testing.TB, o Options) *Service {
	t.Helper()
	if o.Environment == "" {
		o.Environment = "production"
	}
	if o.MaxConcurrentStreams == 0 {
		o.MaxConcurrentStreams = 1000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	ca := providertest.NewCA(t)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &Service{
		URL: "https://" + listener.Addr().String(), CAFile: ca.File,
		options: o, listener: listener, ctx: ctx, limit: o.MaxConcurrentStreams,
		tls: &tls.Config{
			Certificates: []tls.Certificate{ca.Certificate(t, "127.0.0.1", "localhost")},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2"},
			// A certificate is judged with the request, so that the answer can say what is wrong with it.
			ClientAuth: tls.RequestClientCert,
		},
		changed: make(chan struct{}), sockets: map[net.Conn]struct{}{}, conns: map[*conn]struct{}{},
		tokens: map[string]*providerToken{}, answers: map[string][]Answer{}, unregistered: map[string]time.Time{},
	}
	a.running.Go(a.accept)
	t.Cleanup(func() {
		cancel()
		a.close()
	})
	return a
}

// close ends every connection and waits for all that the service started.
func (a *Service) close() {
	_ = a.listener.Close()
	a.mu.Lock()
	for socket := range a.sockets {
		_ = socket.Close()
	}
	a.mu.Unlock()
	a.running.Wait()
}

func (a *Service) accept() {
	for {
		socket, err := a.listener.Accept()
		if err != nil {
			return // closed
		}
		a.mu.Lock()
		if a.ctx.Err() != nil {
			_ = socket.Close()
		}
		a.sockets[socket] = struct{}{}
		a.mu.Unlock()
		a.running.Go(func() { a.serve(socket) })
	}
}

// serve has one TCP connection from its beginning to its end.
func (a *Service) serve(socket net.Conn) {
	defer func() {
		_ = socket.Close()
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.sockets, socket)
	}()
	if !a.unstalled() {
		return
	}
	conn := tls.Server(socket, a.tls)
	if err := conn.HandshakeContext(a.ctx); err != nil || conn.ConnectionState().NegotiatedProtocol != "h2" {
		return
	}
	c := a.open(conn)
	c.run()
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, c)
	a.announce()
}

// open takes up a connection after its handshake.
func (a *Service) open(conn *tls.Conn) *conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connections++
	c := newConn(a, conn, a.connections)
	a.conns[c] = struct{}{}
	a.announce()
	return c
}

// unstalled waits while handshakes stall, and reports whether the service is still open then.
func (a *Service) unstalled() bool {
	a.mu.Lock()
	stalled := a.stalled
	a.mu.Unlock()
	if stalled == nil {
		return true
	}
	select {
	case <-stalled:
		return true
	case <-a.ctx.Done():
		return false
	}
}

// announce wakes whoever waits for a change. The lock is held.
func (a *Service) announce() {
	close(a.changed)
	a.changed = make(chan struct{})
}
