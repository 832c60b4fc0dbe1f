package fcmtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// credential is one credentials file that was given out: a key of the service account, or a user.
type credential struct {
	path   string
	email  string // of the service account
	keyID  string
	key    *rsa.PublicKey // nil for a user
	client string
	secret string
	token  string // the refresh token

	deleted bool // the service account is gone
	revoked bool // the key or the user's consent is
}

// ServiceAccount makes a new key of the project's service account and returns the path of its JSON file, as the Google Cloud console
// gives it out but that its token_uri is this server's. It can be called any number of times: each key works until it is forgotten.
func (f *Service) ServiceAccount(t testing.TB) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := &credential{
		email: "firebase-adminsdk@" + f.options.ProjectID + ".iam.gserviceaccount.com",
		keyID: rand.Text(), key: &key.PublicKey,
	}
	f.give(t, c, map[string]string{
		"type":            "service_account",
		"project_id":      f.options.ProjectID,
		"private_key_id":  c.keyID,
		"private_key":     string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email":    c.email,
		"client_id":       "100000000000000000001",
		"auth_uri":        "https://accounts.google.com/o/oauth2/auth",
		"token_uri":       f.URL + tokenPath,
		"universe_domain": "googleapis.com",
	})
	return c.path
}

// AuthorizedUser makes a user who has consented and returns the path of its JSON file, as "gcloud auth application-default login"
// writes it but for a token_uri, which Google leaves out: golang.org/x/oauth2/google follows it (v0.37.0, credentialsFile), a client
// that does not has to be told the token endpoint. There is no project_id in it, either.
func (f *Service) AuthorizedUser(t testing.TB) string {
	t.Helper()
	c := &credential{
		client: rand.Text() + ".apps.googleusercontent.com", secret: "GOCSPX-" + rand.Text(), token: "1//" + rand.Text(),
	}
	f.give(t, c, map[string]string{
		"type":             "authorized_user",
		"client_id":        c.client,
		"client_secret":    c.secret,
		"refresh_token":    c.token,
		"quota_project_id": f.options.ProjectID,
		"token_uri":        f.URL + tokenPath,
		"universe_domain":  "googleapis.com",
	})
	return c.path
}

// give writes a credentials file and gets to know it.
func (f *Service) give(t testing.TB, c *credential, file map[string]string) {
	t.Helper()
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	c.path = filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(c.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.credentials = append(f.credentials, c)
}

// Forget revokes a credentials file, given by its path, or deletes the service account, given by its client_email, with all keys that
// it has so far: token requests with them are answered 400 invalid_grant. Access tokens that were issued live on, as Google's do; see
// [Service.Expire].
func (f *Service) Forget(who string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.credentials {
		if who != "" && c.email == who {
			c.deleted = true
		}
		if c.path == who {
			c.revoked = true
		}
	}
}
