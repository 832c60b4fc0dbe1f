package admin

import (
	"net/http"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestAPreviewIsServedAndNothingSent(t *testing.T) {
	t.Parallel()
	const device = `{"app_id":"org.example.ios","pushkey":"` + canary + `"}`
	r := newRig(t)
	r.want(http.StatusOK, "POST", "/matrix_push/preview", `{"notification":{"event_id":"$mine","room_name":null,"devices":[`+device+`]}}`,
		`"app":"org.example.ios","provider":"fake"`, `"content":"event_id_only","withheld":["content","sender","sender_display_name","type"]`,
		`"requests":[{"method":"POST","url":"https://push.example.net/…","headers":{"ttl":"60"},"body":"{\"event_id\":\"$mine\"}",`+
			`"encrypted":false,"size":20,"omitted":[],"shortened":[]}],"result":"sent","on_record":false`)
	r.want(http.StatusOK, "POST", "/matrix_push/preview", `{"notification":{"devices":[`+device+`]}}`, `$THIS_IS_A_FAKE_EVENT_ID`)
	if r.provider.pushed != nil {
		t.Error("a push was sent")
	}

	r.want(http.StatusNotFound, "POST", "/matrix_push/preview", `{"notification":{"devices":[{"app_id":"com.example","pushkey":"`+canary+`"}]}}`,
		`no app serves \"com.example\"`)
	r.gateway.Sites = []gateway.Site{{Hosts: []string{"push.example.org"}, Accepts: func(string) bool { return false }}}
	r.want(http.StatusNotFound, "POST", "/matrix_push/preview", `{"site":"push.exmple.org","notification":{"devices":[`+device+`]}}`, "site: ")
	r.want(http.StatusBadRequest, "POST", "/matrix_push/preview", `{"notification":{"devices":[]}}`, "has 0 devices")
}

func TestAProviderThatShowsNothingSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.gateway.Router.Route("org.example.ios").Provider = struct{ providers.Provider }{r.provider}
	r.want(http.StatusNotImplemented, "POST", "/matrix_push/preview",
		`{"notification":{"devices":[{"app_id":"org.example.ios","pushkey":"`+canary+`"}]}}`,
		"the provider fake cannot show what it would send: ask its author to implement providers.Previewer")
}
