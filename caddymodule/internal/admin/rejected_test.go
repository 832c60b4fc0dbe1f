package admin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// page is a page of records.
type page struct {
	Records []struct {
		PushkeyHash string `json:"pushkey_hash"`
		App         string `json:"app"`
	} `json:"records"`
	Next string `json:"next"`
}

// pages reads all records and counts the pages and the records of each app.
func (r *rig) pages(query string) (apps map[string]int, pages int) {
	r.t.Helper()
	apps = make(map[string]int)
	for cursor := ""; ; {
		var p page
		answer := r.want(http.StatusOK, "GET", "/matrix_push/rejected?"+query+"&cursor="+url.QueryEscape(cursor), "")
		if err := json.Unmarshal([]byte(answer), &p); err != nil || p.Records == nil {
			r.t.Fatalf("answered %s", answer)
		}
		for _, record := range p.Records {
			apps[record.App]++
		}
		pages++
		if cursor = p.Next; cursor == "" {
			return apps, pages
		}
	}
}

func TestRecordsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 9 {
		app := []string{"org.example.ios", "org.example.*", "org.example.*"}[i%3]
		r.reject(app, app, canary+strings.Repeat("x", i), today)
	}
	for _, tt := range []struct {
		query            string
		ios, others, min int
	}{
		{"limit=2", 3, 6, 5},
		{"limit=4", 3, 6, 3},
		{"", 3, 6, 1},
		{"app=org.example.ios", 3, 0, 1},
		{"app=org.example.ios&limit=1", 3, 0, 2},
		{"prefix=ffffff", 0, 0, 1},
		{"prefix=", 3, 6, 1},
	} {
		apps, pages := r.pages(tt.query)
		if apps["org.example.ios"] != tt.ios || apps["org.example.*"] != tt.others || pages < tt.min {
			t.Errorf("%s: %v on %d pages, want %d, %d on at least %d", tt.query, apps, pages, tt.ios, tt.others, tt.min)
		}
	}
	k := rejected.KeyOf("org.example.ios", canary)
	if apps, _ := r.pages("prefix=" + strings.ToUpper(k.Short())); apps["org.example.ios"] != 1 {
		t.Errorf("the prefix of one finds %v", apps)
	}
}

func TestRecordsAreListedByState(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	suspect := func(k rejected.Key) {
		_, _ = r.store.Suspect(t.Context(), k, rejected.Verdict{App: "org.example.ios", Reason: "not_found", At: today})
	}
	for i := range 5 {
		r.reject("org.example.*", "org.example.other", canary+strings.Repeat("x", i), today)
	}
	suspect(rejected.KeyOf("org.example.ios", canary))
	suspect(r.reject("org.example.ios", "org.example.ios", canary+"again", today)) // registered again
	for query, want := range map[string][2]int{
		"state=dead":                          {1, 5},
		"state=suspected":                     {2, 0},
		"state=suspected&limit=1":             {2, 0},
		"state=suspected&app=org.example.ios": {2, 0},
		"state=suspected&app=org.example.*":   {0, 0},
		"state=":                              {2, 5},
	} {
		if apps, _ := r.pages(query); apps["org.example.ios"] != want[0] || apps["org.example.*"] != want[1] {
			t.Errorf("%s: %v, want %v", query, apps, want)
		}
	}
	r.want(http.StatusBadRequest, "GET", "/matrix_push/rejected?state=gone", "", "state: must be dead or suspected")
}

func TestADeviceIsExplained(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const path = "/matrix_push/rejected/explain"
	dead := r.reject("org.example.ios", "org.example.ios", canary, today)
	wants := []string{
		`"pushkey_hash":"` + dead.String() + `","app":"org.example.ios"`, `"reason":"unregistered"`, `"first_seen":"2026-03-14T12:00:00Z"`,
		`"verdicts":1`, `"condemned_until":"`, `"probe_at":"2026-03-14T13:00:00Z"`, `"waiting":false`,
	}
	for name, selector := range map[string]string{
		"its values":           `{"app_id":"org.example.ios","pushkey":"` + canary + `"}`,
		"its hash":             `{"hash":"` + dead.String() + `"}`,
		"its hash in capitals": `{"hash":"` + strings.ToUpper(dead.String()) + `"}`,
		"what a log shows":     `{"hash":"` + dead.Short() + `"}`,
		"four digits":          `{"hash":"` + dead.String()[:4] + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := *r
			r.t = t
			r.want(http.StatusOK, "POST", path, selector, wants...)
		})
	}
	t.Run("one that nothing is known of, by its values", func(t *testing.T) {
		answer := r.want(http.StatusOK, "POST", path, `{"app_id":"org.example.mac","pushkey":"`+canary+`"}`, `"app":"org.example.*"`)
		if strings.Contains(answer, "record") {
			t.Errorf("there is a record in %s", answer)
		}
		r.want(http.StatusOK, "POST", path, `{"app_id":"com.example","pushkey":"`+canary+`"}`, `"app":""`)
	})
	t.Run("one that nothing is known of, by its hash", func(t *testing.T) {
		r := *r
		r.t = t
		r.want(http.StatusNotFound, "POST", path, `{"hash":"ffffffff"}`, "nothing is known")
		r.want(http.StatusNotFound, "POST", path, `{"hash":"`+strings.Repeat("f", 32)+`"}`, "nothing is known")
	})
	t.Run("one that only the outbox knows, by its hash", func(t *testing.T) {
		r := *r
		r.t = t
		k := rejected.KeyOf("org.example.ios", "waiting")
		r.wait("org.example.ios", "1", k, false)
		r.want(http.StatusOK, "POST", path, `{"hash":"`+k.String()+`"}`, `"app":"org.example.ios"`, `"waiting":true`)
	})
}

func TestAHashThatSeveralBeginWithIsAnsweredWithThem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := rejected.Key{0xab, 0xcd, 1}, rejected.Key{0xab, 0xcd, 2}
	r.store.records[a] = rejected.Record{App: "org.example.ios"}
	r.store.records[b] = rejected.Record{App: "org.example.ios"}
	candidates := `"candidates":["` + a.String() + `","` + b.String() + `"]`
	r.want(http.StatusConflict, "POST", "/matrix_push/rejected/explain", `{"hash":"abcd"}`, `"error":"several`, candidates)
	r.want(http.StatusConflict, "POST", "/matrix_push/rejected/forget", `{"hash":"abcd0"}`, candidates)
	if len(r.store.records) != 2 {
		t.Errorf("one of them was forgotten: %v", r.store.records)
	}
	r.want(http.StatusOK, "POST", "/matrix_push/rejected/forget", `{"hash":"abcd01"}`, `"pushkey_hash":"`+a.String()+`","forgotten":1`)
	r.wait("org.example.ios", "1", a, false)
	r.wait("org.example.ios", "2", b, false)
	r.wait("org.example.ios", "3", rejected.Key{1}, false)
	r.want(http.StatusConflict, "POST", "/matrix_push/outbox/drop", `{"app":"org.example.ios","hash":"abcd"}`, candidates)
}

// identifying is a provider whose pushes go to the endpoint in a device's data.
type identifying struct{ *fakeProvider }

func (identifying) Target(d *providers.Device) string {
	var data struct{ Endpoint string }
	_ = json.Unmarshal(d.Data, &data)
	if !strings.HasPrefix(data.Endpoint, "https://") {
		return ""
	}
	return strings.ToLower(data.Endpoint)
}

// withEndpoints makes the app org.example.ios identify devices by their endpoints.
func (r *rig) withEndpoints() {
	r.gateway.Router.Configured("org.example.ios").Provider = identifying{r.provider}
}

func TestADeviceIsFoundByItsEndpointAndByItsPushkeyAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.withEndpoints()
	const explain, forget = "/matrix_push/rejected/explain", "/matrix_push/rejected/forget"
	device := func(more string) string { return `{"app_id":"org.example.ios","pushkey":"` + canary + `"` + more + `}` }
	one, two := `,"endpoint":"https://a.example/`+canary+`"`, `,"endpoint":"https://b.example/`+canary+`"`
	at := func(endpoint string) rejected.Key {
		return rejected.KeyAt("org.example.ios", canary, strings.ToLower(endpoint+canary))
	}
	a, b := at("https://a.example/"), at("https://b.example/")
	reject := func(keys ...rejected.Key) {
		for _, k := range keys {
			_ = r.store.Reject(t.Context(), k, rejected.Verdict{App: "org.example.ios", Reason: "gone", At: today})
		}
	}
	r.want(http.StatusOK, "POST", explain, device(""), `"waiting":false`, `"note":"without an endpoint`)
	if answer := r.want(http.StatusOK, "POST", explain, device(one), `"pushkey_hash":"`+a.String()); strings.Contains(answer, "note") {
		t.Errorf("it notes something: %s", answer)
	}
	reject(a)
	r.want(http.StatusOK, "POST", explain, device(""), `"pushkey_hash":"`+a.String(), `"reason":"gone"`)
	r.want(http.StatusOK, "POST", explain, device(strings.Replace(one, "a.example", "A.example", 1)), `"reason":"gone"`)
	if answer := r.want(http.StatusOK, "POST", explain, device(two), `"pushkey_hash":"`+b.String()); strings.Contains(answer, "gone") {
		t.Errorf("the other endpoint is explained as %s", answer)
	}
	r.want(http.StatusOK, "POST", forget, device(two), `"forgotten":0`)
	reject(b)
	r.want(http.StatusConflict, "POST", explain, device(""), `several endpoints`, a.String(), b.String())
	r.want(http.StatusOK, "POST", forget, device(one), `"pushkey_hash":"`+a.String()+`","forgotten":1`)
	reject(a, rejected.KeyOf("org.example.ios", canary), rejected.KeyOf("org.example.ios", "another"))
	r.want(http.StatusOK, "POST", forget, device(""), `{"forgotten":3}`)
	if len(r.store.records) != 1 {
		t.Errorf("left are %v", r.store.records)
	}
	for _, refused := range []string{
		device(`,"endpoint":"http://a.example/"`), `{"hash":"` + a.String() + `"` + one + `}`,
		strings.Replace(device(one), "org.example.ios", "org.example.mac", 1), strings.Replace(device(one), "org.example.ios", "com.example", 1),
	} {
		r.want(http.StatusBadRequest, "POST", explain, refused)
		r.want(http.StatusBadRequest, "POST", forget, refused)
	}
}

func TestARejectionIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.reject("org.example.ios", "org.example.ios", canary, today)
	device := `{"app_id":"org.example.ios","pushkey":"` + canary + `"}`
	r.want(http.StatusOK, "POST", "/matrix_push/rejected/forget", device, `"forgotten":1`)
	r.want(http.StatusOK, "POST", "/matrix_push/rejected/forget", device, `"forgotten":0`)
	if len(r.store.records) != 0 {
		t.Errorf("left are %v", r.store.records)
	}
}

func TestAnAppsRejectionsSinceATimeAreForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 5 {
		r.reject("org.example.ios", "org.example.ios", canary+strings.Repeat("x", i), today.Add(time.Duration(i)*time.Hour))
	}
	r.reject("org.example.*", "org.example.mac", canary, today.Add(5*time.Hour))
	r.want(http.StatusOK, "POST", "/matrix_push/rejected/forget", `{"app":"org.example.ios","since":"2026-03-14T14:00:00Z"}`, `{"forgotten":3}`)
	if len(r.store.records) != 3 {
		t.Errorf("left are %v", r.store.records)
	}
	r.want(http.StatusNotFound, "POST", "/matrix_push/rejected/forget", `{"app":"com.example","since":"1970-01-01T00:00:00Z"}`, "no app")
}

// picky is a provider that checks a device as unifiedpush and webpush do: it accepts only https, and data must be a whole subscription.
type picky struct{ *fakeProvider }

func (picky) Usable(d *providers.Device, _ providers.Site) error {
	if !strings.HasPrefix(d.Pushkey, "https:") {
		return &providers.UnusableError{Reason: "bad_endpoint", Err: errors.New("it is not an https URL")}
	}
	return nil
}

type pickySubscription struct{ identifying }

func (pickySubscription) Usable(d *providers.Device, _ providers.Site) error {
	var data struct{ Endpoint, Auth string }
	_ = json.Unmarshal(d.Data, &data)
	auth, err := base64.RawURLEncoding.DecodeString(data.Auth)
	switch {
	case !strings.HasPrefix(data.Endpoint, "https:"):
		return &providers.UnusableError{Reason: "bad_subscription", Err: errors.New("endpoint: it is not an https URL")}
	case err != nil || len(auth) != 16:
		return &providers.UnusableError{Reason: "bad_subscription", Err: errors.New("auth: it has not 16 bytes")}
	case strings.HasPrefix(d.Pushkey, "short"):
		return &providers.UnusableError{Reason: "bad_subscription", Err: errors.New("p256dh: it is not a point of P-256")}
	}
	return nil
}

// https://github.com/binwiederhier/ntfy-android/issues/130: such a pushkey was rejected without an explanation.
func TestAnUnusableDeviceIsExplained(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.gateway.Router.Apps()[0].Provider = picky{r.provider}
	r.gateway.Router.Apps()[1].Provider = pickySubscription{identifying{fakeProvider: r.provider}}
	const path, picky, subscription = "/matrix_push/rejected/explain", `"app_id":"org.example.up","pushkey":`, `"app_id":"org.example.ios","pushkey":`
	hash := rejected.KeyOf("org.example.up", "http://192.168.1.10:8080/"+canary)
	for _, tt := range []struct {
		name, device, want string
	}{
		{"an endpoint that is not https", picky + `"http://192.168.1.10:8080/` + canary + `"`, `"unusable":{"reason":"bad_endpoint","detail":"it is not an https URL"}`},
		{"one that is", picky + `"https://192.168.1.10:8080/` + canary + `"`, ``},
		{"one that only its hash names", `"hash":"` + hash.String() + `"`, ``},
		{"a subscription at an endpoint that is not https", subscription + `"p256dh","endpoint":"http://a.example/` + canary + `"`, `"unusable":{"reason":"bad_subscription","detail":"endpoint: it is not an https URL"}`},
		{"one whose key is not a key", subscription + `"short","endpoint":"https://a.example/` + canary + `"`, `"detail":"p256dh: it is not a point of P-256"`},
		{"a subscription whose auth nobody is asked for", subscription + `"p256dh","endpoint":"https://a.example/` + canary + `"`, ``},
		{"a subscription without its endpoint, of which too little is known", subscription + `"p256dh"`, ``},
		{"one whose key is not a key, without its endpoint", subscription + `"short"`, `"detail":"p256dh: it is not a point of P-256"`},
		{"a whole subscription that is broken", subscription + `"{broken"`, `"reason":"bad_subscription"`},
		{"data without auth", subscription + `"p256dh","data":{"endpoint":"https://a.example/` + canary + `","auth":""}`, `"detail":"auth: it has not 16 bytes"`},
		{"data that are complete", subscription + `"p256dh","data":{"endpoint":"https://a.example/` + canary + `","auth":"AAAAAAAAAAAAAAAAAAAAAA"}`, ``},
		{"of no app", `"app_id":"com.example","pushkey":"http://a.example"`, `"unusable":{"reason":"unknown_app","explanation":"no app or site serves the device`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := *r
			r.t = t
			_, _, answer := r.do("POST", path, "{"+tt.device+"}")
			if got := strings.Contains(answer, "unusable"); got != (tt.want != "") || !strings.Contains(answer, tt.want) {
				t.Errorf("answered %s, want %q", answer, tt.want)
			}
		})
	}
}
