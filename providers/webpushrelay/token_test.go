package webpushrelay

import (
	"net/url"
	"testing"
	"time"
)

func TestX27_ATokenIsForOneOriginAndATime(t *testing.T) {
	t.Parallel()
	const expires = 1795929735
	made := time.Unix(expires-3600, 0)
	const recorded = `{"aud":"https://push.example.com","exp":1795929735}`
	for _, test := range []struct {
		claims, endpoint string
		after            time.Duration
		want             string
	}{
		{recorded, "https://push.example.com/a/b", 0, ""},
		{recorded, "https://PUSH.example.com:443/", time.Hour - time.Second, ""},
		{recorded, "https://push.example.com/", time.Hour, jwtExpired},
		{recorded, "https://up.example.com/", 0, jwtAudience},
		{recorded, "https://push.example.com:8443/", 0, jwtAudience},
		{recorded, "https://push.example.com.evil.test/", 0, jwtAudience},
		{`{"aud":"https://[2001:db8::1]","exp":1795929735}`, "https://[2001:DB8::1]:443/x", 0, ""},
		{`{"aud":["https://a.test","https://b.test"],"exp":1795929735}`, "https://b.test/x", 0, ""},
		{`{"aud":"https://a.test","AUD":"https://b.test","exp":1795929735}`, "https://b.test/x", 0, jwtAudience},
		{`{"aud":"::","exp":1795929735}`, "https://b.test/x", 0, jwtAudience},
		{`{"aud":"https://a.test","exp":1795926134.5}`, "https://a.test/x", 0, jwtExpired},
	} {
		to, err := url.Parse(test.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		m := message{JWT: unsigned(test.claims), Key: anyKey}
		if _, o := m.token(to, made.Add(test.after)); o.Reason != test.want {
			t.Errorf("%s at %s: got %q, want %q", test.claims, test.endpoint, o.Reason, test.want)
		}
	}
}
