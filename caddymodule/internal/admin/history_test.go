package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestV24_TheHistoryHasAnHourOfMinutesForEachApp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	idle := strings.Repeat("0,", 59)
	r.want(http.StatusOK, "GET", "/matrix_push/history", "",
		`{"since":"2026-03-14T11:01:00Z","minutes":60,"apps":[{"app":"org.example.*","outcomes":{}},{"app":"org.example.ios","outcomes":{}}]}`)

	for _, event := range []string{"$1", "$2"} {
		request, err := gateway.Decode([]byte(`{"notification":{"event_id":"`+event+`","devices":[
			{"app_id":"org.example.ios","pushkey":"`+canary+`"}]}}`), 1)
		if err != nil {
			t.Fatal(err)
		}
		r.gateway.Notify(request, providers.Site{}, func(*gateway.App) bool { return true })
		r.provider.outcome = providers.Dropped("too_large", nil)
	}
	all := r.want(http.StatusOK, "GET", "/matrix_push/history", "",
		`{"app":"org.example.ios","outcomes":{"delivered":[`+idle+`1],"dropped":[`+idle+`1]}}`)
	if one := r.want(http.StatusOK, "GET", "/matrix_push/history?app=org.example.ios", ""); strings.Contains(one, "org.example.*") || len(one) >= len(all) {
		t.Errorf("another app is in %s", one)
	}
	r.want(http.StatusNotFound, "GET", "/matrix_push/history?app=org.example.x", "", `there is no app \"org.example.x\"`)
}
