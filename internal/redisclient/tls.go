package redisclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// dialer makes the connections to all servers, in the forms that go-redis' clients expect.
type dialer struct {
	config func() *tls.Config // nil without TLS
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var plain net.Dialer
	if d.config == nil {
		return plain.DialContext(ctx, network, address)
	}
	encrypted := tls.Dialer{NetDialer: &plain, Config: d.config()}
	return encrypted.DialContext(ctx, network, address)
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
