package apns

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
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
	for i, secret := range b.secrets(t) {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows secret number %d: %v", i, err)
		}
	}
}

// secrets are what no error may show: the device token, parts of the credential's files, and provider tokens.
func (b *bench) secrets(t *testing.T) []string {
	t.Helper()
	secrets := []string{nobody[:20]}
	for _, path := range []string{b.KeyFile, b.CertificateFile} {
		if path == "" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, strings.Split(string(content), "\n")[1])
	}
	for _, r := range b.Requests() {
		if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
			secrets = append(secrets, strings.Split(token, ".")...)
		}
	}
	return secrets
}

// deliveredNothing fails the test if APNs accepted a push, or a request broke a rule.
func (b *bench) deliveredNothing(t *testing.T) {
	t.Helper()
	if n := len(b.Pushes()); n != 0 {
		t.Errorf("%d pushes were taken", n)
	}
	for _, v := range b.Violations() {
		t.Errorf("a rule is broken: %s", v)
	}
}

func TestACheckFindsNothingWhereTheCredentialAndTheTopicAreRight(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	files := certify(t, ca, []string{bundle}, []string{"production"}, time.Now().Add(time.Hour))
	tests := []struct {
		name            string
		change          func(*apnstest.Options, *Provider)
		topic, pushType string
	}{
		{"a key", func(*apnstest.Options, *Provider) {}, bundle, "background"},
		{"alerts alone", func(_ *apnstest.Options, p *Provider) { p.PushType = "alert" }, bundle, "background"},
		{
			"calls, whose topic takes no other push type",
			func(_ *apnstest.Options, p *Provider) { p.PushType, p.Topic = "voip", bundle+".voip" }, bundle + ".voip", "voip",
		},
		{"collapsing", func(_ *apnstest.Options, p *Provider) { p.CollapseID, p.ThreadID = "room", "room" }, bundle, "background"},
		{
			"a certificate", func(o *apnstest.Options, p *Provider) {
				o.Keys, o.Authority = nil, ca
				*p = Provider{CertificateFile: writeFile(t, "push.pem", append(files.certificate, files.key...))}
			}, bundle, "background",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, test.change)
			b.finds(t.Context(), t)
			b.deliveredNothing(t)
			requests := b.Requests()
			if len(requests) != 1 {
				t.Fatalf("there were %d requests", len(requests))
			}
			r := requests[0]
			if r.Token != nobody || r.Topic != test.topic || r.PushType != test.pushType || r.Priority != 5 || r.Expiration != 0 ||
				string(r.Payload) != `{"aps":{"content-available":1}}` || r.CollapseID != "" {
				t.Errorf("the request is %+v, %s", r, r.Payload)
			}
		})
	}
}

func TestACheckSaysWhatToDoAboutEachAnswer(t *testing.T) {
	t.Parallel()
	type words []string
	tests := []struct {
		name   string
		answer apnstest.Answer
		found  words
	}{
		{"BadDeviceToken", apnstest.Answer{Reason: "BadDeviceToken"}, nil},
		{"Unregistered", apnstest.Answer{Reason: "Unregistered"}, nil},
		{"ExpiredToken", apnstest.Answer{Reason: "ExpiredToken"}, nil},
		{"DeviceTokenNotForTopic", apnstest.Answer{Reason: "DeviceTokenNotForTopic"}, words{"device_token_not_for_topic", "set topic"}},
		{"200", apnstest.Answer{}, words{"not APNs", "endpoint"}},
		{"InvalidProviderToken", apnstest.Answer{Reason: "InvalidProviderToken"}, words{"invalid_provider_token", "key_id", "team_id"}},
		{"ExpiredProviderToken for ever", apnstest.Answer{Reason: "ExpiredProviderToken", Times: -1}, words{"expired_provider_token", "clock"}},
		{"MissingProviderToken", apnstest.Answer{Reason: "MissingProviderToken"}, words{"missing_provider_token", "proxy"}},
		{"UnrelatedKeyIdInToken", apnstest.Answer{Reason: "UnrelatedKeyIdInToken", Times: -1}, words{"unrelated_key_id_in_token", "endpoint"}},
		{"BadEnvironmentKeyIdInToken", apnstest.Answer{Reason: "BadEnvironmentKeyIdInToken"}, words{"change environment"}},
		{"BadCertificate", apnstest.Answer{Reason: "BadCertificate"}, words{"bad_certificate", "get a new one"}},
		{"BadCertificateEnvironment", apnstest.Answer{Reason: "BadCertificateEnvironment"}, words{"change environment"}},
		{"TopicDisallowed", apnstest.Answer{Reason: "TopicDisallowed"}, words{"topic_disallowed", "set topic"}},
		{"BadTopic", apnstest.Answer{Reason: "BadTopic"}, words{"bad_topic", "set topic"}},
		{"MissingTopic", apnstest.Answer{Reason: "MissingTopic"}, words{"missing_topic", "set topic"}},
		{"InvalidPushType", apnstest.Answer{Reason: "InvalidPushType"}, words{"invalid_push_type", "push_type"}},
		{"Forbidden", apnstest.Answer{Reason: "Forbidden"}, words{"forbidden", "membership"}},
		{"BadPath", apnstest.Answer{Reason: "BadPath"}, words{"bad_path", "endpoint"}},
		{"PayloadEmpty", apnstest.Answer{Reason: "PayloadEmpty"}, words{"payload_empty", "bug report"}},
		{"TooManyProviderTokenUpdates", apnstest.Answer{Reason: "TooManyProviderTokenUpdates"}, words{"20 minutes"}},
		{"TooManyRequests", apnstest.Answer{Reason: "TooManyRequests"}, words{"too_many_requests", "later"}},
		{"ServiceUnavailable", apnstest.Answer{Reason: "ServiceUnavailable"}, words{"service_unavailable", "later"}},
		{"400 for a new reason", apnstest.Answer{Status: 400, Reason: "SomethingNew"}, words{"http_400", "bug report"}},
		{"403 for a new reason", apnstest.Answer{Status: 403, Reason: "SomethingNew"}, words{"http_403", "not documented"}},
		{"410 for a new reason", apnstest.Answer{Status: 410, Reason: "SomethingNew"}, words{"http_410", "not documented"}},
		{"400 without a reason", apnstest.Answer{Status: 400, Body: "<html>BadDeviceToken</html>"}, words{"http_400", "not APNs"}},
		{"403 without a reason", apnstest.Answer{Status: 403, Body: "<html>"}, words{"http_403", "not APNs"}},
		{"a redirect", apnstest.Answer{Status: 307}, words{"http_307", "not APNs"}},
		{"a connection that is lost", apnstest.Answer{Drop: true}, words{"network", "proxy"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.Answer("", test.answer)
			b.finds(t.Context(), t, test.found...)
			if test.name != "200" {
				b.deliveredNothing(t)
			}
		})
	}
}

func TestACheckRenewsAProviderTokenThatHasExpired(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.Answer("", apnstest.Answer{Reason: "ExpiredProviderToken"})
	b.finds(t.Context(), t)
	if sent, tokens := len(b.Requests()), b.ProviderTokens(); sent != 2 || tokens != 2 {
		t.Errorf("there were %d requests with %d tokens", sent, tokens)
	}
}

// Here the fake decides, as APNs would.
func TestACheckFindsWhatIsWrongWithACredentialOrATopic(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	certificate := func(notAfter time.Time) func(*apnstest.Options, *Provider) {
		files := certify(t, ca, []string{bundle}, []string{"production"}, notAfter)
		return func(o *apnstest.Options, p *Provider) {
			o.Keys, o.Authority = nil, ca
			*p = Provider{CertificateFile: writeFile(t, "push.pem", append(files.certificate, files.key...))}
		}
	}
	tests := []struct {
		name   string
		change func(*apnstest.Options, *Provider)
		found  []string
	}{
		{"another team", func(_ *apnstest.Options, p *Provider) { p.TeamID = "TEAM000000" }, []string{"invalid_provider_token"}},
		{"another key's ID", func(_ *apnstest.Options, p *Provider) { p.KeyID = "KEY0000000" }, []string{"invalid_provider_token"}},
		{
			"a key for the sandbox", func(o *apnstest.Options, _ *Provider) { o.Keys[0].Environment = "sandbox" },
			[]string{"bad_environment_key_id_in_token", "environment"},
		},
		{
			"another team's topic", func(_ *apnstest.Options, p *Provider) { p.Topic = "org.example.other" },
			[]string{"topic_disallowed", "set topic"},
		},
		{
			"a clock that is slow", func(o *apnstest.Options, _ *Provider) {
				o.Now, o.AllowTokenUpdates = func() time.Time { return time.Now().Add(2 * time.Hour) }, true
			}, []string{"expired_provider_token", "clock"},
		},
		{
			"a certificate for production at the sandbox", func(o *apnstest.Options, p *Provider) {
				certificate(time.Now().Add(time.Hour))(o, p)
				o.Environment = "sandbox"
			}, []string{"bad_certificate_environment", "environment"},
		},
		{
			"a certificate of another authority", func(o *apnstest.Options, p *Provider) {
				certificate(time.Now().Add(time.Hour))(o, p)
				o.Authority = apnstest.NewAuthority(t)
			}, []string{"bad_certificate (BadCertificate): ", "get a new one"},
		},
		{"a certificate that has ended", certificate(time.Now().Add(-time.Hour)), []string{"credential: the certificate has expired: replace the file"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, test.change)
			b.finds(t.Context(), t, test.found...)
			if n := len(b.Pushes()); n != 0 {
				t.Errorf("%d pushes were taken", n)
			}
		})
	}
}

func TestACheckFindsThatAPNsCannotBeReached(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*Provider)
		found  []string
	}{
		{"nobody listens", func(p *Provider) { p.Endpoint = closed }, []string{"network", "endpoint", "firewall"}},
		{"an authority that is not trusted", func(p *Provider) { p.TrustedCA = "" }, []string{"tls", "trusted_ca"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			p := &Provider{Options: b.Options, Topic: bundle, KeyFile: b.KeyFile, KeyID: keyID, TeamID: teamID}
			test.change(p)
			(&bench{Service: b.Service, Provider: live(t, p)}).finds(t.Context(), t, test.found...)
		})
	}
}

func TestACheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.Answer("", apnstest.Answer{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Check(ctx) }()
	b.await(t, "the check is held", func() bool { return b.Held() == 1 })
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("it found %v", err)
	}
	b.finds(ctx, t, "timeout", "firewall")
	b.deliveredNothing(t)
}
