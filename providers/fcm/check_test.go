package fcm

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// finds fails the test unless a check's error contains the words, or there is no error if there are none. The error must not show a secret.
func (b *bench) finds(ctx context.Context, t *testing.T, words ...string) {
	t.Helper()
	err := b.Check(ctx)
	if err == nil {
		if len(words) > 0 {
			t.Errorf("nothing was found, want %q", words)
		}
		return
	}
	if len(words) == 0 {
		t.Errorf("it found %v", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("it found %q, want %q", err, word)
		}
	}
	account := accountOf(t, readFile(t, b.CredentialsFile))
	secrets := []string{nobody[:20], "very-secret", account["refresh_token"], account["client_secret"], account["client_email"]}
	if key := strings.Split(account["private_key"], "\n"); len(key) > 1 {
		secrets = append(secrets, key[1])
	}
	for _, bearer := range b.bearers() {
		secrets = append(secrets, strings.TrimPrefix(bearer, "Bearer "))
	}
	for i, secret := range secrets {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows secret number %d: %v", i, err)
		}
	}
}

// deliveredNothing fails the test if FCM accepted a message, or was to deliver one.
func (b *bench) deliveredNothing(t *testing.T) {
	t.Helper()
	if n := len(b.Messages()); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
	for _, r := range b.Requests() {
		if !r.ValidateOnly {
			t.Error("a message was to be delivered")
		}
		for _, v := range r.Violations {
			t.Errorf("a rule is broken: %s", v)
		}
	}
}

func TestACheckFindsNothingWhereCredentialsAndProjectAreRight(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*fcmtest.Service, *Provider){
		"a service account": nil,
		"a user": func(f *fcmtest.Service, p *Provider) {
			p.CredentialsFile, p.ProjectID = f.AuthorizedUser(t), "demo-project"
		},
		"all options": func(_ *fcmtest.Service, p *Provider) {
			p.Notification = json.RawMessage(`{"title": "News"}`)
			p.Android = json.RawMessage(`{"notification": {"channel_id": "news"}}`)
			p.APNS = json.RawMessage(`{"payload": {"aps": {"alert": {"title": "News"}}}}`)
			p.Webpush = json.RawMessage(`{"headers": {"Urgency": "high"}}`)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, change)
			b.finds(t.Context(), t)
			b.deliveredNothing(t)
			got := b.sent(t)
			if got.Token != nobody || got.Path != "/v1/projects/demo-project/messages:send" {
				t.Errorf("it went to %s, for %s", got.Path, got.Token)
			}
			for option, there := range map[string]bool{"notification": b.Notification != nil, "apns": b.APNS != nil, "webpush": b.Webpush != nil} {
				if strings.Contains(string(got.Raw), `"`+option+`":{`) != (there || option == "notification" && b.Android != nil) {
					t.Errorf("the option %s does not show in %s", option, got.Raw)
				}
			}
		})
	}
}

func TestACheckSaysWhatToDoAboutEachAnswer(t *testing.T) {
	t.Parallel()
	named := func(fields ...string) providertest.Answer {
		return fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "very-secret", fields...)
	}
	plain := func(status int) providertest.Answer {
		return providertest.Answer{Status: status, Body: "<html>very-secret</html>"}
	}
	type words []string
	tests := []struct {
		name   string
		answer providertest.Answer
		found  words
	}{
		{"a token that is not one", fcmtest.ErrorFor("INVALID_ARGUMENT"), nil},
		{
			"a token that is not one, without details",
			fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"), nil,
		},
		{"UNREGISTERED", fcmtest.ErrorFor("UNREGISTERED"), nil},
		{"200", providertest.Answer{Status: 200, Body: `{"name": "projects/x/messages/fake_message_id"}`}, words{"not FCM", "endpoint"}},
		{"an option", named("message.android.ttl"), words{"invalid_option (INVALID_ARGUMENT)", "message.android.ttl", "reference"}},
		{"an option and the token", named("message.token", "message.android.ttl"), words{"invalid_option", "message.android.ttl"}},
		{"another part of the message", named("message.data"), words{"invalid_argument", "message.data"}},
		{"400 for who knows what", named(), words{"invalid_argument", "try without"}},
		{"no such project", fcmtest.ErrorFor("NOT_FOUND"), words{"not_found", "set project_id"}},
		{"PERMISSION_DENIED", fcmtest.ErrorFor("PERMISSION_DENIED"), words{"permission_denied (PERMISSION_DENIED)", "Firebase Cloud Messaging API Admin", "enable"}},
		{"SENDER_ID_MISMATCH", fcmtest.ErrorFor("SENDER_ID_MISMATCH"), words{"sender_id_mismatch", "google-services.json"}},
		{"UNAUTHENTICATED for ever", fcmtest.ErrorFor("UNAUTHENTICATED"), words{"unauthenticated", "new key"}},
		{"THIRD_PARTY_AUTH_ERROR", fcmtest.ErrorFor("THIRD_PARTY_AUTH_ERROR"), words{"third_party_auth_error", "APNs"}},
		{
			"a key for the other environment",
			fcmtest.AppleError(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "No.", 403, "BadEnvironmentKeyInToken"),
			words{"apns_bad_environment_key_id_in_token (BadEnvironmentKeyInToken)", "the other environment"},
		},
		{
			"a reason of Apple's that is new", fcmtest.AppleError(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "No.", 403, "SomethingNew"),
			words{"third_party_auth_error (SomethingNew)", "APNs"},
		},
		{"FAILED_PRECONDITION", fcmtest.Error(400, "FAILED_PRECONDITION", "", "No."), words{"failed_precondition", "console"}},
		{"QUOTA_EXCEEDED", fcmtest.ErrorFor("QUOTA_EXCEEDED"), words{"quota_exceeded", "later"}},
		{"UNAVAILABLE", fcmtest.ErrorFor("UNAVAILABLE"), words{"unavailable", "later"}},
		{"a 400 that is not Google's", plain(400), words{"http_400", "not Google", "endpoint"}},
		{"a 403 that is not Google's", plain(403), words{"http_403", "not Google"}},
		{"a 404 that is not Google's", plain(404), words{"http_404", "not Google"}},
		{"a 502 that is not Google's", plain(502), words{"http_502", "later"}},
		{"a redirect", providertest.Answer{Status: 307, Header: http.Header{"Location": {"/"}}}, words{"http_307", "not FCM"}},
		{"a connection that is lost", providertest.Answer{Drop: true}, words{"network", "firewall"}},
	}
	b := newBench(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b.Answer("", test.answer)
			b.finds(t.Context(), t, test.found...)
		})
	}
	b.deliveredNothing(t)
}

// Here the fake decides, as Google would.
func TestACheckFindsWhatIsWrongWithCredentialsOrProject(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options fcmtest.Options
		change  func(*fcmtest.Service, *Provider)
		found   []string
	}{
		{
			"a key that was deleted", fcmtest.Options{}, func(f *fcmtest.Service, p *Provider) {
				p.CredentialsFile = f.ServiceAccount(t)
				f.Forget(p.CredentialsFile)
			}, []string{"credentials_refused (invalid_grant)", "key was deleted"},
		},
		{
			"an account that was deleted", fcmtest.Options{}, func(f *fcmtest.Service, p *Provider) {
				p.CredentialsFile = f.ServiceAccount(t)
				f.Forget(accountOf(t, readFile(t, p.CredentialsFile))["client_email"])
			}, []string{"credentials_refused", "invalid_grant", "account was deleted"},
		},
		{
			"a login that was revoked", fcmtest.Options{}, func(f *fcmtest.Service, p *Provider) {
				p.CredentialsFile, p.ProjectID = f.AuthorizedUser(t), "demo-project"
				f.Forget(p.CredentialsFile)
			}, []string{"credentials_refused", "invalid_grant", "log in again"},
		},
		{
			"a clock that is slow",
			fcmtest.Options{Now: func() time.Time { return time.Now().Add(2 * time.Hour) }},
			nil,
			[]string{"credentials_refused", "invalid_grant", "clock is wrong"},
		},
		{
			"a token endpoint that refuses without a word", fcmtest.Options{}, func(f *fcmtest.Service, _ *Provider) {
				f.AnswerToken(providertest.Answer{Status: 403, Body: "<html>very-secret"})
			}, []string{"credentials_refused", "get a new key", "clock"},
		},
		{
			"a token endpoint that repeats what it was sent", fcmtest.Options{}, func(f *fcmtest.Service, _ *Provider) {
				f.AnswerToken(providertest.Answer{Status: 400, Body: `{"error": "very-secret", "error_description": "very-secret"}`})
			}, []string{"credentials_refused", "get a new key"},
		},
		{
			"a token endpoint that is out of order",
			fcmtest.Options{},
			func(f *fcmtest.Service, _ *Provider) { f.AnswerToken(providertest.Answer{Status: 503}) },
			[]string{"token_unavailable", "later"},
		},
		{
			"a token endpoint that is lost",
			fcmtest.Options{},
			func(f *fcmtest.Service, _ *Provider) { f.AnswerToken(providertest.Answer{Drop: true}) },
			[]string{"token_network", "token_uri"},
		},
		{
			"another project",
			fcmtest.Options{},
			func(_ *fcmtest.Service, p *Provider) { p.ProjectID = "another" },
			[]string{"permission_denied", "project_id"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			service := fcmtest.New(t, test.options)
			b := &bench{Service: service, Provider: live(t, providerOf(t, service, test.change))}
			b.finds(t.Context(), t, test.found...)
			if n := len(b.Messages()); n != 0 {
				t.Errorf("%d messages were taken", n)
			}
		})
	}
}

func TestACheckFindsThatFCMCannotBeReached(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, nil)
	b.beside(t, func(p *Provider) { p.Endpoint = closed }).finds(t.Context(), t, "network", "endpoint", "firewall")
	b.beside(t, func(p *Provider) {
		p.Options = network.Options{Endpoint: b.URL, Proxy: "none"}
	}).finds(t.Context(), t, "token_tls", "trusted_ca")
}

func TestACheckRenewsAnAccessTokenThatFCMDoesNotTake(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.finds(t.Context(), t)
	b.Expire()
	b.finds(t.Context(), t)
	if sent, tokens := len(b.Requests()), b.TokenRequests(); sent != 3 || tokens != 2 {
		t.Errorf("there were %d requests with %d tokens", sent, tokens)
	}
}

func TestACheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.Answer("", providertest.Answer{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Check(ctx) }()
	if _, err := b.WaitRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("it found %v", err)
	}
	b.finds(ctx, t, "timeout", "firewall")
	b.deliveredNothing(t)
}
