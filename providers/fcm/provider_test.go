package fcm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/pooled"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// rsaKey is the key of service accounts that no server knows.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// privateKey returns a private key as PEM.
func privateKey(t testing.TB, key any, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// serviceAccount returns the members of a service account's file. Each differs from the others, since equal ones would share a token.
func serviceAccount(t testing.TB, tokenURI string) map[string]string {
	t.Helper()
	key, err := rsaKey()
	return map[string]string{
		"type": "service_account", "project_id": "demo-project", "private_key_id": "very-secret-" + rand.Text(),
		"private_key": privateKey(t, key, err), "client_email": "a@demo-project.iam.gserviceaccount.com", "token_uri": tokenURI,
	}
}

// authorizedUser returns the members of a user's file.
func authorizedUser() map[string]string {
	return map[string]string{
		"type": "authorized_user", "client_id": "id", "client_secret": "very-secret", "refresh_token": "very-secret", "project_id": "p",
	}
}

func writeJSON(t testing.TB, members map[string]string) string {
	t.Helper()
	return writeFile(t, "credentials.json", clientjson.Marshal(members))
}

// offline returns a provider without servers.
func offline(t testing.TB) *Provider {
	t.Helper()
	return &Provider{
		Options:         network.Options{Endpoint: "https://127.0.0.1:1", Proxy: "none"},
		CredentialsFile: writeJSON(t, serviceAccount(t, "https://127.0.0.1:1/token")),
	}
}

// refuses fails the test unless the provider fails to load with an error that has all parts and shows no secret.
func refuses(t *testing.T, p *Provider, parts ...string) {
	t.Helper()
	err := p.Provision(messagetest.NewContext(t))
	if cleanup := p.Cleanup(); cleanup != nil {
		t.Errorf("Cleanup after that: %v", cleanup)
	}
	if err == nil {
		t.Fatal("it is accepted")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the reason %q does not say %q", err, part)
		}
	}
	for _, secret := range []string{"very-secret", "BEGIN", "MII"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the reason %q shows a secret", err)
		}
	}
}

// without removes a member.
func without(members map[string]string, name string) map[string]string {
	left := maps.Clone(members)
	delete(left, name)
	return left
}

// having changes the value of a member.
func having(members map[string]string, name, value string) map[string]string {
	changed := maps.Clone(members)
	changed[name] = value
	return changed
}

func ellipticKey(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return privateKey(t, key, err)
}

func TestWrongCredentialsFailTheLoadAndNobodyIsAsked(t *testing.T) {
	t.Parallel()
	google := fcmtest.New(t, fcmtest.Options{})
	t.Cleanup(func() {
		if google.Connections() != 0 {
			t.Error("Google was asked")
		}
	})
	account, user := serviceAccount(t, google.URL+"/token"), authorizedUser()
	key := account["private_key"]
	type row struct {
		name    string
		content []byte
		part    string
	}
	tests := []row{
		{"an empty file", nil, "not JSON"},
		{"a file that is not JSON", []byte("very-secret"), "not JSON"},
		{"a key without its file", []byte(key), "not JSON"},
		{"half a file", clientjson.Marshal(account)[:200], "not JSON"},
		{"a list", []byte(`["very-secret"]`), "not JSON"},
		{"a member of the wrong type", []byte(`{"type": "service_account", "private_key": ["very-secret"]}`), "not JSON"},
		{"the app's google-services.json", []byte(`{"project_info": {"project_id": "p"}, "client": [{"api_key": "very-secret"}]}`), "google-services.json"},
		{"no type", clientjson.Marshal(without(account, "type")), "type is missing"},
		{"a type that is not Google's", clientjson.Marshal(having(account, "type", "gdch_service_account")), `type: "gdch_service_account"`},
		{"a federation without an audience", clientjson.Marshal(having(account, "type", "external_account")), "Audience"},
		{"a federated user without a refresh token", clientjson.Marshal(having(account, "type", "external_account_authorized_user")), "credentials_file:"},
		{"an impersonation of nobody", clientjson.Marshal(having(account, "type", "impersonated_service_account")), "service_account_impersonation_url"},
		{"a private key that is not PEM", clientjson.Marshal(having(account, "private_key", "very-secret")), "private_key: not PEM"},
		{"a private key that is cut off", clientjson.Marshal(having(account, "private_key", key[:len(key)-60])), "private_key: not PEM"},
		{
			"a private key that is broken",
			clientjson.Marshal(having(account, "private_key", "-----BEGIN PRIVATE KEY-----\ndmVyeS1zZWNyZXQ=\n-----END PRIVATE KEY-----\n")),
			"private_key: not a readable RSA key",
		},
		{"a private key that is not RSA's", clientjson.Marshal(having(account, "private_key", ellipticKey(t))), "private_key: not a readable RSA key"},
		{"a token_uri without TLS", clientjson.Marshal(having(account, "token_uri", "http://oauth2.googleapis.com/token")), "token_uri: not an https URL"},
		{"a token_uri that is not one", clientjson.Marshal(having(account, "token_uri", "%")), "token_uri: not an https URL"},
		{"a service account without a project", clientjson.Marshal(without(account, "project_id")), "project_id: missing"},
		{"a user without a project", clientjson.Marshal(without(user, "project_id")), "project_id: missing"},
	}
	for _, name := range []string{"client_email", "private_key", "token_uri"} {
		tests = append(tests, row{"a service account without " + name, clientjson.Marshal(without(account, name)), name + " is missing"})
	}
	for _, name := range []string{"client_id", "client_secret", "refresh_token"} {
		tests = append(tests, row{"a user without " + name, clientjson.Marshal(without(user, name)), name + " is missing"})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			parts := []string{test.part}
			if !strings.HasPrefix(test.part, "project_id") {
				parts = append(parts, "credentials_file:")
			}
			refuses(t, providerOf(t, google, func(_ *fcmtest.Service, p *Provider) {
				p.CredentialsFile = writeFile(t, "credentials.json", test.content)
			}), parts...)
		})
	}
	for name, path := range map[string]string{"no file": "/no/such/credentials.json", "a folder": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses(t, providerOf(t, google, func(_ *fcmtest.Service, p *Provider) { p.CredentialsFile = path }), "credentials_file:", path)
		})
	}
}

func TestAWrongOptionFailsTheLoad(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Provider)
		parts  []string
	}{
		{"an endpoint without TLS", func(p *Provider) { p.Endpoint = "http://push.example" }, []string{"endpoint:"}},
		{"an authority that there is not", func(p *Provider) { p.TrustedCA = "/no/such/ca.pem" }, []string{"trusted_ca:"}},
		{"a project that is not a part of a URL", func(p *Provider) { p.ProjectID = "100%" }, []string{"project_id:", "100%"}},
		{"a project with a slash", func(p *Provider) { p.ProjectID = "a/b" }, []string{"project_id:", "a/b"}},
		{"a project that is a name", func(p *Provider) { p.ProjectID = "My project" }, []string{"project_id:", "My project"}},
		{"a file whose placeholder stands for nothing", func(p *Provider) { p.CredentialsFile = "{env.NOT_SET_IN_THIS_TEST}" }, []string{"credentials_file:", "NOT_SET"}},
		{"a project whose placeholder stands for nothing", func(p *Provider) { p.ProjectID = "{env.NOT_SET_IN_THIS_TEST}" }, []string{"project_id:", "NOT_SET"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := offline(t)
			test.change(p)
			refuses(t, p, test.parts...)
		})
	}
}

func TestAKeyInItsOlderFormIsTaken(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(f *fcmtest.Service, p *Provider) {
		account := accountOf(t, readFile(t, f.ServiceAccount(t)))
		block, _ := pem.Decode([]byte(account["private_key"]))
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		der := x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey))
		account["private_key"] = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der}))
		p.CredentialsFile = writeJSON(t, account)
	})
	b.want(t, alert(), providers.KindDelivered, "delivered")
}

func TestTheCredentialsOfAUserDeliver(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(f *fcmtest.Service, p *Provider) {
		p.CredentialsFile, p.ProjectID = f.AuthorizedUser(t), "demo-project"
	})
	b.want(t, alert(), providers.KindDelivered, "delivered")
	if got := b.sent(t).Header.Get("X-Goog-User-Project"); got != "demo-project" {
		t.Errorf("the quota is that of %q", got)
	}
}

func TestTheCredentialsOfAFederationAreTakenForAToken(t *testing.T) {
	t.Parallel()
	var subject atomic.Value
	exchange := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject.Store(r.FormValue("subject_token"))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token": "ya29.federated", "expires_in": 3600, "token_type": "Bearer",
			"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}`))
	})
	b := newBench(t, func(_ *fcmtest.Service, p *Provider) {
		sts := providertest.NewTLSServer(t, exchange)
		p.TrustedCA = writeFile(t, "ca.pem", append(readFile(t, p.TrustedCA), readFile(t, sts.CAFile)...))
		p.ProjectID = "demo-project"
		p.CredentialsFile = writeFile(t, "federation.json", clientjson.Marshal(map[string]any{
			"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
			"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": sts.URL + "/v1/token",
			"credential_source": map[string]string{"file": writeFile(t, "subject", []byte("the-subject"))},
		}))
	})
	b.want(t, alert(), providers.KindMisconfigured, "unauthenticated") // this FCM does not know the token
	if got := b.bearers(); len(got) == 0 || got[0] != "Bearer ya29.federated" || subject.Load() != "the-subject" {
		t.Errorf("got %v for %v", got, subject.Load())
	}
}

func TestCredentialsAndProjectTakePlaceholders(t *testing.T) {
	service := fcmtest.New(t, fcmtest.Options{})
	account := service.ServiceAccount(t)
	t.Setenv("FCM_TEST_CREDENTIALS", account)
	project := writeFile(t, "project", []byte("demo-project\n"))
	for name, options := range map[string]Provider{
		"of the environment": {CredentialsFile: "{env.FCM_TEST_CREDENTIALS}"},
		"of a file":          {CredentialsFile: account, ProjectID: "{file." + project + "}"},
	} {
		t.Run(name, func(t *testing.T) {
			p := providerOf(t, service, func(_ *fcmtest.Service, p *Provider) {
				p.CredentialsFile, p.ProjectID = options.CredentialsFile, options.ProjectID
			})
			b := &bench{Service: service, Provider: live(t, p)}
			b.want(t, alert(), providers.KindDelivered, "delivered")
			if p.CredentialsFile != options.CredentialsFile || p.ProjectID != options.ProjectID {
				t.Errorf("the options have become %s and %s", p.CredentialsFile, p.ProjectID)
			}
		})
	}
}

func TestTheEnvironmentsCredentialsAreTheDefault(t *testing.T) {
	service := fcmtest.New(t, fcmtest.Options{})
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", service.ServiceAccount(t))
	b := &bench{Service: service, Provider: live(t, &Provider{
		Options: network.Options{Endpoint: service.URL, TrustedCA: service.CAFile, Proxy: "none"},
	})}
	b.want(t, alert(), providers.KindDelivered, "delivered")
	if got := b.sent(t).Header.Get("X-Goog-User-Project"); got != "" {
		t.Errorf("the quota is that of %q", got)
	}
}

func TestTheDefaultCredentialsOfGcloudAreFound(t *testing.T) {
	service := fcmtest.New(t, fcmtest.Options{})
	home := t.TempDir()
	place := filepath.Join(home, ".config", "gcloud")
	if err := os.MkdirAll(place, 0o700); err != nil {
		t.Fatal(err)
	}
	user := readFile(t, service.AuthorizedUser(t))
	if err := os.WriteFile(filepath.Join(place, "application_default_credentials.json"), user, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", home)
	b := &bench{Service: service, Provider: live(t, &Provider{
		Options:   network.Options{Endpoint: service.URL, TrustedCA: service.CAFile, Proxy: "none"},
		ProjectID: "demo-project",
	})}
	b.want(t, alert(), providers.KindDelivered, "delivered")
}

func TestWithoutAnyCredentialsTheLoadFails(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	user := authorizedUser()
	for _, test := range []struct {
		name, path string
		parts      []string
	}{
		{"a file that there is not", "/no/such/credentials.json", []string{"credentials_file:", "missing", "application default credentials"}},
		{"a file that is not JSON", writeFile(t, "f", []byte("very-secret")), []string{"credentials_file:", "application default credentials"}},
		{
			"credentials of another cloud", writeFile(t, "f", []byte(`{"type": "external_account", "audience": "very-secret"}`)),
			[]string{"credentials_file:", "application default credentials"},
		},
		{
			"credentials with a part missing", writeJSON(t, without(user, "refresh_token")),
			[]string{"credentials_file:", "application default credentials", "refresh_token is missing"},
		},
		{"credentials without a project", writeJSON(t, without(user, "project_id")), []string{"project_id: missing"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", test.path)
			refuses(t, &Provider{Options: network.Options{Endpoint: "https://127.0.0.1:1", Proxy: "none"}}, test.parts...)
		})
	}
}

// replace replaces a file's content as tools do.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestReplacedCredentialsAreUsedWithoutAReloadAndBrokenOnesAreNot(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.want(t, alert(), providers.KindDelivered, "delivered")
	next := b.ServiceAccount(t)

	replace(t, b.CredentialsFile, []byte("broken"))
	b.client.tokens.Reread()
	b.want(t, alert(), providers.KindDelivered, "delivered")
	if n := b.TokenRequests(); n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}

	replace(t, b.CredentialsFile, readFile(t, next))
	b.client.tokens.Reread()
	b.want(t, alert(), providers.KindDelivered, "delivered")
	got := b.bearers()
	if len(got) != 3 || got[1] != got[0] || got[2] == got[1] || b.TokenRequests() != 2 {
		t.Errorf("%d sends with %d tokens", len(got), b.TokenRequests())
	}
}

func TestCredentialsThatCannotTakeTheOldOnesPlaceAreAnErrorInTheLog(t *testing.T) {
	t.Parallel()
	settings, err := (&network.Options{Proxy: "none"}).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	path := writeJSON(t, serviceAccount(t, "https://127.0.0.1:1/token"))
	tokens, err := newTokens(path, settings, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	before := tokens.Current()
	replace(t, path, []byte(`{"type": "service_account", "private_key": "very-secret"}`))
	tokens.Reread()
	if tokens.Current() != before {
		t.Error("they took the old ones' place")
	}
	entries := logs.TakeAll()
	if len(entries) != 1 || entries[0].Level != zapcore.ErrorLevel {
		t.Fatalf("the log says %v", entries)
	}
	shown := string(clientjson.Marshal(entries[0].ContextMap()))
	if !strings.Contains(shown, path) || !strings.Contains(shown, "client_email is missing") || strings.Contains(shown, "very-secret") {
		t.Errorf("the log says %s", shown)
	}
	if err := tokens.Close(); err != nil {
		t.Error(err)
	}
}

func TestAppsWithTheSameCredentialsShareAToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*testing.T, *bench, *Provider)
		tokens int
	}{
		{"the same file", func(*testing.T, *bench, *Provider) {}, 1},
		{
			"a copy of the file",
			func(t *testing.T, b *bench, p *Provider) {
				p.CredentialsFile = writeFile(t, "copy.json", readFile(t, b.CredentialsFile))
			}, 1,
		},
		{"the same file, and the project by name", func(_ *testing.T, _ *bench, p *Provider) { p.ProjectID = "demo-project" }, 1},
		{"another key of the account", func(t *testing.T, b *bench, p *Provider) { p.CredentialsFile = b.ServiceAccount(t) }, 2},
		{
			"a user", func(t *testing.T, b *bench, p *Provider) {
				p.CredentialsFile, p.ProjectID = b.AuthorizedUser(t), "demo-project"
			}, 2,
		},
		{
			"the same file, and another authority", func(t *testing.T, b *bench, p *Provider) {
				p.TrustedCA = writeFile(t, "ca.pem", append(readFile(t, b.CAFile), readFile(t, providertest.NewCA(t).File)...))
			}, 2,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			next := b.beside(t, func(p *Provider) { test.change(t, b, p) })
			b.want(t, alert(), providers.KindDelivered, "delivered")
			next.want(t, alert(), providers.KindDelivered, "delivered")
			if n := b.TokenRequests(); n != test.tokens {
				t.Errorf("%d tokens were asked for, want %d", n, test.tokens)
			}
		})
	}
}

func TestConnectionsAndTokenOutliveAReload(t *testing.T) {
	t.Parallel()
	service := fcmtest.New(t, fcmtest.Options{})
	first := &bench{Service: service, Provider: providerOf(t, service, nil)}
	if err := first.Provision(messagetest.NewContext(t)); err != nil {
		t.Fatal(err)
	}
	first.want(t, alert(), providers.KindDelivered, "delivered")
	made := service.Connections()
	next := first.beside(t, nil)
	if err := first.Cleanup(); err != nil {
		t.Fatal(err)
	}
	next.want(t, alert(), providers.KindDelivered, "delivered")
	if service.Connections() != made || service.TokenRequests() != 1 {
		t.Errorf("%d connections were made after the first %d, and %d tokens asked for", service.Connections()-made, made, service.TokenRequests())
	}
}

// A push in progress must finish when its configuration ends, and one that starts afterwards must do no harm.
func TestAPushOutlivesItsConfiguration(t *testing.T) {
	t.Parallel()
	google := fcmtest.New(t, fcmtest.Options{})
	arrived, release := make(chan struct{}, 4), make(chan struct{})
	service := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		w.WriteHeader(http.StatusUnauthorized) // now the credentials are needed once more
	}))
	p := &Provider{
		Options: network.Options{
			Endpoint: service.URL, Proxy: "none",
			TrustedCA: writeFile(t, "ca.pem", append(readFile(t, service.CAFile), readFile(t, google.CAFile)...)),
		},
		CredentialsFile: google.ServiceAccount(t),
	}
	if err := p.Provision(messagetest.NewContext(t)); err != nil {
		t.Fatal(err)
	}
	done := make(chan providers.Outcome)
	go func() { done <- p.Push(t.Context(), alert()) }()
	<-arrived
	if err := p.Cleanup(); err != nil {
		t.Error(err)
	}
	close(release)
	for _, o := range []providers.Outcome{<-done, p.Push(t.Context(), alert())} {
		if o.Kind != providers.KindMisconfigured {
			t.Errorf("got %+v", o)
		}
	}
}

// references returns how many users the token of a provider's credentials has.
func references(t *testing.T, pool pooled.Pool[*source], p *Provider) int {
	t.Helper()
	settings, err := p.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCredentials([][]byte{readFile(t, p.CredentialsFile)}, nil, settings.Identity())
	if err != nil {
		t.Fatal(err)
	}
	n, _ := pool.References(c.name)
	return n
}

func TestCleanupLetsGoOfTheToken(t *testing.T) {
	t.Parallel()
	p := offline(t)
	for range 2 {
		if err := p.Provision(messagetest.NewContext(t)); err != nil {
			t.Fatal(err)
		}
		if n := references(t, sources, p); n != 1 {
			t.Errorf("%d hold on to it before", n)
		}
		if err := p.Cleanup(); err != nil {
			t.Fatal(err)
		}
		if n := references(t, sources, p); n != 0 {
			t.Errorf("%d hold on to it after", n)
		}
	}
}

func TestALoadThatFailedHoldsOnToNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Provider){
		"for an option": func(p *Provider) { p.Android = []byte(`{"notification": {"color": "red"}}`) },
		"for a project": func(p *Provider) {
			p.CredentialsFile = writeJSON(t, without(serviceAccount(t, "https://127.0.0.1:1/token"), "project_id"))
		},
		"for a placeholder": func(p *Provider) {
			p.CredentialsFile = writeJSON(t, having(serviceAccount(t, "https://127.0.0.1:1/token"), "private_key_id", "of a placeholder"))
			p.ProjectID = "{env.NOT_SET_IN_THIS_TEST}"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := offline(t)
			change(p)
			refuses(t, p)
			if n := references(t, sources, p); n != 0 {
				t.Errorf("%d hold on to the token", n)
			}
		})
	}
}

// The rest tests the machine's own credentials: Google's metadata server, which is a fake here.
func TestTheCredentialsOfTheMachineDeliver(t *testing.T) {
	service := fcmtest.New(t, fcmtest.Options{})
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
	var mu sync.Mutex
	var asked []string
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.Path)
		if r.Header.Get("Metadata-Flavor") != "Google" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Metadata-Flavor", "Google")
		switch r.URL.Path {
		case "/computeMetadata/v1/project/project-id":
			_, _ = w.Write([]byte("demo-project"))
		case "/computeMetadata/v1/instance/service-accounts/default/token":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token": "ya29.of-the-machine", "expires_in": 3600, "token_type": "Bearer"}`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(metadata.Close)
	t.Setenv("GCE_METADATA_HOST", metadata.Listener.Addr().String())
	b := &bench{Service: service, Provider: live(t, &Provider{
		Options: network.Options{Endpoint: service.URL, TrustedCA: service.CAFile, Proxy: "none"},
	})}
	b.want(t, alert(), providers.KindMisconfigured, "unauthenticated") // this FCM does not know the token
	if got := b.bearers(); len(got) == 0 || got[0] != "Bearer ya29.of-the-machine" || b.Requests()[0].Path != "/v1/projects/demo-project/messages:send" {
		t.Errorf("got %v", b.Requests())
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(asked, "/computeMetadata/v1/instance/service-accounts/default/token") {
		t.Errorf("it was asked for %v", asked)
	}
}
