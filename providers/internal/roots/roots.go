// Package roots has the certificates that the system trusts.
package roots

import "crypto/x509"

// System returns the system's certificates, or none where the system has none. The pool is the caller's.
func System() *x509.CertPool {
	if pool, err := x509.SystemCertPool(); err == nil {
		return pool
	}
	return x509.NewCertPool()
}
