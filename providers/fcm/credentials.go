package fcm

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// scope is all that sending messages needs.
const scope = "https://www.googleapis.com/auth/firebase.messaging"

// credentials are what access tokens are asked for with.
type credentials struct {
	name    string // tells them apart
	project string
	fetch   func(context.Context) (*oauth2.Token, error)
}

// parseCredentials reads the credentials file; without one, it looks for the application default credentials. Its errors do not show
// what was read.
func parseCredentials(contents [][]byte, client *http.Client, network string) (*credentials, error) {
	if len(contents) == 0 {
		return defaultCredentials(client, network)
	}
	raw := contents[0]
	project, err := checkCredentials(raw)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(network+"\x00"), raw...))
	return &credentials{
		name:    hex.EncodeToString(sum[:]),
		project: project,
		fetch: func(ctx context.Context) (*oauth2.Token, error) {
			found, err := google.CredentialsFromJSONWithParams(with(ctx, client), raw, google.CredentialsParams{Scopes: []string{scope}})
			if err != nil {
				return nil, err
			}
			return found.TokenSource.Token()
		},
	}, nil
}

// with makes x/oauth2 send through the client.
func with(ctx context.Context, client *http.Client) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, client)
}

// checkCredentials finds what is wrong with a file before anything is asked with it, and the project that it names.
func checkCredentials(raw []byte) (project string, err error) {
	var file struct {
		Type         string `json:"type"`
		ProjectID    string `json:"project_id"`
		ClientEmail  string `json:"client_email"`
		PrivateKey   string `json:"private_key"`
		TokenURI     string `json:"token_uri"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		RefreshToken string `json:"refresh_token"`
	}
	if json.Unmarshal(raw, &file) != nil {
		return "", errors.New("it is not JSON as Google's console writes it")
	}
	var required map[string]string
	switch file.Type {
	case "service_account":
		required = map[string]string{"client_email": file.ClientEmail, "private_key": file.PrivateKey, "token_uri": file.TokenURI}
	case "authorized_user":
		required = map[string]string{
			"client_id": file.ClientID, "client_secret": file.ClientSecret, "refresh_token": file.RefreshToken,
		}
	case "":
		return "", errors.New("type is missing: a service account's key has one (google-services.json is not it)")
	default:
		return "", fmt.Errorf("type: %q is neither service_account nor authorized_user", file.Type)
	}
	for _, name := range slices.Sorted(maps.Keys(required)) {
		if required[name] == "" {
			return "", fmt.Errorf("%s is missing", name)
		}
	}
	if file.Type == "service_account" {
		err = checkPrivateKey([]byte(file.PrivateKey))
	}
	return file.ProjectID, err
}

// checkPrivateKey reads the key as x/oauth2 will.
func checkPrivateKey(raw []byte) error {
	block, _ := pem.Decode(raw)
	if block == nil {
		return errors.New("private_key: it is not PEM")
	}
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return nil
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return nil
	}
	return errors.New("private_key: it is not a readable RSA key")
}

// findTimeout bounds the look for Google's metadata server, which is a request to a link-local address.
const findTimeout = 5 * time.Second

// defaultCredentials are those of the environment, https://cloud.google.com/docs/authentication/application-default-credentials.
func defaultCredentials(client *http.Client, network string) (*credentials, error) {
	ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
	defer cancel()
	found, err := google.FindDefaultCredentials(with(ctx, client), scope)
	if err != nil {
		return nil, errors.New("it is missing, and there are no application default credentials")
	}
	if found.JSON != nil {
		if _, err := checkCredentials(found.JSON); err != nil {
			return nil, fmt.Errorf("the application default credentials: %w", err)
		}
	}
	sum := sha256.Sum256(append([]byte(network+"\x00"), found.JSON...))
	return &credentials{
		name:    "default " + hex.EncodeToString(sum[:]),
		project: found.ProjectID,
		fetch: func(ctx context.Context) (*oauth2.Token, error) {
			found, err := google.FindDefaultCredentials(with(ctx, client), scope)
			if err != nil {
				return nil, err
			}
			return found.TokenSource.Token()
		},
	}, nil
}
