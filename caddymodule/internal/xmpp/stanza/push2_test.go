package stanza_test

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
)

// recordedJWT is a token that mod_push2 made, and its key.
func recordedJWT(t *testing.T) (token, key string) {
	t.Helper()
	text, err := os.ReadFile("testdata/push2-offline-sce-important.xml")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<jwt key='")
	key, rest, _ = strings.Cut(rest, "'>")
	token, _, _ = strings.Cut(rest, "</jwt>")
	return token, key
}

func push2Of(t *testing.T, content string) *stanza.Push2 {
	t.Helper()
	return parse(t, []byte(`<message from='example.test' to='push.example.test'><notification xmlns='urn:xmpp:push2:0'>`+content+
		`</notification></message>`)).(*stanza.Push2)
}

func withPayload(payload string) string {
	return `<encrypted xmlns='urn:xmpp:sce:rfc8291:0'><payload>` + payload + `</payload></encrypted>`
}

func withJWT(token, key string) string { return `<jwt key='` + key + `'>` + token + `</jwt>` }

func claims(token, claims string) string {
	parts := strings.Split(token, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(claims))
	return strings.Join(parts, ".")
}

func TestX26_AKeyIsSentAsRFC8292WantsIt(t *testing.T) {
	t.Parallel()
	token, key := recordedJWT(t)
	point, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(point) != 65 {
		t.Fatal(key, err)
	}
	want := base64.RawURLEncoding.EncodeToString(point)
	for _, key := range []string{key, strings.TrimRight(key, "="), want, base64.URLEncoding.EncodeToString(point)} {
		p := push2Of(t, withJWT(token, key))
		if p.Fault != "" || p.JWT.Key != want || strings.ContainsAny(p.JWT.Key, "+/=") || p.JWT.Token != token {
			t.Errorf("%s: got %+v", key, p)
		}
	}
	compressed := base64.StdEncoding.EncodeToString(append([]byte{2}, point[1:33]...))
	other := base64.StdEncoding.EncodeToString(append([]byte{2}, point[1:]...))
	for _, key := range []string{"", "x", compressed, other, key + "AAAA", "\n"} {
		if p := push2Of(t, withJWT(token, key)); p.Fault != stanza.FaultJWTKey || p.JWT != nil {
			t.Errorf("%s: got %+v", key, p)
		}
	}
}

// A token becomes a part of a header, so nothing may get into one that ends it.
func TestX27_WhatIsNoTokenIsNotSent(t *testing.T) {
	t.Parallel()
	token, key := recordedJWT(t)
	parts := strings.Split(token, ".")
	for _, bad := range []string{
		"", "a.b", token + ".", "." + token, parts[0] + "&#13;&#10;X: y." + parts[1] + "." + parts[2],
		parts[0][:8] + "&#10;" + parts[0][8:] + "." + parts[1] + "." + parts[2], token + ", k=x", token + "=",
		claims(token, ``), claims(token, `[]`), claims(token, `{"exp":1795929735}`), claims(token, `{"aud":"https://a.test"}`),
		claims(token, `{"aud":"https://a.test","exp":"1795929735"}`), claims(token, `{"aud":"https://a.test","exp":1e300}`),
		claims(token, `{"aud":"https://a.test","exp":-1}`), claims(token, `{"aud":[],"exp":1795929735}`),
		claims(token, `{"aud":{},"exp":1795929735}`), claims(token, `{"aud":"https://a.test","exp":1,"exp":2}`),
		token + strings.Repeat("AAAA", 1024),
	} {
		p := push2Of(t, withJWT(bad, key))
		if p.Fault != stanza.FaultJWT || p.JWT != nil {
			t.Errorf("%q: got %+v", bad, p)
		}
	}
}

func TestX26_APayloadIsTheDecodedBytes(t *testing.T) {
	t.Parallel()
	full := base64.StdEncoding.EncodeToString(make([]byte, 4096))
	for _, test := range []struct {
		content string
		size    int
		fault   stanza.Fault
	}{
		{withPayload("AAEC"), 3, ""},
		{withPayload("\n AAE\nC \n"), 3, ""},
		{withPayload(full), 4096, ""},
		{withPayload(base64.StdEncoding.EncodeToString(make([]byte, 4097))), 0, stanza.FaultPayloadSize},
		{withPayload(full + full), 0, stanza.FaultPayloadSize},
		{withPayload(""), 0, stanza.FaultPayload},
		{withPayload("AA"), 0, stanza.FaultPayload},
		{withPayload("A_-C"), 0, stanza.FaultPayload},
		{`<encrypted xmlns='urn:xmpp:sce:rfc8291:0'/>`, 0, stanza.FaultPayload},
		{`<encrypted xmlns='urn:x'><payload>AAEC</payload></encrypted>`, 0, ""},
		{``, 0, ""},
	} {
		p := push2Of(t, `<client> https://up.example/x </client>`+test.content)
		if len(p.Payload) != test.size || p.Fault != test.fault || p.Client != "https://up.example/x" {
			t.Errorf("%.80s: got %d bytes, %q, %q", test.content, len(p.Payload), p.Fault, p.Client)
		}
	}
}

func TestPush2Priorities(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]bool{
		"": true, "<priority>low</priority>": false, "<priority>normal</priority>": true, "<priority> high </priority>": true,
		"<priority>low</priority><voip/>": true, "<priority>low</priority><voip xmlns='urn:x'/>": false,
	} {
		if got := push2Of(t, content).Important(); got != want {
			t.Errorf("%s: got %v", content, got)
		}
	}
}
