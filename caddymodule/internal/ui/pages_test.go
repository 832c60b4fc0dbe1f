package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestV34_TheOverviewShowsTheStateAndTheCure(t *testing.T) {
	t.Parallel()
	b := open(t, newAPI(t, usual()).client(t))
	b.get("/").want(t, http.StatusOK,
		"The gateway is ready, but something needs attention.",
		"App org.example.ios: the push service has refused the configuration since 2026-03-14 11:00:00 (60m ago): topic_disallowed (TopicDisallowed). Set topic to the exact bundle ID.",
		"What to do: Correct the setting, and reload the configuration.",
		"App org.example.up: the fuse tripped",
		"Devices of unknown apps: the fuse tripped", "Add the missing app to the configuration.",
		"Reset the fuse… org.example.up",
		"1 (oldest 60s ago)", "4 (oldest 40m ago)", "2026-03-14 11:59:18 (42s ago)",
		"needs attention misconfigured", "needs attention fuse tripped",
		"1,234 delivered, 3 other", "No push in the last hour",
		"3 pushkeys are suspected to be dead", "3 subscriptions at fcm.googleapis.com:443 were made for another VAPID key.",
		"plaintext", "configure the proxy to send X-Forwarded-Proto: https",
		"push.example.org not connected", "check the secret", "app_missing", "Add default to the component.",
		"file, 1,000,000 dead or suspected",
	)
}

func TestV34_AReadyGatewayIsShownAsSuch(t *testing.T) {
	t.Parallel()
	answers := usual()
	answers["apps"] = `{"status":"ready","degraded":[],"rejected":"memory","outbox":"off","apps":[]}`
	answers["history"] = `{"since":"2026-03-14T11:01:00Z","minutes":60,"apps":[]}`
	a := open(t, newAPI(t, answers).client(t)).get("/")
	a.want(t, http.StatusOK, "The gateway is ready.", "0 apps.", "No push in the last hour.")
	a.lacks(t, "attention.", "<table", "XMPP", "Refused")
}

func TestV34_AppsThatNeedAttentionAreTheFirstAndAFilterFindsTheOthers(t *testing.T) {
	t.Parallel()
	b := open(t, newAPI(t, usual()).client(t))
	a := b.get("/")
	place := func(app string) int { return strings.Index(a.text, `/app?app=`+app+`"><code>`) }
	list := a.text[strings.Index(a.text, `id="apps"`):]
	order := []int{strings.Index(list, "app=org.example.ios"), strings.Index(list, "app=org.example.up"), strings.Index(list, "app=a.quiet")}
	if !slices.IsSorted(order) || order[0] < 0 || place("a.quiet") < 0 {
		t.Errorf("the apps are at %v", order)
	}
	for filter, want := range map[string]int{"": 3, "ORG.example": 2, "fcm": 1, " up ": 1, "nothing": 0} {
		a := b.get("/?" + url.Values{"filter": {filter}}.Encode())
		table := a.text[strings.Index(a.text, `id="apps"`):]
		if got := strings.Count(table, `/app?app=`); got != want {
			t.Errorf("the filter %q lets %d apps through, want %d", filter, got, want)
		}
		if filter != "" {
			a.want(t, http.StatusOK, fmt.Sprintf("%d of 3 apps match.", want), `value="`+filter+`"`)
		}
	}
}

func TestV34_TheDetailsOfAnApp(t *testing.T) {
	t.Parallel()
	b := open(t, newAPI(t, usual()).client(t))
	b.get("/app?app=org.example.up").want(t, http.StatusOK,
		"State: needs attention", "unifiedpush", "1 host open, 2 hosts paused", "tripped for 1 host (30 of 45 dead)", "ntfy.example.com:443",
		"not since 2026-03-13 12:00:00 (24h ago)", "Reset the fuse…", "Retry pending pushes now", "BCVx-_9",
		"1,234 delivered", "3 retry", "1,200 a minute", "11:01", "11:03", "11:02 0 2", "No attempt to deliver a push has failed",
	)
	a := b.get("/app?app=org.example.ios")
	a.want(t, http.StatusOK, "topic_disallowed (TopicDisallowed)", "Set topic to the exact bundle ID.", "yes", "2026-05-01 00:00:00",
		"no: rejections that a wrong setting could cause are doubted", "ok, 1 of 40 recent pushkeys dead", `/test?app=org.example.ios"`)
	a.lacks(t, "Reset the fuse", "Application server key")
	b.get("/app?app=org.example.none").want(t, http.StatusBadGateway)
}

func TestV34_ADeviceIsFoundByItsPushkeyOrItsHash(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	for _, fields := range []url.Values{
		{"hash": {" " + hashA + " "}},
		{"app_id": {"org.example.up"}, "pushkey": {canary + "\r\n"}},
		{"app_id": {"org.example.web"}, "pushkey": {canary}, "endpoint": {"https://push.example/" + canary}},
		{"app_id": {"org.example.web"}, "pushkey": {canary}, "data": {`{"endpoint":"https://push.example/` + canary + `"}`}},
	} {
		b.submit("/pushkeys/explain", fields).want(t, http.StatusOK, "The pushkey is recorded as dead.", "gone, recorded for the app org.example.up",
			"the endpoint is dead", "Forget "+hashA, "Retry now "+hashA, "Drop… "+hashA)
	}
	want := []string{
		`POST rejected/explain {"hash":"` + hashA + `"}`,
		`POST rejected/explain {"app_id":"org.example.up","pushkey":"` + canary + `"}`,
		`POST rejected/explain {"app_id":"org.example.web","endpoint":"https://push.example/` + canary + `","pushkey":"` + canary + `"}`,
		`POST rejected/explain {"app_id":"org.example.web","data":{"endpoint":"https://push.example/` + canary + `"},"pushkey":"` + canary + `"}`,
	}
	if got := api.posts(); !slices.Equal(got, want) {
		t.Errorf("asked were\n%s", strings.Join(got, "\n"))
	}
	api.answer("rejected/explain", failing(http.StatusConflict, `{"error":"several endpoints are known for this pushkey","candidates":["`+hashA+`","`+hashB+`"]}`))
	b.submit("/pushkeys/explain", url.Values{"app_id": {"a"}, "pushkey": {canary}}).want(t, http.StatusConflict,
		"Several endpoints are known for this pushkey.", "Details "+hashA, "Details "+hashB)
	api.answer("rejected/explain", failing(http.StatusNotFound, `{"error":"nothing is known about a device whose hash starts with ab12"}`))
	b.submit("/pushkeys/explain", url.Values{"hash": {"ab12"}}).want(t, http.StatusNotFound, "Nothing is known about a device whose hash starts with ab12.")
}

func TestV34_AFormThatIsNotCompleteIsExplained(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	for path, fields := range map[string]url.Values{
		"/pushkeys/explain": {"app_id": {"a"}},
		"/pushkeys/forget":  {"pushkey": {canary}},
		"/test":             {"pushkey": {canary}},
	} {
		b.submit(path, fields).want(t, http.StatusBadRequest, "Give a hash, or the app_id and the pushkey of the pusher.")
	}
	for path, fields := range map[string]url.Values{
		"/pushkeys/explain": {"app_id": {"a"}, "pushkey": {canary}, "data": {"{" + canary}},
		"/test":             {"app_id": {"a"}, "pushkey": {canary}, "data": {"{" + canary}},
	} {
		b.submit(path, fields).want(t, http.StatusBadRequest, "The data is not valid JSON")
	}
	if posts := api.posts(); len(posts) > 0 {
		t.Errorf("the gateway got %q", posts)
	}
}

func TestV34_ListsHavePages(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	b.submit("/pushkeys/list", url.Values{"app": {"org.example.up"}, "prefix": {"ab"}}).want(t, http.StatusOK, hashA, "dead", "gone", `value="c2"`, "Next page")
	b.submit("/pushkeys/list", url.Values{"app": {"org.example.up"}, "prefix": {"ab"}, "cursor": {"c2"}}).want(t, http.StatusOK)
	b.submit("/pushkeys/list", url.Values{"state": {"suspected"}}).want(t, http.StatusOK, "Only those that are suspected.", `name="state" value="suspected"`)
	api.answer("rejected", `{"records":[],"configured":false}`)
	a := b.submit("/pushkeys/list", url.Values{"app": {"org.example.up"}})
	a.want(t, http.StatusOK, "No such pushkey is recorded as dead or suspected.")
	a.lacks(t, "Next page")
	b.get("/outbox").want(t, http.StatusOK, "org.example.up", "40m ago", "Drop all… org.example.gone", "no")
	api.answer("outbox", `{"entries":[{"id":"1a58","app":"org.example.up","pushkey_hash":"`+hashA+`","badge":true,"size":1300,"accepted":"2026-03-14T11:00:00Z","expires":"2026-03-15T11:00:00Z","due":"2026-03-14T12:05:00Z","attempts":3,"running":false}],"next":"5"}`)
	b.submit("/outbox/list", url.Values{"app": {"org.example.up"}}).want(t, http.StatusOK, hashA, "1a58", "badge", "1,300", "in 5m", "Next page", `value="5"`)
	b.submit("/outbox/list", url.Values{"app": {"org.example.up"}, "cursor": {"5"}}).want(t, http.StatusOK)
	for _, want := range []string{
		"GET rejected?app=org.example.up&cursor=c2&limit=50&prefix=ab", "GET rejected?limit=50&state=suspected", "GET outbox?app=org.example.up&cursor=5&limit=50",
	} {
		if !slices.Contains(api.requests, want) {
			t.Errorf("the page does not ask for %s:\n%s", want, strings.Join(api.requests, "\n"))
		}
	}
}

func TestV34_APartOfTheOutboxThatCannotBeReadIsShown(t *testing.T) {
	t.Parallel()
	answers := usual()
	answers["outbox"] = `{"apps":[],"unreadable":"shards 2, 7 of 16"}`
	answers["apps"] = strings.Replace(apps, `"outbox":{"entries":4,`, `"outbox":{"unreadable":"shards 2, 7 of 16","entries":4,`, 1)
	b := open(t, newAPI(t, answers).client(t))
	b.get("/outbox").want(t, http.StatusOK, "A part of the outbox cannot be read, and its pushes are not counted: shards 2, 7 of 16.")
	for _, path := range []string{"/", "/app?app=org.example.ios"} {
		b.get(path).want(t, http.StatusOK, "4 (oldest 40m ago), partly unreadable")
	}
}

func TestV34_ATestPushShowsItsVerdictOrWhatItWouldSend(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	b.get("/test?app=org.example.up").want(t, http.StatusOK, `name="app_id" value="org.example.up"`)
	b.get("/test?app=org.example.*").want(t, http.StatusOK, `name="app_id" value=""`)
	device := url.Values{"app_id": {"org.example.up"}, "pushkey": {canary}, "text": {"hello"}, "low": {"yes"}, "site": {"push.example.org"}, "kind": {"event"}, "do": {"send"}}
	b.submit("/test", device).want(t, http.StatusOK, "The notification was not delivered. The attempt took 0.50 s.", "rejected: gone", "the endpoint is dead",
		"rejected without asking the push service: the pushkey is recorded as dead")
	device.Set("do", "preview")
	device.Set("kind", "badge")
	device.Del("token")
	b.submit("/test", device).want(t, http.StatusOK, "Nothing was sent. The gateway would send this notification", "POST https://push.example.net/…", "ttl: 86399",
		"&#34;event_id&#34;: &#34;$e&#34;", "247 bytes, before it is encrypted", "Omitted: content.formatted_body.", "counts")
	want := []string{
		`POST send {"notification":{"content":{"body":"hello","msgtype":"m.text"},"devices":[{"app_id":"org.example.up","pushkey":"` + canary + `"}],"prio":"low"},"site":"push.example.org"}`,
		`POST preview {"notification":{"content":null,"devices":[{"app_id":"org.example.up","pushkey":"` + canary + `"}],"event_id":null,"prio":"low","room_id":null,"room_name":null,"sender":null,"sender_display_name":null,"type":null},"site":"push.example.org"}`,
	}
	if got := api.posts(); !slices.Equal(got, want) {
		t.Errorf("asked were\n%s", strings.Join(got, "\n"))
	}
}

func TestV35_NamesAreShownAsText(t *testing.T) {
	t.Parallel()
	const evil = `<script>alert(1)</script>" onload="x' javascript:`
	quoted := strings.NewReplacer(`"`, `\"`).Replace(evil)
	api := newAPI(t, map[string]string{
		"apps": strings.NewReplacer("org.example.up", quoted, "TopicDisallowed", quoted, "ntfy.example.com:443", quoted, "push.example.org", quoted,
			"check the secret", quoted, "unifiedpush", quoted).Replace(apps),
		"history":          `{"since":"2026-03-14T11:01:00Z","minutes":3,"apps":[{"app":"` + quoted + `","outcomes":{"` + quoted + `":[1,2,3]}}]}`,
		"keys":             `{"keys":[{"app":"` + quoted + `","application_server_key":"` + quoted + `"}]}`,
		"outbox":           `{"apps":[{"app":"` + quoted + `","entries":4,"devices":2,"configured":true}]}`,
		"rejected/explain": strings.ReplaceAll(usual()["rejected/explain"], "gone", quoted),
		"rejected":         `{"records":[` + strings.ReplaceAll(record, "gone", quoted) + `],"next":"` + quoted + `"}`,
		"preview":          strings.NewReplacer("push.example.net", quoted, "86399", quoted).Replace(usual()["preview"]),
	})
	b := open(t, api.client(t))
	for _, a := range []shown{
		b.get("/"), b.get("/?filter=" + url.QueryEscape(evil)), b.get("/app?app=" + url.QueryEscape(evil)), b.get("/outbox"),
		b.submit("/pushkeys/explain", url.Values{"hash": {hashA}}), b.submit("/pushkeys/list", url.Values{"app": {evil}}),
		b.submit("/outbox/drop", url.Values{"app": {evil}}), b.submit("/fuse/reset", url.Values{"app": {evil}}),
		b.submit("/test", url.Values{"app_id": {evil}, "pushkey": {"k"}}), b.get("/test?app=" + url.QueryEscape(evil)),
	} {
		a.want(t, http.StatusOK, "&lt;script&gt;alert(1)&lt;/script&gt;")
		a.lacks(t, "<script>", `" onload=`, `href="javascript`)
	}
}
