package e2e

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/autopushtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// browserScene is a real Firefox with its push service, a gateway, and a homeserver. The gateway's site without TLS also serves a web
// client, the files in testdata/browser.
type browserScene struct {
	t       *testing.T
	service *autopushtest.Service
	firefox *browsertest.Browser
	gateway *process
	hs      *homeserver
}

// newBrowserScene starts a scene. The app org.example.web has webpush's defaults, and org.example.badges gets badge updates.
func newBrowserScene(t *testing.T) browserScene {
	t.Helper()
	service := autopushtest.New(t, received)
	firefox := browsertest.Firefox(t, browsertest.PushService(service.WebSocket))
	files, err := filepath.Abs("testdata/browser")
	if err != nil {
		t.Fatal(err)
	}
	app := func(id, options string) string {
		return "app " + id + ` {
			webpush {
				vapid_subject mailto:ops@example.org
				trusted_ca ` + service.CAFile + `
				allow_private 127.0.0.0/8
				proxy none
			}
			wait 20s
			` + options + `
		}
		`
	}
	gateway := newProcess(t)
	gateway.start(gatewayConfig("rejected memory\n"+app("org.example.web", "")+app("org.example.badges", "badges on"), "matrix_push") + `
		http://localhost:{port2}, http://127.0.0.1:{port2} {
			matrix_push {
				plaintext allow
			}
			root ` + files + `
			file_server
		}`)
	return browserScene{t, service, firefox, gateway, gateway.homeserver()}
}

// subscribe opens the web client at one of the gateway's hosts as a person does, and returns the pusher that it would register.
func (s browserScene) subscribe(host, appID string) (*browsertest.Page, device) {
	s.t.Helper()
	page := s.firefox.Open("http://" + host + ":" + strconv.Itoa(s.gateway.port2) + "/page.html?app_id=" + url.QueryEscape(appID))
	page.Click("#subscribe")
	page.Wait(`document.getElementById("subscription").textContent`)
	var subscription struct {
		Endpoint string
		Keys     struct{ P256dh, Auth string }
	}
	if err := json.Unmarshal([]byte(page.Text("#subscription")), &subscription); err != nil {
		s.t.Fatal("the page could not subscribe")
	}
	canaries.note(anEndpoint, subscription.Endpoint)
	return page, device{
		AppID: appID, Pushkey: subscription.Keys.P256dh, PushkeyTS: at(1_700_000_000),
		Data: map[string]any{"endpoint": subscription.Endpoint, "auth": subscription.Keys.Auth},
	}
}

// subscription returns the subscription of a device, after the browser has answered a number of messages there.
func (s browserScene) subscription(d device, messages int) autopushtest.Subscription {
	s.t.Helper()
	endpoint, _ := d.Data["endpoint"].(string)
	return s.service.WaitAcks(endpoint, messages)
}
