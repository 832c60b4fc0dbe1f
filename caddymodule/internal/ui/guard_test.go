package ui

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

const (
	hashA = "ab12cd34ef56ab12cd34ef56ab12cd34"
	hashB = "ab99cd34ef56ab12cd34ef56ab12cd34"
)

// apps is the state of a gateway. Its apps and problems are those that the tests of the pages look for.
const apps = `{"status":"degraded","degraded":[{"app":"org.example.ios","reason":"misconfigured","detail":"topic_disallowed","word":"TopicDisallowed","explanation":"set topic to the exact bundle ID","since":"2026-03-14T11:00:00Z"},` +
	`{"app":"org.example.up","reason":"fuse_tripped","since":"2026-03-14T11:40:00Z"},{"app":"","reason":"fuse_tripped","since":"2026-03-14T11:30:00Z"}],"since":"2026-03-13T12:00:00Z","rejected":"file","outbox":"file","rejected_records":1000000,` +
	`"refused":[{"reason":"plaintext","site":"push.example.org on :8080","count":4,"last":"2026-03-14T11:58:00Z","error":"this gateway accepts requests over TLS only","hint":"configure the proxy to send X-Forwarded-Proto: https"}],"apps":[` +
	`{"app":"a.quiet","provider":"fcm","breaker":"closed","in_flight":0,"fuse":{"app":"a.quiet","dead":0,"pushkeys":9},"outbox":{"entries":0,"devices":0},"proven":true,"content":"full","last_delivered":"2026-03-14T11:59:18Z","troubles":[]},` +
	`{"app":"org.example.ios","provider":"apns","breaker":"closed","in_flight":3,"fuse":{"app":"org.example.ios","dead":1,"pushkeys":40},"outbox":{"entries":4,"devices":2,"oldest":"2026-03-14T11:20:00Z"},"credential_expiry":"2026-05-01T00:00:00Z","proven":false,"content":"event_id_only","troubles":[{"reason":"topic_disallowed","word":"TopicDisallowed","count":7,"first":"2026-03-14T11:00:00Z","since":"2026-03-14T11:00:00Z","last":"2026-03-14T11:58:00Z","explanation":"set topic to the exact bundle ID","alarm":true}]},` +
	`{"app":"org.example.up","provider":"unifiedpush","open_hosts":1,"paused_hosts":2,"in_flight":0,"fuse":{"app":"org.example.up","tripped":"2026-03-14T11:40:00Z","alarm":"2026-03-14T11:40:00Z","dead":30,"pushkeys":45,"hosts":[{"host":"ntfy.example.com:443","tripped":"2026-03-14T11:40:00Z","dead":30,"pushkeys":32}]},"outbox":{"entries":1,"devices":1,"oldest":"2026-03-14T11:59:00Z"},"proven":true,"content":"event_id_only","suspected":3,"wrong_keys":[{"host":"fcm.googleapis.com:443","devices":3,"since":"2026-03-14T11:50:00Z"}],"troubles":[]}],` +
	`"xmpp_components":[{"component":"push.example.org","up":false,"since":"2026-03-14T11:55:00Z","reason":"refused","hint":"check the secret","alarms":[{"reason":"app_missing","count":3,"last":"2026-03-14T11:59:30Z","domain":"example.com","hint":"add default to the component"}]}]}`

// usual are the answers of a gateway.
func usual() map[string]string {
	return map[string]string{
		"apps": apps,
		"history": `{"since":"2026-03-14T11:01:00Z","minutes":3,"apps":[{"app":"a.quiet","outcomes":{}},` +
			`{"app":"org.example.up","outcomes":{"retry":[0,2,1],"delivered":[1200,0,34]}}]}`,
		"keys":             `{"keys":[{"app":"org.example.up","provider":"unifiedpush","application_server_key":"BCVx-_9"}]}`,
		"rejected":         `{"records":[` + record + `],"next":"c2"}`,
		"rejected/explain": `{"pushkey_hash":"` + hashA + `","app":"org.example.up","record":` + record + `,"waiting":true}`,
		"rejected/forget":  `{"pushkey_hash":"` + hashA + `","forgotten":1}`,
		"outbox":           `{"apps":[{"app":"org.example.up","entries":4,"devices":2,"oldest":"2026-03-14T11:20:00Z","configured":true},{"app":"org.example.gone","entries":1,"devices":1,"configured":false}]}`,
		"outbox/retry":     `{"app":"org.example.up","configured":true}`,
		"outbox/drop":      `{"app":"org.example.up","dropped":3}`,
		"fuses/reset":      `{"was_tripped":true}`,
		"send":             `{"app":"org.example.up","provider":"unifiedpush","pushkey_hash":"` + hashA + `","outcome":"rejected","reason":"gone","explanation":"the endpoint is dead","result":"rejected","on_record":true,"duration":0.5}`,
		"preview": `{"app":"org.example.web","provider":"webpush","pushkey_hash":"` + hashA + `","content":"full","withheld":["counts"],"requests":[` +
			`{"method":"POST","url":"https://push.example.net/…","headers":{"ttl":"86399"},"body":"{\"event_id\":\"$e\"}","encrypted":true,"size":247,"omitted":["content.formatted_body"],"shortened":[]}],"result":"sent","on_record":false}`,
	}
}

const record = `{"pushkey_hash":"` + hashA + `","app":"org.example.up","reason":"gone","explanation":"the endpoint is dead","first_seen":"2026-03-10T12:00:00Z","last_seen":"2026-03-14T11:00:00Z","verdicts":2,"probe_at":"2026-03-14T13:00:00Z"}`

// actions are the forms that change something, or that ask about a device, and the fields that do so at once.
var actions = map[string]url.Values{
	"/pushkeys/explain": {"app_id": {"org.example.up"}, "pushkey": {canary}},
	"/pushkeys/forget":  {"hash": {hashA}},
	"/outbox/retry":     {"app": {"org.example.up"}},
	"/outbox/drop":      {"app": {"org.example.up"}, "confirmed": {"yes"}},
	"/fuse/reset":       {"app": {"org.example.up"}, "confirmed": {"yes"}},
	"/test":             {"app_id": {"org.example.up"}, "pushkey": {canary}, "do": {"send"}},
}

func TestV30_TheURLWorksOnceAndGivesOneSession(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	s := start(t, api.client(t))
	first, second := newBrowser(t, s), newBrowser(t, s)

	second.get("/").want(t, http.StatusForbidden, "no session")
	second.get(s.URL()[:len(s.URL())-1]).want(t, http.StatusForbidden)
	head, err := http.NewRequestWithContext(t.Context(), http.MethodHead, s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	second.do(head).want(t, http.StatusForbidden)

	first.get(s.URL()).want(t, http.StatusOK, "<h1>Overview</h1>")
	second.get(s.URL()).want(t, http.StatusForbidden, "works only once")
	second.get("/").want(t, http.StatusForbidden)
	first.get("/").want(t, http.StatusOK)
	for _, file := range []string{"/style.css", "/script.js", "/icon.svg"} {
		first.get(file).want(t, http.StatusOK)
		second.get(file).want(t, http.StatusForbidden)
	}
	first.get(s.URL()).want(t, http.StatusForbidden, "works only once")

	cookie := first.Jar.Cookies(&url.URL{Scheme: "http", Host: s.host, Path: s.inside("/")})
	if len(cookie) != 1 || strings.Contains(cookie[0].Value, s.token) || strings.Contains(s.once, cookie[0].Value) {
		t.Errorf("the cookies are %v", cookie)
	}
}

func TestV30_TheCookieIsForThisPageOnly(t *testing.T) {
	t.Parallel()
	s := start(t, newAPI(t, usual()).client(t))
	b := newBrowser(t, s)
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := b.get(s.URL())
	a.want(t, http.StatusSeeOther)
	if got := a.header.Get("Location"); got != s.inside("/") {
		t.Errorf("the URL leads to %q", got)
	}
	_, attributes, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if attributes != " Path="+s.inside("/")+"; HttpOnly; SameSite=Strict" {
		t.Errorf("the cookie has %q", attributes)
	}
	b.get(s.at("/")).want(t, http.StatusOK)

	// Another port of the same address gets no cookie, as nobody else knows the folder.
	got := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Cookie") }))
	t.Cleanup(other.Close)
	for _, path := range []string{"/", "/app", s.once, s.inside("")} {
		b.get(other.URL + path)
		if cookie := <-got; cookie != "" {
			t.Errorf("%s of another port gets the cookie", path)
		}
	}
	b.get(other.URL + s.inside("/"))
	if cookie := <-got; cookie == "" {
		t.Error("the test's browser does not send cookies to other ports, so this test shows nothing")
	}
}

func TestV30_ASessionOfAnEarlierProcessIsNone(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	earlier, s := open(t, api.client(t)), start(t, api.client(t))
	b := newBrowser(t, s)
	stolen := http.Header{"Cookie": {s.cookie + "=" + earlier.page.session}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.at("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = stolen
	b.do(r).want(t, http.StatusForbidden, "no session")
	b.get(s.origin()+earlier.page.once).want(t, http.StatusForbidden)
	// Before anybody has opened the URL, nobody has a session, whoever guesses its cookie.
	b.get("/", header("Cookie", s.cookie+"="+s.session)).want(t, http.StatusForbidden)
}

// attacks are requests of other websites, by the changes that make them different from the page's own.
var attacks = map[string][]change{
	"another host name":             {host("rebound.example.org")},
	"another host name, this port":  {func(r *http.Request) { r.Host = "localhost:" + r.URL.Port() }},
	"the address without its port":  {host("127.0.0.1")},
	"no host name":                  {host("0.0.0.0")},
	"another origin":                {header("Origin", "https://evil.example.org")},
	"another port":                  {header("Origin", "http://127.0.0.1:1")},
	"the origin with TLS":           {func(r *http.Request) { r.Header.Set("Origin", "https://"+r.URL.Host) }},
	"a null origin":                 {header("Origin", "null")},
	"no origin":                     {without("Origin")},
	"a cross-site request":          {header("Sec-Fetch-Site", "cross-site")},
	"a request of a sister site":    {header("Sec-Fetch-Site", "same-site")},
	"a frame":                       {header("Sec-Fetch-Dest", "iframe")},
	"an embedded object":            {header("Sec-Fetch-Dest", "object")},
	"no cookie":                     {func(r *http.Request) { r.Header.Set("X-No-Cookie", "") }},
	"a form of plain text":          {header("Content-Type", "text/plain")},
	"a form with parts":             {header("Content-Type", "multipart/form-data; boundary=x")},
	"a method that nobody asks for": {func(r *http.Request) { r.Method = http.MethodPut }},
}

func TestV31_WhatAnotherWebsiteSendsIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	for name, changes := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI(t, usual())
			b := open(t, api.client(t))
			if name == "no cookie" {
				b.Jar = nil
			}
			for path, fields := range actions {
				b.submit(path, maps.Clone(fields), changes...).want(t, http.StatusForbidden)
			}
			if posts := api.posts(); len(posts) > 0 {
				t.Errorf("the gateway got %q", posts)
			}
		})
	}
}

func TestV31_APageIsNotShownToAnotherWebsite(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string][]change{
		"another host name":    {host("rebound.example.org")},
		"localhost":            {func(r *http.Request) { r.Host = "localhost:" + r.URL.Port() }},
		"a cross-site request": {header("Sec-Fetch-Site", "cross-site")},
		"a sister site":        {header("Sec-Fetch-Site", "same-site")},
		"a frame":              {header("Sec-Fetch-Dest", "iframe")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI(t, usual())
			s := start(t, api.client(t))
			b := newBrowser(t, s)
			// The URL is not used up by somebody who must not use it.
			b.get(s.URL(), changes...).want(t, http.StatusForbidden)
			b.get(s.URL(), header("Sec-Fetch-Site", "none")).want(t, http.StatusOK)
			for _, path := range []string{"/", "/app?app=org.example.up", "/script.js"} {
				b.get(path, changes...).want(t, http.StatusForbidden)
				b.get(path, header("Sec-Fetch-Site", "same-origin")).want(t, http.StatusOK)
			}
		})
	}
}

func TestV32_AFormWithoutTheSessionsTokenChangesNothing(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	earlier, b := open(t, api.client(t)), open(t, api.client(t))
	for name, token := range map[string]string{
		"none": "", "a wrong one": "AAAAAAAAAAAAAAAAAAAAAAAAAA", "one of an earlier process": earlier.page.token, "the cookie": b.page.session,
		"a part": b.page.token[:20],
	} {
		for path, fields := range actions {
			fields = maps.Clone(fields)
			fields.Set("token", token)
			if a := b.submit(path, fields); a.status != http.StatusForbidden {
				t.Errorf("%s, with %s: answered with %d", path, name, a.status)
			}
			// A token in the URL does not count, because browsers keep URLs.
			fields["token"] = nil
			b.submit(path+"?token="+b.page.token, fields).want(t, http.StatusForbidden)
		}
	}
	if posts := api.posts(); len(posts) > 0 {
		t.Errorf("the gateway got %q", posts)
	}
}

func TestV32_ALinkChangesNothing(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	for path, fields := range actions {
		if path == "/test" {
			continue // it shows the form
		}
		fields = maps.Clone(fields)
		fields.Del("pushkey")
		fields.Set("token", b.page.token)
		b.get(path+"?"+fields.Encode()).want(t, http.StatusForbidden)
	}
	b.get("/test?do=send&app_id=a&token="+b.page.token).want(t, http.StatusOK)
	b.submit("/", nil).want(t, http.StatusForbidden)
	b.submit("/style.css", nil).want(t, http.StatusNotFound)
	if posts := api.posts(); len(posts) > 0 {
		t.Errorf("the gateway got %q", posts)
	}
}

func TestV32_AFormIsBounded(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	b.submit("/pushkeys/explain", url.Values{"hash": {strings.Repeat("a", maxForm)}}).want(t, http.StatusForbidden, "256 KiB")
	b.submit("/pushkeys/explain", url.Values{"app_id": {"a"}, "pushkey": {strings.Repeat("a", maxForm/2)}}).want(t, http.StatusOK)
	if posts := api.posts(); len(posts) != 1 {
		t.Errorf("the gateway got %d requests", len(posts))
	}
}

func TestV33_NoAnswerMayBeFramedKeptOrReadByOthers(t *testing.T) {
	t.Parallel()
	b := open(t, newAPI(t, usual()).client(t))
	for _, a := range []shown{
		b.get("/"), b.get("/script.js"), b.get("/nothing"), b.get("/", host("evil.example.org")), b.submit("/pushkeys/explain", url.Values{"hash": {hashA}}),
		b.submit("/test", url.Values{"token": {""}}),
	} {
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
				"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s has %s: %q", a.address, name, got)
			}
		}
	}
}

func TestV33_ThePageLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	b := open(t, newAPI(t, usual()).client(t))
	for _, path := range []string{"/", "/app?app=org.example.up", "/pushkeys", "/outbox", "/test", "/style.css", "/script.js", "/icon.svg"} {
		text := b.get(path).text
		for _, allowed := range []string{`href="https://github.com/matrix-push/`, `xmlns="http://www.w3.org/`, b.page.origin(), b.page.api.Address(), "https only", "X-Forwarded-Proto: https"} {
			text = strings.ReplaceAll(text, allowed, "")
		}
		for _, foreign := range []string{"http:", "https:", "//", "style=", " onclick=", "<script>", "@import", "url("} {
			if path == "/script.js" && foreign == "//" {
				continue // a comment
			}
			if strings.Contains(text, foreign) {
				t.Errorf("%s has %q", path, foreign)
			}
		}
	}
}
