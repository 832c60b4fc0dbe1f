package apns

import (
	"crypto/tls"
	"errors"
	"time"

	"go.uber.org/zap"
)

// credential authenticates the provider to APNs.
type credential interface {
	// bearer returns the provider token to send; empty if the connection is enough.
	bearer() (string, error)
	// renewed returns a token to replace one that APNs found expired; empty if there is none.
	renewed(expired string) (string, error)
	// clientCertificate returns a function with the certificate for connections; nil if there is none.
	clientCertificate() func() *tls.Certificate
	// topics returns the topics that the credential is for; none if it does not name any.
	topics() []string
	// expiry returns when the credential expires; zero if it does not.
	expiry() time.Time
	// identity distinguishes credentials that may not share a connection.
	identity() string
	close() error
}

// loadCredential reads the credential that the options name. It calls replaced when connections must be made again.
func (p *Provider) loadCredential(logger *zap.Logger, replaced func()) (credential, error) {
	switch {
	case p.CertificateFile == "" && p.CertificateKeyFile != "":
		return nil, errors.New("certificate_file is missing: certificate_key_file needs it")
	case p.CertificateFile == "" && p.CertificatePassword != "":
		return nil, errors.New("certificate_file is missing: certificate_password needs it")
	case p.CertificateFile == "" && p.KeyFile == "":
		return nil, errors.New("key_file is missing: set it, or certificate_file")
	case p.CertificateFile != "" && (p.KeyFile != "" || p.KeyID != "" || p.TeamID != ""):
		return nil, errors.New("certificate_file cannot be combined with key_file, key_id and team_id: use the one or the other")
	case p.CertificateFile != "":
		return orNil(newCertificate(p, logger, replaced))
	default:
		return orNil(newKey(p, logger))
	}
}

// orNil prevents a nil pointer from becoming a non-nil credential.
func orNil[C credential](c C, err error) (credential, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}
