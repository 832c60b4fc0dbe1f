package webpushmessage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/vapid"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
)

func TestAWrongOptionFailsTheLoadAndIsNamed(t *testing.T) {
	t.Parallel()
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte("a very secret garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		options webpushmessage.Options
		want    string
	}{
		{"a subject that is not a URL", webpushmessage.Options{VapidSubject: "ops@example.org"}, "vapid_subject: "},
		{"a subject whose placeholder is empty", webpushmessage.Options{VapidSubject: "{env.CADDY_MATRIX_PUSH_UNSET}"}, "vapid_subject: "},
		{"a key file that is not there", webpushmessage.Options{VapidKeyFile: "/nonexistent/key.pem"}, "vapid_key_file: "},
		{"a key file whose placeholder is empty", webpushmessage.Options{VapidKeyFile: "{env.CADDY_MATRIX_PUSH_UNSET}"}, "vapid_key_file: "},
		{"a key file that is not a key", webpushmessage.Options{VapidKeyFile: garbage}, "vapid_key_file: " + garbage},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var s webpushmessage.Sender
			err := s.Provision(messagetest.NewContext(t), &test.options)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the file: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("half provisioned, it cannot be closed: %v", err)
			}
		})
	}
}

func TestAKeyFileIsTheKeyAndTheStorageIsLeftAlone(t *testing.T) {
	t.Parallel()
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
	ctx := messagetest.NewContext(t)
	var s webpushmessage.Sender
	if err := s.Provision(ctx, &webpushmessage.Options{VapidKeyFile: file}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.PublicKey() != key.PublicKey() {
		t.Error("it is another key")
	}
	if keys, _ := ctx.Storage().List(t.Context(), "matrix_push", true); len(keys) > 0 {
		t.Errorf("the storage has %q", keys)
	}
}

func TestTheKeyIsMadeWhenTheConfigurationGoesLiveAndKept(t *testing.T) {
	t.Parallel()
	ctx := messagetest.NewContext(t)
	var first, second webpushmessage.Sender
	for _, s := range []*webpushmessage.Sender{&first, &second} {
		if err := s.Provision(ctx, &webpushmessage.Options{}); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	if first.Ready() || first.PublicKey() != "" {
		t.Error("there is a key before the configuration is live")
	}
	if keys, _ := ctx.Storage().List(t.Context(), "matrix_push", true); len(keys) > 0 {
		t.Errorf("validating left %q in the storage", keys)
	}
	for _, s := range []*webpushmessage.Sender{&first, &second} {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !first.Ready() || first.PublicKey() == "" || first.PublicKey() != second.PublicKey() {
		t.Errorf("the keys are %q and %q", first.PublicKey(), second.PublicKey())
	}
}
