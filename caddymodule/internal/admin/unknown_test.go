package admin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// P13: a misspelt app was answered as if it had no records and no pending pushes.
func TestAMisspeltAppIsAnErrorWithTheNearestNameOnEveryRoute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const nearest = `there is no app \"org.exmple.ios\": did you mean \"org.example.ios\"? The apps are org.example.* and org.example.ios`
	const serves = `no app serves \"org.exmple.ios\": did you mean \"org.example.ios\"?`
	for _, tt := range []struct{ method, path, body, want string }{
		{"GET", "apps?app=org.exmple.ios", "", nearest},
		{"GET", "rejected?app=org.exmple.ios", "", nearest},
		{"POST", "rejected/forget", `{"app":"org.exmple.ios","since":"2026-01-01T00:00:00Z"}`, nearest},
		{"POST", "rejected/forget", `{"app_id":"org.exmple.ios","pushkey":"` + canary + `"}`, serves},
		{"GET", "outbox?app=org.exmple.ios", "", nearest},
		{"POST", "outbox/retry", `{"app":"org.exmple.ios"}`, nearest},
		{"POST", "outbox/drop", `{"app":"org.exmple.ios","all":true}`, nearest},
		{"POST", "fuses/reset", `{"app":"org.exmple.ios"}`, nearest},
		{"GET", "keys?app_id=org.exmple.ios", "", serves},
		{"POST", "send", `{"notification":{"devices":[{"app_id":"org.exmple.ios","pushkey":"` + canary + `"}]}}`, serves},
	} {
		r.want(http.StatusNotFound, tt.method, "/matrix_push/"+tt.path, tt.body, tt.want)
	}
	answer := r.want(http.StatusNotFound, "GET", "/matrix_push/outbox?app=nothing.like.it", "", `there is no app \"nothing.like.it\": the apps are `)
	if strings.Contains(answer, "did you mean") {
		t.Errorf("a name that is similar to nothing: %s", answer)
	}
	r.want(http.StatusNotFound, "GET", "/matrix_push/outbox?app="+strings.Repeat("x", 200), "", `there is no app \"`+strings.Repeat("x", 64)+`…\": the apps`)
}

func TestAnAppThatIsNoLongerConfiguredIsServedAndSaidSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.reject("org.gone", "org.gone", canary, today)
	r.wait("org.gone", "1", rejected.KeyOf("org.gone", canary), false)
	const not = `"configured":false`
	r.want(http.StatusOK, "GET", "/matrix_push/rejected?app=org.gone", "", `"app":"org.gone"`, not)
	r.want(http.StatusOK, "GET", "/matrix_push/outbox?app=org.gone", "", `"app":"org.gone"`, not)
	r.want(http.StatusOK, "POST", "/matrix_push/outbox/retry", `{"app":"org.gone"}`, not)
	r.want(http.StatusOK, "POST", "/matrix_push/outbox/drop", `{"app":"org.gone","all":true}`, `"dropped":1`, not)
	later := today.Add(time.Hour).Format(time.RFC3339)
	r.want(http.StatusOK, "POST", "/matrix_push/rejected/forget", `{"app":"org.gone","since":"`+later+`"}`, `"forgotten":0`, not)
	r.want(http.StatusOK, "POST", "/matrix_push/rejected/forget", `{"app":"org.gone","since":"2026-01-01T00:00:00Z"}`, `"forgotten":1`, not)
	if answer := r.want(http.StatusOK, "GET", "/matrix_push/rejected?app=org.example.ios", ""); strings.Contains(answer, "configured") {
		t.Errorf("a configured app is answered %s", answer)
	}
}
