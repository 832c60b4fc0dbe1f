package providertest_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// client trusts the server's authority and speaks HTTP/2.
func client(s *providertest.TLSServer) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.CA.Pool(), MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}}
}

func TestTheServerSpeaksHTTP2WithACertificateOfItsAuthority(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, http.NotFoundHandler())
	c := client(server)
	for range 3 {
		answer, err := c.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if answer.ProtoMajor != 2 {
			t.Errorf("it speaks %s", answer.Proto)
		}
	}
	if n := server.Connections(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
	if _, err := http.Get(server.URL); err == nil {
		t.Error("a client that does not know the authority trusts the server")
	}
}
