package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The files of a run.
const (
	caFile          = "ca.pem"
	certificateFile = "certificate.pem"
	keyFile         = "key.pem"
	signingFile     = "signing.pem" // of provider tokens and of VAPID
	accountFile     = "service-account.json"
	configFile      = "Caddyfile"
	setupFile       = "setup.json"
)

// site is the gateway's name. The push services are at 127.0.0.1.
const site = "localhost"

// vendorNames are the names of the real push services, for another gateway that has no option for their addresses.
var vendorNames = []string{"api.push.apple.com", "fcm.googleapis.com"}

// writeKeys makes an authority, one certificate for all servers, and a key to sign with.
func writeKeys(dir string) error {
	authority, err := newKey()
	if err != nil {
		return err
	}
	issuer := certificate("loadtest authority")
	issuer.IsCA, issuer.KeyUsage = true, x509.KeyUsageCertSign
	root, err := x509.CreateCertificate(rand.Reader, issuer, issuer, authority.Public(), authority)
	if err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	server := certificate("loadtest")
	server.KeyUsage, server.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames, server.IPAddresses = append([]string{site}, vendorNames...), []net.IP{net.IPv4(127, 0, 0, 1)}
	leaf, err := x509.CreateCertificate(rand.Reader, server, issuer, key.Public(), authority)
	if err != nil {
		return err
	}
	signing, err := newKey()
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		caFile:          {Type: "CERTIFICATE", Bytes: root},
		certificateFile: {Type: "CERTIFICATE", Bytes: leaf},
		keyFile:         privateKey(key),
		signingFile:     privateKey(signing),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func privateKey(key any) *pem.Block {
	der, _ := x509.MarshalPKCS8PrivateKey(key) // cannot fail for a new key
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(10, 0, 0), // another gateway's keys are kept
		BasicConstraintsValid: true,
	}
}

// project is the Firebase project.
const project = "demo-project"

// writeAccount writes the file of a service account, which gets its tokens from the push service.
func writeAccount(dir, origin string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": project, "client_email": "push@demo-project.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(privateKey(key))), "token_uri": origin + tokenPath,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, accountFile), account, 0o600)
}

// trusted returns a pool with the authority's certificate.
func trusted(dir string) (*x509.CertPool, error) {
	authority, err := os.ReadFile(filepath.Join(dir, caFile))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return pool, nil
}
