package redisclient

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestM01_AServerWithTLSChecksTheGatewayAndIsChecked(t *testing.T) {
	t.Parallel()
	s := redistest.StartTLS(t, push...)
	url := urlAt("rediss", s.Address)
	good := TLS{TrustedCA: s.CA, CertificateFile: s.Certificate, CertificateKeyFile: s.Key}
	both := filepath.Join(t.TempDir(), "both.pem")
	writeFile(t, both, append(readFile(t, s.Certificate), readFile(t, s.Key)...))
	for name, options := range map[string]TLS{
		"two files":     good,
		"one file":      {TrustedCA: s.CA, CertificateFile: both},
		"the same name": {TrustedCA: s.CA, CertificateFile: both, ServerName: "127.0.0.1"},
		"a placeholder": {TrustedCA: s.CA, CertificateFile: "{file." + inFile(t, both) + "}"},
	} {
		if log, err := probeAt(t, Address{URL: url, TLS: &options}); err != nil || log != "" {
			t.Errorf("%s: error %v, log %s", name, err, log)
		}
	}
	wantRefused(t, []refusal{
		{"no authority", Address{URL: url, TLS: &TLS{CertificateFile: both}}, "certificate signed by unknown authority: set trusted_ca in the option tls"},
		{"another authority", Address{URL: url, TLS: &TLS{TrustedCA: providertest.NewCA(t).File, CertificateFile: both}}, "certificate signed by unknown authority"},
		{"no client certificate", Address{URL: url, TLS: &TLS{TrustedCA: s.CA}}, ": set certificate_file in the option tls"},
		{"another name", Address{URL: url, TLS: &TLS{TrustedCA: s.CA, CertificateFile: both, ServerName: "redis.example.org"}}, ": set server_name in the option tls"},
	})
	if log, err := probeAt(t, Address{URL: urlAt("redis", s.Address)}); err != nil || !strings.Contains(log, "cannot be reached") {
		t.Errorf("without TLS: error %v, log %s", err, log)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func inFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text")
	writeFile(t, path, []byte(text))
	return path
}

func TestM01_ARenewedCertificateIsUsedWithoutAReload(t *testing.T) {
	t.Parallel()
	s, other := redistest.StartTLS(t, push...), redistest.StartTLS(t, push...)
	dir := t.TempDir()
	certificate := filepath.Join(dir, "certificate.pem")
	renew := func(from *redistest.Secure) {
		temporary := filepath.Join(dir, "new")
		writeFile(t, temporary, append(readFile(t, from.Certificate), readFile(t, from.Key)...))
		if err := os.Rename(temporary, certificate); err != nil {
			t.Fatal(err)
		}
	}
	renew(other) // which the server does not accept
	c := loadAt(t, Address{URL: urlAt("rediss", s.Address), TLS: &TLS{TrustedCA: s.CA, CertificateFile: certificate}})
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Fatal("the server accepts another authority's certificate")
	}
	renew(s)
	eventually(t, "the new certificate is used", func() bool { return c.Ping(t.Context()).Err() == nil })
}

func TestTLSFilesThatAreWrongFailTheLoad(t *testing.T) {
	t.Parallel()
	none, nonsense := filepath.Join(t.TempDir(), "none"), inFile(t, secret)
	for _, tt := range []struct {
		at   Address
		want string
	}{
		{Address{URL: "redis://host", TLS: new(TLS)}, "tls: the URL is for a connection without TLS: write a URL that begins with rediss://"},
		{Address{URL: "rediss://host", TLS: &TLS{TrustedCA: none}}, "tls: open " + none},
		{Address{URL: "rediss://host", TLS: &TLS{TrustedCA: nonsense}}, "tls: trusted_ca: the file has no PEM certificate"},
		{Address{URL: "rediss://host", TLS: &TLS{CertificateFile: nonsense}}, "tls: certificate_file: "},
		{Address{URL: "rediss://host", TLS: &TLS{CertificateKeyFile: nonsense}}, "tls: certificate_file: is required with certificate_key_file"},
		{Address{URL: "rediss://host", TLS: &TLS{ServerName: "{env.MATRIX_PUSH_NEVER_SET}"}}, "tls: server_name: "},
	} {
		c, err := Load(tt.at)
		if err == nil {
			_ = c.Unload()
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("error %v, want %s", err, tt.want)
		}
	}
}
