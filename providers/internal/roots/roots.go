// Package roots returns the certificates that the system trusts.
package roots

import "crypto/x509"

// System returns the system's certificates, or none if the system has none. The caller may modify the pool.
func System() *x509.CertPool {
	if pool, err := x509.SystemCertPool(); err == nil {
		return pool
	}
	return x509.NewCertPool()
}
