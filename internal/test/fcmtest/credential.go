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

// credential is one credentials file that the fake gave out: a key of the service account, or a user.
type credential struct {
	path   string
	email  string // of the service account
	keyID  string
	key    *rsa.PublicKey // nil for a user
	client string
	secret string
	token  string // the refresh token

	deleted bool // the service account was deleted
	revoked bool // the key or the user's consent was revoked
}

// ServiceAccount makes a new key of the project's service account, and returns the path of its JSON file. The file is like the Google Cloud
// console's, but its token_uri is this server's. It can be called any number of times: each key works until Forget.
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

// AuthorizedUser makes a user who has consented, and returns the path of its JSON file. The file is like that of "gcloud auth
// application-default login", but has a token_uri. golang.org/x/oauth2/google follows it (v0.37.0, credentialsFile). Another client needs
// the token endpoint in its settings. The file has no project_id, either.
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

// give writes a credentials file, and registers the credential.
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

// Forget revokes a credentials file, given by its path. Or it deletes the service account, given by its client_email, with all its keys so
// far. Token requests with them are then answered 400 invalid_grant. Access tokens that were issued stay valid, like Google's: see
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
