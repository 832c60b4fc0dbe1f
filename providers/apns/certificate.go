package apns

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sideshow/apns2/certificate"
	"go.step.sm/crypto/pemutil"
	"go.uber.org/zap"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// clientCertificate is a client certificate from Apple.
type clientCertificate struct {
	file *keyfile.File[*tls.Certificate]
}

func newCertificate(p *Provider, logger *zap.Logger, replaced func()) (*clientCertificate, error) {
	var paths []string
	for _, o := range []struct{ name, value string }{
		{"certificate_file", p.CertificateFile}, {"certificate_key_file", p.CertificateKeyFile},
	} {
		path, err := keyfile.Resolve(o.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		if path != "" {
			paths = append(paths, path)
		}
	}
	password, err := keyfile.Resolve(p.CertificatePassword)
	if err != nil {
		return nil, fmt.Errorf("certificate_password: %w", err)
	}
	file, err := keyfile.Open(keyfile.Options[*tls.Certificate]{
		Paths: paths,
		Parse: func(contents [][]byte) (*tls.Certificate, error) {
			cert, err := parseCertificate(bytes.Join(contents, []byte("\n")), password, p.Environment)
			if err == nil && p.Endpoint == "" { // another server may want other certificates
				err = checkIssuer(cert.Leaf)
			}
			if err == nil && p.topic != "" {
				err = checkReplacement(cert.Leaf, p.topic)
			}
			return cert, err
		},
		Changed: func(*tls.Certificate) { replaced() },
		Logger:  logger,
	})
	if err != nil {
		return nil, fmt.Errorf("certificate_file: %w", err)
	}
	return &clientCertificate{file: file}, nil
}

// parseCertificate reads PEM or PKCS#12. It checks that the certificate is for the environment, and matches its key. It accepts an expired
// one, since that must not prevent everything else on this server from starting.
func parseCertificate(data []byte, password, environment string) (*tls.Certificate, error) {
	parse := parsePKCS12
	if bytes.Contains(data, []byte("-----BEGIN")) {
		parse = parsePEM
	}
	cert, err := parse(data, password)
	if err != nil {
		return nil, err
	}
	if cert.Leaf == nil {
		return nil, errors.New("the certificate is unreadable")
	}
	private, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key cannot sign")
	}
	if public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(cert.Leaf.PublicKey) {
		return nil, errors.New("the private key does not belong to the certificate")
	}
	return cert, checkEnvironment(cert.Leaf, environment)
}

// checkIssuer refuses a certificate that Apple did not issue for push: it has none of Apple's marks, or is for another purpose, such as
// signing code. It does not look at the signature, since Apple has changed its certificate authorities.
func checkIssuer(leaf *x509.Certificate) error {
	purposes := leaf.ExtKeyUsage
	toClients := len(purposes)+len(leaf.UnknownExtKeyUsage) == 0 || slices.Contains(purposes, x509.ExtKeyUsageClientAuth) ||
		slices.Contains(purposes, x509.ExtKeyUsageAny)
	marked := len(topicsOf(leaf)) > 0 || has(leaf, forSandbox) || has(leaf, forProduction)
	var kind string
	switch {
	case toClients && marked:
		return nil
	case slices.Contains(purposes, x509.ExtKeyUsageServerAuth):
		kind = ", but a TLS server's"
	case slices.Contains(purposes, x509.ExtKeyUsageCodeSigning):
		kind = ", but one for signing code"
	}
	return fmt.Errorf("the certificate is not Apple's for push%s: "+
		"get one of the kind Apple Push Notification service SSL at developer.apple.com", kind)
}

// checkReplacement refuses a certificate that would work worse than the one in use.
func checkReplacement(leaf *x509.Certificate, topic string) error {
	if certified := topicsOf(leaf); len(certified) > 0 && !covers(certified, topic) {
		return fmt.Errorf("the certificate is for %s, not for %s", strings.Join(certified, ", "), topic)
	}
	if time.Now().After(leaf.NotAfter) {
		return errExpired
	}
	return nil
}

func parsePEM(data []byte, password string) (*tls.Certificate, error) {
	plain, wasEncrypted, err := decrypted(data, password)
	if err != nil {
		return nil, err
	}
	cert, err := certificate.FromPemBytes(plain, password)
	switch {
	case errors.Is(err, certificate.ErrNoCertificate):
		return nil, errors.New("the PEM contains no certificate")
	case errors.Is(err, certificate.ErrNoPrivateKey):
		return nil, errors.New("the PEM contains no private key: put it into the same file, or into a separate key file")
	case errors.Is(err, certificate.ErrFailedToDecryptKey), err != nil && wasEncrypted:
		// With one wrong password in about 256, the padding is valid by chance: decryption gives noise and no error.
		return nil, errUndecryptable
	case err != nil:
		return nil, errors.New("the private key is unreadable")
	}
	return &cert, nil
}

var errUndecryptable = errors.New("the private key cannot be decrypted: certificate_password is wrong or missing")

// decrypted decrypts a key that OpenSSL 3 encrypted; apns2 only knows older forms. It also reports whether a key is encrypted in any form.
func decrypted(data []byte, password string) (plain []byte, wasEncrypted bool, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			block.Type, wasEncrypted = "PRIVATE KEY", true
			if block.Bytes, err = pemutil.DecryptPKCS8PrivateKey(block.Bytes, []byte(password)); err != nil {
				return nil, true, errUndecryptable
			}
		}
		wasEncrypted = wasEncrypted || block.Headers["DEK-Info"] != ""
		plain = append(plain, pem.EncodeToMemory(block)...)
	}
	return plain, wasEncrypted, nil
}

// parsePKCS12 reads what Apple's Keychain exports, and what OpenSSL 3 writes, which apns2 cannot.
func parsePKCS12(data []byte, password string) (*tls.Certificate, error) {
	private, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, errors.New("the file cannot be decrypted: certificate_password is wrong or missing")
	case err != nil:
		return nil, errors.New("the file is neither PEM nor PKCS#12 with a certificate and its key")
	}
	cert := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: private, Leaf: leaf}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

// These are the extensions and the attribute by which Apple marks its push certificates,
// https://www.apple.com/certificateauthority/pdf/Apple_WWDR_CPS_v1.31.pdf section 4.11.
var (
	forSandbox    = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 1}
	forProduction = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 2}
	topicList     = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 6}
	userID        = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
)

// checkEnvironment refuses a certificate that is only for the other environment.
func checkEnvironment(leaf *x509.Certificate, environment string) error {
	wanted, other := forProduction, forSandbox
	if environment == sandbox {
		wanted, other = forSandbox, forProduction
	}
	if has(leaf, other) && !has(leaf, wanted) {
		return fmt.Errorf("the certificate is not for the %s environment", environmentName(environment))
	}
	return nil
}

func environmentName(environment string) string {
	if environment == "" {
		return production
	}
	return environment
}

func has(leaf *x509.Certificate, id asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
}

func (c *clientCertificate) topics() []string { return topicsOf(c.file.Get().Leaf) }

// topicsOf returns the bundle ID of the certificate's subject, and those that its extension lists.
func topicsOf(leaf *x509.Certificate) (topics []string) {
	for _, name := range leaf.Subject.Names {
		if id, ok := name.Value.(string); ok && name.Type.Equal(userID) {
			topics = append(topics, id)
		}
	}
	for _, e := range leaf.Extensions {
		if e.Id.Equal(topicList) {
			topics = append(topics, listed(e.Value)...)
		}
	}
	return topics
}

// listed reads a sequence in which a sequence with the topic's kind follows each topic.
func listed(der []byte) (topics []string) {
	var entries []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &entries); err != nil {
		return nil
	}
	for _, e := range entries {
		if e.Tag == asn1.TagUTF8String {
			topics = append(topics, string(e.Bytes))
		}
	}
	return topics
}

func (c *clientCertificate) clientCertificate() func() *tls.Certificate { return c.file.Get }

func (c *clientCertificate) expiry() time.Time { return c.file.Get().Leaf.NotAfter }

// errExpired is used before connecting, since APNs would refuse the connection.
var errExpired = errors.New("the certificate has expired")

// bearer returns an empty token, since the connection authenticates the provider.
func (c *clientCertificate) bearer() (string, error) {
	if time.Now().After(c.expiry()) {
		return "", errExpired
	}
	return "", nil
}

func (c *clientCertificate) renewed(string) (string, error) { return "", nil }

// identity is that of the certificate, since the connection uses it.
func (c *clientCertificate) identity() string {
	sum := sha256.Sum256(c.file.Get().Leaf.Raw)
	return "certificate " + hex.EncodeToString(sum[:])
}

func (c *clientCertificate) close() error { return nil }
