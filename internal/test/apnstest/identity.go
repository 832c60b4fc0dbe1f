package apnstest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
)

// identity is the client's identity by its certificate.
type identity struct {
	topics []string
	fault  fault
}

// readCertificate checks a client certificate.
func (a *Service) readCertificate(leaf *x509.Certificate) *identity {
	topics, err := topicsOf(leaf)
	now := a.options.Now()
	client := &identity{topics: topics}
	switch authority := a.options.Authority; {
	case authority == nil || leaf.CheckSignatureFrom(authority.certificate) != nil:
		client.fault = faultf("BadCertificate", "the client certificate is of an unknown authority")
	case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
		client.fault = faultf("BadCertificate", "the client certificate is not valid at this time")
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		client.fault = faultf("BadCertificate", "the certificate is not for clients")
	case err != nil:
		client.fault = faultf("BadCertificate", "the client certificate is not like Apple's: %s", err)
	case !hasExtension(leaf, environmentExtensions[a.options.Environment]):
		client.fault = faultf("BadCertificateEnvironment", "the client certificate is not for %s", a.options.Environment)
	}
	return client
}

func hasExtension(leaf *x509.Certificate, id asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
}

// topicsOf returns the topics that a certificate lists, or else the bundle id that it is for.
func topicsOf(leaf *x509.Certificate) (topics []string, err error) {
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(topicsExtension) {
			continue
		}
		var list []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &list); err != nil || len(rest) > 0 {
			return nil, errors.New("its list of topics cannot be read")
		}
		for _, element := range list {
			if element.Tag == asn1.TagUTF8String {
				topics = append(topics, string(element.Bytes))
			}
		}
		return topics, nil
	}
	for _, name := range leaf.Subject.Names {
		if uid, ok := name.Value.(string); ok && name.Type.Equal(uidAttribute) {
			return []string{uid}, nil
		}
	}
	return nil, errors.New("it has neither a list of topics nor a UID")
}
