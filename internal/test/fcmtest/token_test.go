package fcmtest_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestFCMGivesATokenToGooglesOwnLibrary(t *testing.T) {
	t.Parallel()
	kinds := map[google.CredentialsType]func(*fcmtest.Service) string{
		google.ServiceAccount: func(f *fcmtest.Service) string { return f.ServiceAccount(t) },
		google.AuthorizedUser: func(f *fcmtest.Service) string { return f.AuthorizedUser(t) },
	}
	for kind, file := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := newSender(t, fcmtest.Options{})
			path := file(f.Service)
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file is %v, %v", info, err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.WithValue(t.Context(), oauth2.HTTPClient, f.client)
			credentials, err := google.CredentialsFromJSONWithType(ctx, text, kind, scope)
			if err != nil {
				t.Fatal(err)
			}
			token, err := credentials.TokenSource.Token()
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(token.Expiry); left < 59*time.Minute || left > time.Hour {
				t.Errorf("the token lives for %s", left)
			}
			f.bearer = "Bearer " + token.AccessToken
			f.want(t, http.StatusOK)
		})
	}
}

func TestFCMRefusesATokenRequestThatBreaksARule(t *testing.T) {
	t.Parallel()
	f := fcmtest.New(t, fcmtest.Options{Now: func() time.Time { return noon }})
	client := client(t, f.CAFile)
	s := newSigner(t, f.ServiceAccount(t))
	good := s.sign(t, jwt.SigningMethodRS256, s.key)
	unsigned := s.sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)
	user := fileOf(t, f.AuthorizedUser(t))
	refresh := func(name, value string) url.Values {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {user["refresh_token"]},
			"client_id": {user["client_id"]}, "client_secret": {user["client_secret"]},
		}
		form.Set(name, value)
		return form
	}
	assertion := func(assertion string) url.Values {
		return url.Values{"grant_type": {grant}, "assertion": {assertion}}
	}
	tests := []struct {
		name   string
		form   url.Values
		status int
		code   string
	}{
		{"no form", nil, 400, "unsupported_grant_type"},
		{"another grant", url.Values{"grant_type": {"client_credentials"}}, 400, "unsupported_grant_type"},
		{"two grants", url.Values{"grant_type": {grant, grant}, "assertion": {good}}, 400, "invalid_request"},
		{"no assertion", assertion(""), 400, "invalid_grant"},
		{"an assertion that is not a JWT", assertion("x.y"), 400, "invalid_grant"},
		{"a tampered assertion", assertion(good[:len(good)-8] + "AAAAAAAA"), 400, "invalid_grant"},
		{"an assertion that nobody signed", assertion(unsigned), 400, "invalid_grant"},
		{"another algorithm", assertion(s.sign(t, jwt.SigningMethodRS512, s.key)), 400, "invalid_grant"},
		{"the key's ID as a secret", assertion(s.sign(t, jwt.SigningMethodHS256, []byte(s.file["private_key_id"]))), 400, "invalid_grant"},
		{"another client", refresh("client_id", "other"), 401, "invalid_client"},
		{"another secret", refresh("client_secret", "other"), 401, "invalid_client"},
		{"another refresh token", refresh("refresh_token", "other"), 400, "invalid_grant"},
		{"a client without an ID", refresh("client_id", ""), 401, "invalid_client"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, body := post(t, client, f.URL+"/token", test.form)
			if _, ok := body["access_token"]; ok || status != test.status || body["error"] != test.code || body["error_description"] == "" {
				t.Errorf("the answer is %d, %v", status, body)
			}
		})
	}
	t.Run("GET", func(t *testing.T) {
		t.Parallel()
		answer, err := client.Get(f.URL + "/token?" + assertion(good).Encode())
		if err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("the answer is %v, %v", answer, err)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		t.Parallel()
		answer, err := client.Post(f.URL+"/token", "application/json", strings.NewReader(`{}`))
		if err != nil || answer.StatusCode != http.StatusBadRequest {
			t.Errorf("the answer is %v, %v", answer, err)
		}
	})
}

func TestFCMTakesTheScopeOfAllOfGoogleCloud(t *testing.T) {
	t.Parallel()
	f := fcmtest.New(t, fcmtest.Options{Now: func() time.Time { return noon }})
	s := newSigner(t, f.ServiceAccount(t))
	s.claims["scope"] = "openid https://www.googleapis.com/auth/cloud-platform"
	form := url.Values{"grant_type": {grant}, "assertion": {s.sign(t, jwt.SigningMethodRS256, s.key)}}
	if status, body := post(t, client(t, f.CAFile), f.URL+"/token", form); status != http.StatusOK || body["expires_in"] != 3600. {
		t.Errorf("the answer is %d, %v", status, body)
	}
}

func TestFCMForgetsCredentials(t *testing.T) {
	t.Parallel()
	f := fcmtest.New(t, fcmtest.Options{Now: func() time.Time { return noon }})
	client := client(t, f.CAFile)
	first, second, user := f.ServiceAccount(t), f.ServiceAccount(t), f.AuthorizedUser(t)
	description := func(path string) any {
		s := newSigner(t, path)
		_, body := post(t, client, f.URL+"/token", url.Values{
			"grant_type": {grant}, "assertion": {s.sign(t, jwt.SigningMethodRS256, s.key)},
		})
		return body["error_description"]
	}
	f.Forget(first)
	if got := description(first); got != "Invalid JWT Signature." {
		t.Errorf("a revoked key: %v", got)
	}
	if got := description(second); got != nil {
		t.Errorf("another key of the account: %v", got)
	}
	f.Forget(fileOf(t, second)["client_email"])
	if got := description(second); got != "Invalid grant: account not found" {
		t.Errorf("a deleted account: %v", got)
	}
	if got := description(f.ServiceAccount(t)); got != nil {
		t.Errorf("the account made again: %v", got)
	}
	f.Forget(user)
	file := fileOf(t, user)
	status, body := post(t, client, f.URL+"/token", url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {file["refresh_token"]},
		"client_id": {file["client_id"]}, "client_secret": {file["client_secret"]},
	})
	if status != http.StatusBadRequest || body["error_description"] != "Token has been expired or revoked." {
		t.Errorf("a revoked user: %d, %v", status, body)
	}
}

func TestFCMAccessTokensEnd(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	f := newSender(t, fcmtest.Options{
		TokenLife: time.Minute, Now: func() time.Time { return noon.Add(time.Duration(now.Load())) },
	})
	user := f.AuthorizedUser(t)
	now.Store(int64(time.Minute - 1))
	f.want(t, http.StatusOK)
	now.Store(int64(time.Minute))
	f.want(t, http.StatusUnauthorized)

	f.refresh(t, user)
	f.Forget(user)
	f.want(t, http.StatusOK)
	f.Expire()
	f.want(t, http.StatusUnauthorized)
}

func TestFCMGivesProgrammedAnswersToTokenRequests(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{})
	f.AnswerToken(
		providertest.Answer{Times: 1},
		providertest.Answer{Status: 503, Body: "{}", Times: 1},
		providertest.Answer{Drop: true, Times: 1},
	)
	file := fileOf(t, f.AuthorizedUser(t))
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {file["refresh_token"]},
		"client_id": {file["client_id"]}, "client_secret": {file["client_secret"]},
	}
	for i, want := range []int{200, 503, 0, 200} {
		status := 0
		if answer, err := f.client.PostForm(f.URL+"/token", form); err == nil {
			status = answer.StatusCode
			_ = answer.Body.Close()
		}
		if status != want {
			t.Errorf("answer %d is %d, want %d", i, status, want)
		}
	}
	if n := f.TokenRequests(); n != 5 {
		t.Errorf("there were %d token requests", n)
	}
}

func TestFCMTakesTokenRequestsForAnotherServer(t *testing.T) {
	t.Parallel()
	f := fcmtest.New(t, fcmtest.Options{Now: func() time.Time { return noon }})
	other := providertest.NewTLSServer(t, f)
	s := newSigner(t, f.ServiceAccount(t))
	s.claims["aud"] = other.URL + "/token"
	form := url.Values{"grant_type": {grant}, "assertion": {s.sign(t, jwt.SigningMethodRS256, s.key)}}
	if status, body := post(t, client(t, other.CAFile), other.URL+"/token", form); status != http.StatusOK {
		t.Errorf("the answer is %d, %v", status, body)
	}
}
