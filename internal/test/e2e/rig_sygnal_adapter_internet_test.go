package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// internet is an HTTP proxy that leads to fakes under the names of the real services. The process under test uses only this proxy. It
// terminates the client's TLS with a certificate of its own authority, and forwards requests to the fake. So a gateway is tested with an
// operator's configuration, which can name neither other hosts nor other authorities.
type internet struct {
	*httptest.Server
	ca          *providertest.CA
	password    string // of the user sygnal
	certificate tls.Certificate
	sites       map[string]site // by host and port

	running sync.WaitGroup
	mu      sync.Mutex
	asked   []string
	conns   []net.Conn
}

// site is a fake.
type site struct {
	url    string
	caFile string // of the authority that signed its certificate
}

func newInternet(t *testing.T, password string, sites map[string]site) *internet {
	t.Helper()
	i := &internet{ca: providertest.NewCA(t), password: password, sites: sites}
	var hosts []string
	for address := range sites {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, host)
	}
	i.certificate = i.ca.Certificate(t, hosts...)
	i.Server = httptest.NewServer(i)
	t.Cleanup(func() {
		i.Close()
		i.mu.Lock()
		for _, conn := range i.conns {
			_ = conn.Close()
		}
		i.mu.Unlock()
		i.running.Wait()
	})
	return i
}

// proxyURL returns the URL of the proxy for sygnal.yaml.
func (i *internet) proxyURL() string {
	return "http://sygnal:" + i.password + "@" + i.Listener.Addr().String()
}

// hosts returns the hosts of all requests, each once.
func (i *internet) hosts() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	hosts := slices.Clone(i.asked)
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// ServeHTTP answers CONNECT.
func (i *internet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked = append(i.asked, r.Host)
	i.mu.Unlock()
	to, known := i.sites[r.Host]
	switch credential := base64.StdEncoding.EncodeToString([]byte("sygnal:" + i.password)); {
	case r.Method != http.MethodConnect:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case r.Header.Get("Proxy-Authorization") != "Basic "+credential:
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	case !known:
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	i.keep(conn)
	i.running.Go(func() {
		defer conn.Close()
		if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
			i.lead(conn, to)
		}
	})
}

func (i *internet) keep(conn net.Conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.conns = append(i.conns, conn)
}

// lead connects a client with a fake, in the protocol that both negotiated.
func (i *internet) lead(conn net.Conn, to site) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var fake *tls.Conn
	client := tls.Server(conn, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		dialled, err := dialSite(ctx, to, hello.SupportedProtos)
		if err != nil {
			return nil, err
		}
		fake = dialled
		config := &tls.Config{Certificates: []tls.Certificate{i.certificate}}
		if agreed := fake.ConnectionState().NegotiatedProtocol; agreed != "" {
			config.NextProtos = []string{agreed}
		}
		return config, nil
	}})
	err := client.HandshakeContext(ctx)
	if fake != nil {
		defer fake.Close()
		i.keep(fake)
	}
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, fake)
		_ = client.Close()
	})
	_, _ = io.Copy(fake, client)
	_ = fake.Close()
	back.Wait()
}

func dialSite(ctx context.Context, to site, protocols []string) (*tls.Conn, error) {
	request, err := http.NewRequest(http.MethodGet, to.url, nil)
	if err != nil {
		return nil, err
	}
	ca, err := certificatesIn(to.caFile)
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: 10 * time.Second},
		Config:    &tls.Config{RootCAs: ca, ServerName: "127.0.0.1", NextProtos: protocols},
	}
	conn, err := dialer.DialContext(ctx, "tcp", request.URL.Host)
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

func certificatesIn(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool, nil
}
