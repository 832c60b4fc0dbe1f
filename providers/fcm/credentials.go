package fcm

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// scope is the only scope that sending messages needs.
const scope = "https://www.googleapis.com/auth/firebase.messaging"

// credentials are used to request access tokens.
type credentials struct {
	name         string // distinguishes them
	project      string
	quotaProject string // whose quota is used; empty for that of the credentials' own project
	fetch        func(context.Context) (*oauth2.Token, error)
}

// parseCredentials reads the credentials file; without one, it looks for the application default credentials. Its errors do not show the
// content.
func parseCredentials(contents [][]byte, client *http.Client, network string) (*credentials, error) {
	if len(contents) == 0 {
		return defaultCredentials(client, network)
	}
	raw := contents[0]
	file, err := readCredentials(raw)
	if err != nil {
		return nil, err
	}
	return &credentials{
		name:         hash(network, raw),
		project:      file.ProjectID,
		quotaProject: file.QuotaProjectID,
		fetch: func(ctx context.Context) (*oauth2.Token, error) {
			return fetch(ctx, client, func(ctx context.Context) (*google.Credentials, error) {
				return google.CredentialsFromJSONWithType(ctx, raw, google.CredentialsType(file.Type), scope)
			})
		},
	}, nil
}

// hash distinguishes credentials, and the network options they are used with.
func hash(network string, raw []byte) string {
	sum := sha256.Sum256(append([]byte(network+"\x00"), raw...))
	return hex.EncodeToString(sum[:])
}

// with makes x/oauth2 send through the client.
func with(ctx context.Context, client *http.Client) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, client)
}

// fetch requests a token with the credentials. If the network failed, it returns the network's error: x/oauth2 only passes on its text,
// which does not reveal its kind.
func fetch(
	ctx context.Context, client *http.Client, find func(context.Context) (*google.Credentials, error),
) (*oauth2.Token, error) {
	kept := &keeping{next: client.Transport}
	ctx = with(ctx, &http.Client{Transport: kept, CheckRedirect: client.CheckRedirect})
	found, err := find(ctx)
	var token *oauth2.Token
	if err == nil {
		token, err = found.TokenSource.Token()
	}
	if err != nil && kept.err != nil {
		return nil, kept.err
	}
	return token, err
}

// keeping keeps the error of the last request.
type keeping struct {
	next http.RoundTripper
	err  error
}

// RoundTrip sends the request.
func (k *keeping) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	resp, err = k.next.RoundTrip(req)
	k.err = err
	return resp, err
}

// credentialsFile has the members of a credentials file, https://google.aip.dev/auth/4110.
type credentialsFile struct {
	Type           string `json:"type"`
	ProjectID      string `json:"project_id"`
	QuotaProjectID string `json:"quota_project_id"`
	ClientEmail    string `json:"client_email"`
	PrivateKey     string `json:"private_key"`
	TokenURI       string `json:"token_uri"`
	ClientID       string `json:"client_id"`
	ClientSecret   string `json:"client_secret"`
	RefreshToken   string `json:"refresh_token"`
}

// readCredentials finds what is wrong with a file before it is used for a request.
func readCredentials(raw []byte) (*credentialsFile, error) {
	file := new(credentialsFile)
	if json.Unmarshal(raw, file) != nil {
		return nil, errors.New("the file is not JSON as Google's console writes it: use a service account's key")
	}
	return file, file.check(raw)
}

func (f *credentialsFile) check(raw []byte) error {
	var required map[string]string
	switch f.Type {
	case "service_account":
		required = map[string]string{"client_email": f.ClientEmail, "private_key": f.PrivateKey, "token_uri": f.TokenURI}
	case "authorized_user":
		required = map[string]string{"client_id": f.ClientID, "client_secret": f.ClientSecret, "refresh_token": f.RefreshToken}
	case "external_account", "external_account_authorized_user", "impersonated_service_account":
		_, err := google.CredentialsFromJSONWithType(context.Background(), raw, google.CredentialsType(f.Type), scope)
		return err
	case "":
		return errors.New("type is missing: use a service account's key, not google-services.json")
	default:
		return fmt.Errorf("type: %q is not one of Google's", f.Type)
	}
	for _, name := range slices.Sorted(maps.Keys(required)) {
		if required[name] == "" {
			return fmt.Errorf("%s is missing", name)
		}
	}
	if f.Type != "service_account" {
		return nil
	}
	if u, err := url.Parse(f.TokenURI); err != nil || u.Scheme != "https" || u.Host == "" {
		return errors.New("token_uri: not an https URL")
	}
	return checkPrivateKey([]byte(f.PrivateKey))
}

// checkPrivateKey reads the key as x/oauth2 does.
func checkPrivateKey(raw []byte) error {
	block, _ := pem.Decode(raw)
	if block == nil {
		return errors.New("private_key: not PEM")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if _, ok := key.(*rsa.PrivateKey); ok {
			return nil
		}
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return nil
	}
	return errors.New("private_key: not a readable RSA key")
}

// findTimeout bounds the search for Google's metadata server, which is a request to a link-local address.
const findTimeout = 5 * time.Second

// defaultCredentials returns the environment's credentials, https://cloud.google.com/docs/authentication/application-default-credentials.
func defaultCredentials(client *http.Client, network string) (*credentials, error) {
	ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
	defer cancel()
	found, err := google.FindDefaultCredentials(with(ctx, client), scope)
	if err != nil {
		return nil, errors.New("missing, and there are no application default credentials: set it")
	}
	file := new(credentialsFile)
	if found.JSON != nil {
		if file, err = readCredentials(found.JSON); err != nil {
			return nil, fmt.Errorf("the application default credentials: %w", err)
		}
	}
	return &credentials{
		name:         "default " + hash(network, found.JSON),
		project:      found.ProjectID,
		quotaProject: file.QuotaProjectID,
		fetch: func(ctx context.Context) (*oauth2.Token, error) {
			return fetch(ctx, client, func(ctx context.Context) (*google.Credentials, error) {
				return google.FindDefaultCredentials(ctx, scope)
			})
		},
	}, nil
}
