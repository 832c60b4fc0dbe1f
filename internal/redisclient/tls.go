package redisclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// dialer makes the connections to all servers, in the forms that go-redis' clients expect.
type dialer struct {
	timeout time.Duration
	config  func() *tls.Config // nil without TLS
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	plain := net.Dialer{Timeout: d.timeout} // some contexts of go-redis never end
	if d.config == nil {
		return plain.DialContext(ctx, network, address)
	}
	encrypted := tls.Dialer{NetDialer: &plain, Config: d.config()}
	conn, err := encrypted.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return secured{conn}, nil
}

// secured is a connection with TLS. With TLS 1.3, a server refuses the client's certificate only after the client has ended the handshake.
type secured struct{ net.Conn }

// Write returns the server's refusal in place of an error of the network.
func (s secured) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if _, why := s.Read(make([]byte, 1)); refusedInTLS(why) {
		return n, why
	}
	return n, err
}

// refusedInTLS reports whether an error is a server's verdict, for example about a certificate.
func refusedInTLS(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) && network.Op == "remote error" // the word of crypto/tls
}

// certificates opens the files, and returns a function with the current configuration. The given configuration is what it begins with.
func (t *TLS) certificates(begin *tls.Config) (func() *tls.Config, error) {
	if t == nil {
		return func() *tls.Config { return begin }, nil
	}
	begin = begin.Clone()
	if t.ServerName != "" {
		begin.ServerName = t.ServerName
	}
	var paths []string
	for _, path := range []string{t.TrustedCA, t.CertificateFile, t.CertificateKeyFile} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	file, err := keyfile.Open(keyfile.Options[*tls.Config]{Paths: paths, Logger: caddy.Log().Named("redis"), Parse: func(contents [][]byte) (*tls.Config, error) {
		return t.parse(begin.Clone(), contents)
	}})
	if err != nil {
		return nil, err
	}
	return file.Get, nil
}

// parse adds the certificates in the files to a configuration.
func (t *TLS) parse(config *tls.Config, contents [][]byte) (*tls.Config, error) {
	if t.TrustedCA != "" {
		if config.RootCAs, _ = x509.SystemCertPool(); config.RootCAs == nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(contents[0]) {
			return nil, errors.New("trusted_ca: the file has no PEM certificate: write the path of a file that begins with -----BEGIN CERTIFICATE-----")
		}
		contents = contents[1:]
	}
	if t.CertificateFile != "" {
		certificate, err := tls.X509KeyPair(contents[0], bytes.Join(contents, []byte("\n")))
		if err != nil {
			return nil, fmt.Errorf("certificate_file: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}
