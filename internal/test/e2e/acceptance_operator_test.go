package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// R15 of docs/acceptance.md: an operator makes the gateway forget a rejection, with each store, and however they name the device.

func TestR15_AForgottenRejectionIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"file", "memory", "redis"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := newPushServer(t)
			p := newProcess(t)
			store := name
			if store == "redis" {
				store += " " + redistest.Start(t).URL + unhurried
			}
			p.start(gatewayConfig(service.global("rejected "+store), "matrix_push"))
			hs := p.homeserver()
			for _, how := range []string{"by its values", "by its hash", "by what the log shows of it", "by its app"} {
				d := upDevice(service.Endpoint(strings.ReplaceAll(how, " ", "-")))
				hash := rejected.KeyOf(d.AppID, d.Pushkey)
				service.Answer(d.Pushkey, answerGone)
				wantBody(t, hs.notify(alert("$1", d)), rejecting(d.Pushkey))
				service.Answer(d.Pushkey)
				wantBody(t, hs.notify(alert("$2", d)), rejecting(d.Pushkey)) // as long as the operator does nothing

				selector := map[string]string{
					"by its values":               `{"app_id":"` + d.AppID + `","pushkey":"` + d.Pushkey + `"}`,
					"by its hash":                 `{"hash":"` + hash.String() + `"}`,
					"by what the log shows of it": `{"hash":"` + hash.Short() + `"}`,
					"by its app":                  `{"app":"org.example.up","since":"2000-01-01T00:00:00Z"}`,
				}[how]
				status, answer := p.adminDo(http.MethodPost, "/matrix_push/rejected/forget", selector)
				if status != http.StatusOK || !strings.Contains(answer, `"forgotten":1`) {
					t.Errorf("%s: answered %d %s", how, status, answer)
				}
				wantBody(t, hs.notify(alert("$3", d)), nothingRejected)
				if n := len(service.Messages(d.Pushkey)); n != 2 {
					t.Errorf("%s: %d pushes arrived, want the one that was refused and the last", how, n)
				}
			}
			if name == "memory" {
				return
			}
			p.kill()
			p.start(gatewayConfig(service.global("rejected "+store), "matrix_push"))
			d := upDevice(service.Endpoint("by-its-hash"))
			wantBody(t, p.homeserver().notify(alert("$4", d)), nothingRejected)
		})
	}
}

func TestTheOperatorLooksIntoAnOutboxInRedis(t *testing.T) {
	t.Parallel()
	s := newSharedScene(t, 2, unhurried, "")
	d := s.phone("phone")
	s.set(behaviour{status: http.StatusServiceUnavailable}, d)
	hs := s.homeserver(s.gateways[0])
	for _, id := range []string{"$1", "$2", "$3"} {
		wantBody(t, hs.notify(alert(id, d)), nothingRejected)
	}
	other := s.gateways[1] // it got none of them
	other.running("", "outbox", "list").want(t, 0, d.AppID+"  3        1 ")
	hash := rejected.KeyOf(d.AppID, d.Pushkey).String()
	other.running("", "outbox", "list", "--app", d.AppID).want(t, 0, hash)
	other.running("", "outbox", "drop", "--app", d.AppID, "--hash", hash).want(t, 0)
	s.gateways[0].running("", "status").want(t, 0, "Outbox: redis.")
	status, answer := s.gateways[0].adminDo(http.MethodGet, "/matrix_push/outbox", "")
	if status != http.StatusOK || strings.Contains(answer, `"entries":3`) {
		t.Errorf("after they were dropped: %d %s", status, answer)
	}
}
