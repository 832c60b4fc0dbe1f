package command

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAKeyForWebPushIsMadeOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vapid.pem")
	r := world{}.run(t, "vapid-keygen", file)
	r.want(t, 0, file)
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(written)
	if block == nil || len(rest) != 0 {
		t.Fatalf("the file has %q", written)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.(*ecdsa.PrivateKey).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if want := base64.RawURLEncoding.EncodeToString(public); len(want) != 87 || !strings.Contains(r.out, want) {
		t.Errorf("the public key is %s: %s", want, r.out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v: %v", info.Mode(), err)
	}

	world{}.run(t, "vapid-keygen", file).want(t, exitFailed, "already exists")
	if again, err := os.ReadFile(file); err != nil || string(again) != string(written) {
		t.Errorf("the key was overwritten: %v", err)
	}
	world{}.run(t, "vapid-keygen", filepath.Join(file, "none")).want(t, exitFailed, "none")

	other := filepath.Join(t.TempDir(), "other.pem")
	var answer struct {
		File      string `json:"file"`
		PublicKey string `json:"public_key"`
	}
	if err := json.Unmarshal([]byte(world{}.run(t, "vapid-keygen", other, "--json").out), &answer); err != nil || answer.File != other || len(answer.PublicKey) != 87 {
		t.Errorf("the JSON has %+v: %v", answer, err)
	}
}
