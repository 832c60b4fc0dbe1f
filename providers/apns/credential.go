package apns

import (
	"crypto/tls"
	"errors"
	"time"

	"go.uber.org/zap"
)

// credential is how the provider proves to APNs who it is.
type credential interface {
	// bearer is the provider token to send; empty if the connection says it all.
	bearer() (string, error)
	// renewed is a token in place of one that APNs found expired; empty if there is none.
	renewed(expired string) (string, error)
	// clientCertificate gives the certificate for connections; nil for none.
	clientCertificate() func() *tls.Certificate
	// topics are those that the credential is for; none if it does not say.
	topics() []string
	// expiry is when the credential ends; zero if it does not.
	expiry() time.Time
	// identity tells credentials apart that may not share a connection.
	identity() string
	close() error
}

// loadCredential reads the credential that the options name; replaced is called when its connections have to be made anew.
func (p *Provider) loadCredential(logger *zap.Logger, replaced func()) (credential, error) {
	switch {
	case p.CertificateFile == "" && p.CertificateKeyFile != "":
		return nil, errors.New("certificate_file is missing: certificate_key_file is of use with it alone")
	case p.CertificateFile == "" && p.CertificatePassword != "":
		return nil, errors.New("certificate_file is missing: certificate_password is of use with it alone")
	case p.CertificateFile == "" && p.KeyFile == "":
		return nil, errors.New("key_file is missing (or certificate_file)")
	case p.CertificateFile != "" && (p.KeyFile != "" || p.KeyID != "" || p.TeamID != ""):
		return nil, errors.New("certificate_file cannot go with key_file, key_id and team_id: APNs takes one of them")
	case p.CertificateFile != "":
		return orNil(newCertificate(p, logger, replaced))
	default:
		return orNil(newKey(p, logger))
	}
}

// orNil keeps a nil pointer from becoming a credential that is not nil.
func orNil[C credential](c C, err error) (credential, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}
