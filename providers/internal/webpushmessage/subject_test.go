package webpushmessage

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/vapid"
)

// newContext returns a context of a configuration with a separate storage. Provisioning one sets certmagic's default storage: no test here
// is parallel.
func newContext(t *testing.T) caddy.Context {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"module": "file_system", "root": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{StorageRaw: raw})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// keyFile writes a new key for each test.
func keyFile(t *testing.T) string {
	t.Helper()
	key, err := vapid.Generate()
	if err != nil {
		t.Fatal(err)
	}
	pem, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "vapid.pem")
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// live returns a sender that went live at sites with these names.
func live(t *testing.T, o Options, hosts ...string) *Sender {
	t.Helper()
	s := new(Sender)
	if err := s.Provision(newContext(t), &o); err != nil {
		t.Fatal(err)
	}
	if s.Ready() {
		t.Error("it is ready before it knows its sites")
	}
	s.Mounted(hosts)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// sub returns the subject in a sender's tokens.
func sub(t *testing.T, s *Sender) any {
	t.Helper()
	header, err := s.signer.Load().Authorization("https://push.example", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	token := header[len("vapid t=") : len(header)-len(", k=")-len(s.PublicKey())]
	if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
		t.Fatal(err)
	}
	return claims["sub"]
}

func TestTheSubjectIsWhatTheOperatorWroteOrElseTheFirstSite(t *testing.T) {
	for _, tt := range []struct {
		name, subject string
		hosts         []string
		want          any
	}{
		{"the option", "mailto:ops@matrix.org", []string{"push.matrix.org"}, "mailto:ops@matrix.org"},
		{"the option without a site", "mailto:ops@matrix.org", nil, "mailto:ops@matrix.org"},
		{"the first site", "", []string{"push.matrix.org", "other.matrix.org"}, "https://push.matrix.org"},
		{"nothing", "", nil, nil},
	} {
		for _, file := range []string{"", keyFile(t)} {
			s := live(t, Options{VapidSubject: tt.subject, VapidKeyFile: file}, tt.hosts...)
			if sub(t, s) != tt.want {
				t.Errorf("%s: it is %v", tt.name, sub(t, s))
			}
			if s.Mounted(nil) != (tt.want != nil) {
				t.Errorf("%s: whether there is a subject is wrong", tt.name)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAReloadThatKeepsKeyAndSubjectKeepsTheTokensAndNothingElseDoes(t *testing.T) {
	file := keyFile(t)
	first := live(t, Options{VapidKeyFile: file}, "push.matrix.org")
	same := live(t, Options{VapidKeyFile: file, VapidSubject: "https://push.matrix.org"})
	if first.signer.Load() != same.signer.Load() {
		t.Error("tokens are lost with a reload")
	}
	moved := live(t, Options{VapidKeyFile: file}, "new.matrix.org")
	if first.signer.Load() == moved.signer.Load() || sub(t, moved) != "https://new.matrix.org" {
		t.Error("tokens for another subject are shared")
	}
	pooled := first.PublicKey() + " https://push.matrix.org"
	if n, _ := signers.References(pooled); n != 2 {
		t.Errorf("there are %d references", n)
	}
	for _, s := range []*Sender{first, same, moved} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, exists := signers.References(pooled); exists {
		t.Errorf("%d references are left", n)
	}
}

func TestASenderThatNeverWentLiveHoldsNoTokens(t *testing.T) {
	file := keyFile(t)
	s := new(Sender)
	if err := s.Provision(newContext(t), &Options{VapidKeyFile: file}); err != nil {
		t.Fatal(err)
	}
	s.Mounted([]string{"push.matrix.org"})
	key := s.PublicKey()
	if key == "" {
		t.Error("the key of a file is not known from the beginning")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, exists := signers.References(key + " https://push.matrix.org"); exists {
		t.Error("a reference is left")
	}
}

func TestASubjectOutOfSomeDocumentationIsAWarning(t *testing.T) {
	for subject, want := range map[string]int{"mailto:ops@example.org": 1, "https://push.example": 1, "mailto:ops@matrix.org": 0} {
		core, logs := observer.New(zapcore.WarnLevel)
		s := &Sender{subject: subject}
		s.warnOfExample(zap.New(core))
		if logs.Len() != want {
			t.Errorf("%s: %d warnings", subject, logs.Len())
		}
	}
}
