package component

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

func TestAProxyWithTLSIsAcceptedOnlyWithAValidCertificate(t *testing.T) {
	t.Parallel()
	s := xmpptest.NewServer(t, xmpptest.Prosody)
	address, pool := tlsProxy(t, s)
	strict := run(t, s, echo, Options{Server: address, TLS: &tls.Config{RootCAs: x509.NewCertPool()}})
	if f := strict.failure(0); f.Reason != Unreachable || f.Hint == "" {
		t.Errorf("got %+v", f)
	}
	r := run(t, s, echo, Options{Server: address, TLS: &tls.Config{RootCAs: pool}})
	<-r.up
	stream := s.Accept()
	if err := stream.Send(request("1")); err != nil {
		t.Fatal(err)
	}
	if e := <-stream.Received; e.Attr("id") != "1" {
		t.Errorf("got %+v", e)
	}
}

// tlsProxy accepts TLS connections for a server. It returns its address, and the authority of its certificate.
func tlsProxy(t *testing.T, s *xmpptest.Server) (address string, pool *x509.CertPool) {
	t.Helper()
	web := httptest.NewTLSServer(nil) // only its certificate is of use
	web.Close()
	pool = x509.NewCertPool()
	pool.AddCert(web.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if conn.(*tls.Conn).Handshake() != nil {
				_ = conn.Close()
				continue
			}
			server, err := s.Dial(t.Context())
			if err != nil {
				return
			}
			serving.Go(func() { forward(conn, server) })
			serving.Go(func() { forward(server, conn) })
		}
	})
	return l.Addr().String(), pool
}

func forward(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}
