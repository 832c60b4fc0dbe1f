package admin

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestARouteServesItsMethodAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	reads := map[string]bool{
		"apps": true, "history": true, "health/live": true, "health/ready": true, "fuses": true, "keys": true, "rejected": true, "outbox": true,
	}
	for _, route := range Routes(r.find) {
		allowed, others := "POST", []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch}
		if reads[strings.TrimPrefix(route.Pattern, "/matrix_push/")] {
			allowed, others = "GET, HEAD", []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch}
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				r.want(http.StatusOK, method, route.Pattern, "")
			}
		}
		for _, method := range others {
			status, header, answer := r.do(method, route.Pattern, "{}")
			if status != http.StatusMethodNotAllowed || header.Get("Allow") != allowed {
				t.Errorf("%s %s is answered %d, allowing %q: %s", method, route.Pattern, status, header.Get("Allow"), answer)
			}
		}
	}
}

func TestWithoutAGatewayEveryRouteSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, want := range []string{"no Matrix push gateway is configured", "the Matrix push gateway is starting"} {
		r.find = func() (*gateway.Gateway, error) { return nil, errors.New(want) }
		for _, route := range Routes(r.find) {
			method := http.MethodGet
			if status, _, _ := r.do(method, route.Pattern, ""); status == http.StatusMethodNotAllowed {
				method = http.MethodPost
			}
			if strings.HasSuffix(route.Pattern, "/live") {
				r.want(http.StatusOK, method, route.Pattern, "", `"live"`)
				continue
			}
			r.want(http.StatusServiceUnavailable, method, route.Pattern, "{}", want)
		}
	}
}

func TestABadRequestIsRefusedAndTheMemberIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const device = `"app_id":"org.example.ios","pushkey":"` + canary + `"`
	for _, tt := range []struct{ name, method, path, body, want string }{
		{"no body", "POST", "fuses/reset", "", "the body is empty"},
		{"no JSON", "POST", "fuses/reset", canary, "not a JSON object"},
		{"a list", "POST", "fuses/reset", "[]", "not a JSON object"},
		{"two objects", "POST", "fuses/reset", "{}{}", "more than one"},
		{"an unknown member", "POST", "fuses/reset", `{"pattern":"` + canary + `"}`, "pattern"},
		{"an app that is a number", "POST", "fuses/reset", `{"app":1}`, "app: must not be a JSON number"},
		{"explain: nothing", "POST", "rejected/explain", "{}", "app_id is missing"},
		{"explain: no pushkey", "POST", "rejected/explain", `{"app_id":"a"}`, "pushkey is missing"},
		{"explain: no app_id", "POST", "rejected/explain", `{"pushkey":"` + canary + `"}`, "app_id is missing"},
		{"explain: a pushkey that is a number", "POST", "rejected/explain", `{"pushkey":12345678}`, "pushkey: must not be"},
		{"explain: both", "POST", "rejected/explain", `{"hash":"abcd",` + device + `}`, "hash: cannot be used together"},
		{"explain: a hash that is not hexadecimal", "POST", "rejected/explain", `{"hash":"` + canary + `"}`, "hash: must be at most 32 hexadecimal digits"},
		{"explain: a hash that is too long", "POST", "rejected/explain", `{"hash":"` + strings.Repeat("a", 33) + `"}`, "hash: "},
		{"explain: a hash that is too short", "POST", "rejected/explain", `{"hash":"abc"}`, "hash: must have at least 4"},
		{"explain: a site that is not a host", "POST", "rejected/explain", `{"site":"a b:x",` + device + `}`, "site: must be a host"},
		{"explain: a site with a hash", "POST", "rejected/explain", `{"site":"push.example.org","hash":"abcd"}`, "site: cannot be used together with hash"},
		{"explain: a member of forget's", "POST", "rejected/explain", `{"since":"2026-01-01T00:00:00Z"}`, "since"},
		{"forget: nothing", "POST", "rejected/forget", "{}", "app is missing"},
		{"forget: an app without a time", "POST", "rejected/forget", `{"app":"org.example.ios"}`, "since is missing"},
		{"forget: a time that is not valid", "POST", "rejected/forget", `{"app":"org.example.ios","since":"yesterday"}`, "since: must be a time"},
		{"forget: a device and an app", "POST", "rejected/forget", `{"app":"org.example.ios",` + device + `}`, "app, since: "},
		{"list: a parameter that there is not", "GET", "rejected?patern=x", "", "patern"},
		{"list: a parameter twice", "GET", "rejected?app=a&app=b", "", "app: given more than once"},
		{"list: a limit of 0", "GET", "rejected?limit=0", "", "limit: "},
		{"list: a limit that is too high", "GET", "rejected?limit=1001", "", "limit: "},
		{"list: a prefix that is not hexadecimal", "GET", "rejected?prefix=xyz", "", "prefix: "},
		{"list: a cursor that is not valid", "GET", "rejected?cursor=nonsense", "", "cursor: "},
		{"apps: a parameter that there is not", "GET", "apps?pattern=x", "", "pattern"},
		{"history: a parameter that there is not", "GET", "history?minutes=5", "", "minutes"},
		{"outbox: a limit that is not a number", "GET", "outbox?limit=many", "", "limit: "},
		{"outbox: a cursor that is not valid", "GET", "outbox?app=org.example.ios&cursor=nonsense", "", "cursor: "},
		{"retry: nothing", "POST", "outbox/retry", "{}", "app is missing"},
		{"retry: only a hash", "POST", "outbox/retry", `{"hash":"abcd"}`, "app is missing"},
		{"retry: a hash that is not hexadecimal", "POST", "outbox/retry", `{"app":"org.example.ios","hash":"device"}`, "hash: "},
		{"drop: nothing to say what", "POST", "outbox/drop", `{"app":"org.example.ios"}`, "hash is missing"},
		{"drop: all and one", "POST", "outbox/drop", `{"app":"org.example.ios","all":true,"hash":"abcd"}`, "all: "},
		{"drop: no app", "POST", "outbox/drop", `{"all":true}`, "app is missing"},
		{"drop: a cursor without all", "POST", "outbox/drop", `{"app":"org.example.ios","hash":"abcd","cursor":"x"}`, "cursor: "},
		{"send: nothing", "POST", "send", "{}", "notification.devices is missing"},
		{"send: no device", "POST", "send", `{"notification":{"devices":[]}}`, "has 0 devices"},
		{"send: two devices", "POST", "send", `{"notification":{"devices":[{` + device + `},{"app_id":"a","pushkey":"b"}]}}`, "has 2 devices"},
		{"send: no pushkey", "POST", "send", `{"notification":{"devices":[{"app_id":"org.example.ios"}]}}`, "notification.devices[0].pushkey is missing"},
		{"send: a member of the wrong kind", "POST", "send", `{"notification":{"event_id":1,"devices":[{` + device + `}]}}`, "notification.event_id"},
		{"send: another member", "POST", "send", `{"devices":[]}`, "devices"},
		{"probe: a member", "POST", "probe", `{"app_id":"x"}`, "app_id"},
		{"probe/seen: nothing", "POST", "probe/seen", "{}", "pushkey: must be"},
		{"probe/seen: the pushkey of a device", "POST", "probe/seen", `{"pushkey":"` + canary + `"}`, "pushkey: must be"},
		{"send: a site that is a URL", "POST", "send", `{"site":"https://push.example.org","notification":{"devices":[{` + device + `}]}}`, "site: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := *r
			r.t = t
			r.want(http.StatusBadRequest, tt.method, "/matrix_push/"+tt.path, tt.body, tt.want)
		})
	}
	r.want(http.StatusRequestEntityTooLarge, "POST", "/matrix_push/send", `{"site":"`+strings.Repeat("a", maxBody)+`"}`, "bytes")
}

func TestAppsAreToldHowTheyAre(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.reject("org.example.ios", "org.example.ios", canary, today)
	r.wait("org.example.ios", "1", rejected.KeyOf("org.example.ios", canary), false)
	r.provider.expiry = today.Add(time.Hour)
	r.want(http.StatusOK, "GET", "/matrix_push/apps", "", `"status":"ready","degraded":[]`, `"rejected_records":1`,
		`"app":"org.example.*","provider":"fake","breaker":"closed","in_flight":0`,
		`"outbox":{"entries":1,"devices":1,"oldest":"2026-03-14T11:00:00Z"},"credential_expiry":"2026-03-14T13:00:00Z"`, `"troubles":[]`)
	if answer := r.want(http.StatusOK, "GET", "/matrix_push/apps?app=org.example.ios", ""); strings.Contains(answer, "org.example.*") {
		t.Errorf("another app is in %s", answer)
	}
	r.want(http.StatusNotFound, "GET", "/matrix_push/apps?app=org.example.x", "", `there is no app \"org.example.x\"`)
}

func TestReadinessTellsWhatToLookInto(t *testing.T) {
	t.Parallel()
	const path = "/matrix_push/health/ready"
	r := newRig(t)
	r.want(http.StatusOK, "GET", path, "", `{"status":"ready","degraded":[]}`)

	r.provider.expiry = today.Add(-time.Hour)
	r.want(http.StatusOK, "GET", path, "", `"status":"degraded"`,
		`{"app":"org.example.ios","reason":"credential_expired","since":"2026-03-14T11:00:00Z"}`)
	r.provider.expiry = time.Time{}

	r.box.err = errors.New("the disk is on fire")
	r.want(http.StatusOK, "GET", path, "", `"status":"degraded"`, `{"app":"","reason":"outbox_unreadable"}`)
}

func TestReadinessIsNoTroubleWithoutAnOutbox(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(r.gateway.Rejected, offBox{})
	r.want(http.StatusOK, "GET", "/matrix_push/health/ready", "", `{"status":"ready","degraded":[]}`)
}

func TestAFuseIsReset(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want(http.StatusOK, "GET", "/matrix_push/fuses", "", `{"app":"org.example.ios","dead":0,"pushkeys":0}`)
	r.want(http.StatusOK, "POST", "/matrix_push/fuses/reset", `{"app":"org.example.ios"}`, `{"was_tripped":false}`)
	r.want(http.StatusOK, "POST", "/matrix_push/fuses/reset", `{}`, `{"was_tripped":false}`)
	r.want(http.StatusNotFound, "POST", "/matrix_push/fuses/reset", `{"app":"org.example.x"}`, `there is no app \"org.example.x\"`)
}

func TestAStoreThatCannotBeLookedThroughSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(r.store, offBox{})
	k := r.reject("org.example.ios", "org.example.ios", canary, today)
	r.want(http.StatusNotImplemented, "GET", "/matrix_push/rejected", "", "cannot list its records")
	r.want(http.StatusNotImplemented, "POST", "/matrix_push/rejected/forget", `{"app":"org.example.ios","since":"2026-01-01T00:00:00Z"}`, "cannot list its records")
	r.want(http.StatusNotImplemented, "POST", "/matrix_push/rejected/explain", `{"hash":"`+k.Short()+`"}`, "give the whole hash")
	r.want(http.StatusOK, "POST", "/matrix_push/rejected/explain", `{"hash":"`+k.String()+`"}`, `"reason":"unregistered"`)
	r.want(http.StatusNotImplemented, "GET", "/matrix_push/outbox", "", "cannot list its entries")
	r.want(http.StatusNotImplemented, "POST", "/matrix_push/outbox/retry", `{"app":"org.example.ios"}`, "cannot list its entries")
	r.want(http.StatusNotImplemented, "POST", "/matrix_push/outbox/drop", `{"app":"org.example.ios","all":true}`, "cannot list its entries")
}

func TestAStoreThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		status int
	}{{errors.New("the disk is on fire"), http.StatusInternalServerError}, {rejected.ErrNotOpen, http.StatusServiceUnavailable}, {outbox.ErrNotOpen, http.StatusServiceUnavailable}} {
		r := newRig(t)
		r.store.err, r.box.err = tt.err, tt.err
		want := tt.err.Error()
		r.want(tt.status, "GET", "/matrix_push/rejected", "", want)
		r.want(tt.status, "POST", "/matrix_push/rejected/explain", `{"hash":"abcd"}`, want)
		r.want(tt.status, "POST", "/matrix_push/rejected/explain", `{"app_id":"org.example.ios","pushkey":"`+canary+`"}`, want)
		r.want(tt.status, "POST", "/matrix_push/rejected/forget", `{"app_id":"org.example.ios","pushkey":"`+canary+`"}`, want)
		r.want(tt.status, "POST", "/matrix_push/rejected/forget", `{"app":"org.example.ios","since":"2026-01-01T00:00:00Z"}`, want)
		r.want(tt.status, "GET", "/matrix_push/outbox", "", want)
		r.want(tt.status, "GET", "/matrix_push/outbox?app=org.example.ios", "", want)
		r.want(tt.status, "POST", "/matrix_push/outbox/retry", `{"app":"org.example.ios"}`, want)
		r.want(tt.status, "POST", "/matrix_push/outbox/retry", `{"app":"org.example.ios","hash":"abcd"}`, want)
		r.want(tt.status, "POST", "/matrix_push/outbox/drop", `{"app":"org.example.ios","all":true}`, want)
		r.want(tt.status, "POST", "/matrix_push/outbox/drop", `{"app":"org.example.x","all":true}`, want)
	}
}

func TestATestNotificationIsSentAndTheVerdictTold(t *testing.T) {
	t.Parallel()
	const device = `{"app_id":"org.example.ios","pushkey":"` + canary + `","data":{"default_payload":{"aps":{}}}}`
	r := newRig(t)
	// The request's context has ended, see do: the attempt is made anyway.
	r.want(http.StatusOK, "POST", "/matrix_push/send", `{"notification":{"devices":[`+device+`]}}`,
		`"app":"org.example.ios","provider":"fake"`, `"outcome":"delivered","reason":"delivered","result":"delivered"`, `"on_record":false`)
	n := r.provider.pushed.Notification
	if n.EventID != "$THIS_IS_A_FAKE_EVENT_ID" || n.RoomID != "!room:fake.domain" || *n.Counts.Unread != 1 || n.Badge {
		t.Errorf("the provider was given %+v", n)
	}

	r.provider.outcome = providers.Rejected("unregistered")
	r.reject("org.example.ios", "org.example.ios", canary, today)
	r.want(http.StatusOK, "POST", "/matrix_push/send", `{"notification":{"event_id":"$mine","devices":[`+device+`]}}`,
		`"outcome":"rejected","reason":"unregistered","result":"rejected"`, `"on_record":true`)
	if id := r.provider.pushed.Notification.EventID; id != "$mine" {
		t.Errorf("the event is %q", id)
	}

	r.provider.outcome = providers.Retry("http_503", time.Minute, errors.New("overloaded"))
	r.want(http.StatusOK, "POST", "/matrix_push/send", `{"site":"push.example.org","notification":{"event_id":null,"room_id":null,"type":null,"content":null,"devices":[`+device+`]}}`,
		`"outcome":"retry","reason":"http_503","detail":"overloaded","result":"queued","retry_after":60`)
	if p := r.provider.pushed; !p.Notification.Badge || p.Site != (providers.Site{Host: "push.example.org", Port: "443"}) {
		t.Errorf("no badge update, or another site: %+v at %+v", p.Notification, p.Site)
	}
	r.gateway.Sites = []gateway.Site{{Hosts: []string{"push.example.org"}, Accepts: func(string) bool { return false }}}
	r.want(http.StatusNotFound, "POST", "/matrix_push/send", `{"site":"push.exmple.org","notification":{"devices":[`+device+`]}}`,
		`site: no site of the gateway has the name \"push.exmple.org\": did you mean \"push.example.org\"?`)
	r.serve(r.gateway.Rejected, offBox{})
	r.want(http.StatusOK, "POST", "/matrix_push/send", `{"notification":{"devices":[`+device+`]}}`, `"result":"unavailable"`)

	r.want(http.StatusNotFound, "POST", "/matrix_push/send", `{"notification":{"devices":[{"app_id":"com.example","pushkey":"`+canary+`"}]}}`, `no app serves \"com.example\"`)
	if len(r.store.records) != 1 {
		t.Errorf("a trial was recorded: %v", r.store.records)
	}
}
