package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// secrets are texts that a log must not have, each with a description.
type secrets map[string]string

// add adds a text and its beginning, because a log must not have half a secret, either.
func (s secrets) add(what, text string) {
	s[text] = what
	if len(text) > 24 {
		s[text[:16]] = what + " (its beginning)"
	}
}

// addKey adds the lines of a PEM file.
func (s secrets) addKey(what, text string) {
	for _, line := range strings.Split(text, "\n") {
		if line != "" && !strings.HasPrefix(line, "-----") {
			s[line] = what
		}
	}
}

// addPhone adds each form of a device token.
func (s secrets) addPhone(d device) {
	token, err := base64.StdEncoding.DecodeString(d.Pushkey)
	if err != nil {
		panic(err)
	}
	for _, text := range []string{
		d.Pushkey, base64.RawURLEncoding.EncodeToString(token), d.path(), strings.ToUpper(d.path()), fmt.Sprint(token),
	} {
		s.add("a device token", text)
	}
}

func (s secrets) addRobot(d device) {
	token := strings.TrimPrefix(d.Pushkey, "fcm:APA91b")
	s.add("a registration token", token)
	s.add("a registration token", url.QueryEscape(d.Pushkey))
	s.add("a registration token", base64.StdEncoding.EncodeToString([]byte(d.Pushkey)))
}

// addAuthorization adds the credentials of a request.
func (s secrets) addAuthorization(h http.Header) {
	if _, token, ok := strings.Cut(h.Get("Authorization"), " "); ok {
		s.add("an access or provider token", token)
		for _, part := range strings.Split(token, ".") {
			if len(part) > 8 {
				s.add("a part of a token", part)
			}
		}
	}
}

// addCredentials adds the secret values of Google's file.
func (s secrets) addCredentials(t *testing.T, path string) {
	t.Helper()
	var file map[string]string
	if err := json.Unmarshal(readFile(t, path), &file); err != nil {
		t.Fatal(err)
	}
	s.addKey("a service account's key", file["private_key"])
	for _, name := range []string{"client_secret", "refresh_token"} {
		if file[name] != "" {
			s.add(name, file[name])
		}
	}
}

func TestSecretsOfAppleAndGoogleStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	a := newApple(t, func(o *apnstest.Options) { o.Authority = ca })
	g, refused := newGoogle(t), newGoogle(t)
	user := g.AuthorizedUser(t)
	refused.AnswerToken(providertest.Answer{Status: 400, Body: `{"error":"invalid_grant","error_description":"` + secretMark + `"}`})
	cert, certKey := ca.Certificate(t, []string{bundleID}, []string{"production"}, time.Now().Add(-time.Hour))
	config := gatewayConfig(stateless+
		a.app("org.example.ios", "", "")+a.app("org.example.ios.full", "collapse_id room", "content full")+a.app("org.example.ios.unproven", "", "")+
		a.appWith("org.example.ios.expired", "certificate_file "+writeSecret(t, "both.pem", append(cert, certKey...)), "")+
		g.app("org.example.android", "", "")+g.app("org.example.android.full", "", "content full")+
		g.app("org.example.android.user", "credentials_file "+user+"\nproject_id demo-project", "")+
		refused.app("org.example.android.refused", "", ""), "matrix_push")
	gateway := newProcess(t)
	gateway.start(config)
	hs := gateway.homeserver()

	known := make(secrets)
	for what, text := range map[string]string{
		"the content": "the secret content", "the room": "!room:hs.test", "the room's name": "The room", "the sender": "@alice:hs.test",
		"the event": "$secret", "the client's secret": "client-secret", "what a provider said": secretMark,
	} {
		known[text] = what
	}
	notify := func(want func(*testing.T, reply), devices ...device) {
		t.Helper()
		for i := range devices {
			if devices[i].Data == nil {
				devices[i].Data = map[string]any{}
			}
			devices[i].Data["cs"] = "client-secret"
		}
		want(t, hs.notify(alert("$secret", devices...)))
	}
	ok := func(t *testing.T, r reply) { t.Helper(); wantBody(t, r, nothingRejected) }
	dead := func(d device) func(*testing.T, reply) {
		return func(t *testing.T, r reply) { t.Helper(); wantBody(t, r, rejecting(d.Pushkey)) }
	}

	phone := func(appID, name string, answers ...apnstest.Answer) device {
		d := iPhoneOf(appID, name)
		known.addPhone(d)
		for i := range answers {
			if answers[i].Body == "" && answers[i].Status != 0 {
				answers[i].Body = "<html>" + d.path() + " " + d.Pushkey + " " + secretMark + "</html>" // as a proxy may answer
			}
		}
		a.Answer(d.path(), answers...)
		return d
	}
	notify(wantMisconfigured, phone("org.example.ios.unproven", "doubted", apnstest.Answer{Reason: "BadDeviceToken"}))
	notify(ok, phone("org.example.ios", "delivered"))
	notify(ok, phone("org.example.ios.full", "delivered in full"))
	for _, reason := range []string{"Unregistered", "ExpiredToken", "BadDeviceToken", "DeviceTokenNotForTopic"} {
		d := phone("org.example.ios", reason, apnstest.Answer{Reason: reason})
		notify(dead(d), d)
		notify(dead(d), d)
	}
	for _, reason := range []string{"PayloadTooLarge", "BadCollapseId", "BadMessageId"} {
		notify(ok, phone("org.example.ios.full", reason, apnstest.Answer{Reason: reason}))
	}
	for _, answer := range []apnstest.Answer{
		{Reason: "TopicDisallowed"},
		{Reason: "InvalidProviderToken"},
		{Reason: "TooManyRequests"},
		{Reason: "ServiceUnavailable"},
		{Drop: true},
		{Status: 500},
		{Status: 502},
		{Status: 410},
		{Status: 200 + 102},
	} {
		notify(wantLater, phone("org.example.ios.full", fmt.Sprint(answer), answer))
	}
	own := phone("org.example.ios.full", "a separate reason")
	a.Answer(own.path(), apnstest.Answer{Status: 403, Body: `{"reason":"` + own.path() + secretMark + `"}`})
	notify(wantLater, own)
	notify(ok, phone("org.example.ios", "renewed", apnstest.Answer{Reason: "ExpiredProviderToken"}))
	notify(wantLater, phone("org.example.ios", "old", apnstest.Answer{Reason: "ExpiredProviderToken", Times: -1}))
	notify(wantMisconfigured, phone("org.example.ios.expired", "expired"))
	unusable := phone("org.example.ios", "no default_payload")
	unusable.Data = map[string]any{"default_payload": secretMark}
	notify(ok, unusable) // the default_payload is left out, with a warning in the log
	undecodable := phone("org.example.ios", "undecodable")
	undecodable.Pushkey += "!" + secretMark
	notify(dead(undecodable), undecodable)
	stranger := phone("org.example.unknown", "unknown")
	notify(dead(stranger), stranger)

	robot := func(appID, name string, answers ...providertest.Answer) device {
		d := androidOf(appID, name)
		known.addRobot(d)
		g.Answer(d.Pushkey, answers...)
		return d
	}
	notify(ok, robot("org.example.android", "delivered"))
	notify(ok, robot("org.example.android.full", "delivered in full"))
	notify(ok, robot("org.example.android.user", "delivered for a user"))
	for _, code := range []string{"UNREGISTERED", "INVALID_ARGUMENT"} {
		d := robot("org.example.android", code, fcmtest.ErrorFor(code))
		notify(dead(d), d)
		notify(dead(d), d)
	}
	for _, code := range []string{
		"SENDER_ID_MISMATCH", "QUOTA_EXCEEDED", "UNAVAILABLE", "INTERNAL", "THIRD_PARTY_AUTH_ERROR", "NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED",
	} {
		notify(wantLater, robot("org.example.android.full", code, fcmtest.ErrorFor(code)))
	}
	telling := robot("org.example.android.full", "telling")
	for _, answer := range []providertest.Answer{
		fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", telling.Pushkey+secretMark, "message.data["+telling.Pushkey+"]", "message.data.client-secret"),
	} {
		g.Answer(telling.Pushkey, answer)
		notify(ok, telling)
	}
	const sentence = secretMark + " what you sent" // FCM's own word is shown, whatever it is
	for i, answer := range []func(pushkey string) providertest.Answer{
		func(pushkey string) providertest.Answer {
			return fcmtest.Error(403, "PERMISSION_DENIED", sentence, pushkey+secretMark)
		},
		func(pushkey string) providertest.Answer {
			return fcmtest.Error(400, sentence, sentence, pushkey)
		},
		func(pushkey string) providertest.Answer { return fcmtest.Error(403, pushkey, pushkey, pushkey) },
		func(pushkey string) providertest.Answer {
			return fcmtest.Error(403, partOf(pushkey), partOf(pushkey), pushkey)
		},
		func(pushkey string) providertest.Answer {
			return providertest.Answer{Status: 502, Body: "<html>" + pushkey + secretMark + "</html>"}
		},
		func(pushkey string) providertest.Answer {
			return providertest.Answer{Status: 302, Header: http.Header{"Location": {g.URL + "/" + pushkey + secretMark}}}
		},
		func(string) providertest.Answer { return providertest.Answer{Drop: true} },
	} {
		d := robot("org.example.android.full", fmt.Sprint("telling", i))
		known[partOf(d.Pushkey)] = "a part of a pushkey"
		g.Answer(d.Pushkey, answer(d.Pushkey))
		notify(wantLater, d)
	}
	notify(wantMisconfigured, robot("org.example.android.refused", "refused"))
	notify(wantLater, phone("org.example.ios", "both", apnstest.Answer{Reason: "Shutdown"}), robot("org.example.android", "both"))
	gateway.terminate()

	known.addKey("APNs' key", string(readFile(t, a.keyFile)))
	known.addKey("the certificate's key", string(certKey))
	for _, path := range []string{g.account, refused.account, user} {
		known.addCredentials(t, path)
	}
	for _, r := range a.Requests() {
		known.addAuthorization(r.Header)
	}
	for _, r := range g.Requests() {
		known.addAuthorization(r.Header)
	}
	known["eyJ"] = "a JWT" // each begins like this
	log := gateway.log.String()
	for _, kind := range []string{"delivered", "rejected", "doubted", "misconfigured", "retry", "dropped"} {
		if !strings.Contains(log, `"msg":"push `+kind+`"`) {
			t.Errorf("no push %s is in the log, so the test proves nothing", kind)
		}
	}
	for text, what := range known {
		if at := strings.Index(log, text); at >= 0 {
			t.Errorf("the log shows %s, %q: …%s…", what, text, log[max(0, at-300):min(len(log), at+300)])
		}
	}
}

// partOf returns the longest part of a pushkey that may pass as a word.
func partOf(pushkey string) (part string) {
	for word := range strings.FieldsFuncSeq(pushkey, func(r rune) bool { return providers.Word(string(r)) == "" }) {
		if word = word[:min(len(word), 64)]; len(word) > len(part) {
			part = word
		}
	}
	return part
}
