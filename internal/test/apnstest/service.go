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

// Service is a fake of Apple's push service for tests: HTTP/2 over TLS on a port of 127.0.0.1, for the duration of its test. It
// verifies each push as Apple documents it, answers as Apple does, and remembers the requests.
//
// Its HTTP/2 is written by hand, so a test controls exactly when a stream is refused and a connection ends. It is safe for
// concurrent use.
//
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
type Service struct {
	// URL is the service's origin, https://127.0.0.1:port.
	URL string
	// CAFile is a file with the certificate of the authority that signed the service's, for the option trusted_ca.
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

// Options configure a [Service]. It needs Keys or an Authority to accept anybody.
type Options struct {
	// Environment is "production" or "sandbox"; empty means "production". Keys and certificates for the other one are refused.
	Environment string
	// Keys are those that provider tokens may be signed with.
	Keys []Key
	// Authority is the authority whose client certificates are accepted: see [Authority.Certificate]. They name their topics and
	// environments themselves. A connection with a certificate needs no provider token.
	Authority *Authority
	// DeviceTopic is the bundle id of the app that the device tokens were made for; empty means any. See also [Service.SetDeviceTopic].
	DeviceTopic string
	// MaxConcurrentStreams is the limit that the service announces on a connection; 0 means 1000.
	MaxConcurrentStreams uint32
	// OneUntilAuthenticated allows one stream on a connection until the first request with a valid provider token, and
	// MaxConcurrentStreams from then on, as Apple documents.
	OneUntilAuthenticated bool
	// AllowTokenUpdates allows new provider tokens of a key more often than every 20 minutes.
	AllowTokenUpdates bool
	// Now is the clock for tokens, certificates and expirations; nil means the real one.
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
	// Environment limits the key to "production" or "sandbox"; empty means both.
	Environment string
}

// New starts a fake of APNs. It ends with the test.
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
			// The certificate is checked with each request, so the answer can say what is wrong with it.
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

// serve serves one TCP connection until it ends.
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

// open registers a connection after its handshake.
func (a *Service) open(conn *tls.Conn) *conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connections++
	c := newConn(a, conn, a.connections)
	a.conns[c] = struct{}{}
	a.announce()
	return c
}

// unstalled waits while handshakes stall. It reports whether the service is still open afterwards.
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

// announce wakes all that wait for a change. The lock is held.
func (a *Service) announce() {
	close(a.changed)
	a.changed = make(chan struct{})
}
