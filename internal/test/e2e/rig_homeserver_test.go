package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// reply is the gateway's answer to a request.
type reply struct {
	Status   int
	Header   http.Header
	Body     string
	Rejected []string // of an answer 200
	ErrCode  string   // of any other answer
}

// homeserver sends requests to the gateway as a homeserver does.
type homeserver struct {
	t      *testing.T
	client *http.Client
	url    string
}

// homeserver returns a homeserver that speaks HTTP/1.1 and keeps its connections open, as Synapse does.
func (p *process) homeserver() *homeserver {
	return &homeserver{t: p.t, client: p.client(false), url: p.url()}
}

// notify posts a body. The test fails if there is no answer.
func (h *homeserver) notify(body string) reply {
	h.t.Helper()
	r, err := h.try(body)
	if err != nil {
		h.t.Fatalf("no answer: %v", err)
	}
	return r
}

// insist posts a body until there is an answer, because Caddy resets some connections of HTTP/1.1 at a reload.
func (h *homeserver) insist(body string) reply {
	h.t.Helper()
	var failed error
	for range 10 {
		r, err := h.try(body)
		if err == nil {
			return r
		}
		failed = err
	}
	h.t.Fatalf("no answer: %v", failed)
	return reply{}
}

// try posts a body.
func (h *homeserver) try(body string) (reply, error) {
	return h.do(http.MethodPost, h.url, body)
}

// repeat posts a body until it is answered with 200, as homeservers do.
func (h *homeserver) repeat(body string) reply {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	for {
		r := h.notify(body)
		if r.Status == http.StatusOK {
			return r
		}
		select {
		case <-ctx.Done():
			h.t.Fatalf("still answered %d: %s", r.Status, r.Body)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// do makes a request. It repeats a request that was never sent.
func (h *homeserver) do(method, url, body string) (r reply, err error) {
	for range 10 {
		if r, err = h.doOnce(method, url, body); !errors.Is(err, errNotConnected) {
			break
		}
	}
	return r, err
}

func (h *homeserver) doOnce(method, url, body string) (reply, error) {
	req, err := http.NewRequestWithContext(h.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := send(h.client, req)
	if err != nil {
		return reply{}, err
	}
	return readReply(resp)
}

func readReply(resp *http.Response) (reply, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	var fields struct {
		Rejected []string `json:"rejected"`
		ErrCode  string   `json:"errcode"`
	}
	if json.Unmarshal(body, &fields) == nil {
		r.Rejected, r.ErrCode = fields.Rejected, fields.ErrCode
	}
	return r, nil
}

// device is one of a request's devices. A nil PushkeyTS leaves it out.
type device struct {
	AppID     string         `json:"app_id"`
	Pushkey   string         `json:"pushkey"`
	PushkeyTS *int64         `json:"pushkey_ts,omitempty"`
	Data      map[string]any `json:"data,omitempty"`
	Tweaks    map[string]any `json:"tweaks,omitempty"`
}

// alert returns a message in the full format as Synapse sends it, for any number of devices.
func alert(eventID string, devices ...device) string {
	return compose(map[string]any{
		"id": eventID, "event_id": eventID, "room_id": "!room:hs.test", "type": "m.room.message", "sender": "@alice:hs.test",
		"sender_display_name": "Alice", "room_name": "The room", "prio": "high",
		"content": map[string]any{"msgtype": "m.text", "body": "the secret content"},
		"counts":  map[string]any{"unread": 2},
	}, devices)
}

// badge returns a badge update as Synapse sends it.
func badge(unread int, devices ...device) string {
	return compose(map[string]any{
		"id": "", "type": nil, "sender": "", "counts": map[string]any{"unread": unread},
	}, devices)
}

func compose(notification map[string]any, devices []device) string {
	if devices == nil {
		devices = []device{}
	}
	notification["devices"] = devices
	b, err := json.Marshal(map[string]any{"notification": notification})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// at returns a pushkey_ts, in seconds.
func at(seconds int64) *int64 { return &seconds }

// webPushDevice returns a browser's subscription in Sygnal's form.
func webPushDevice(s providertest.Subscription) device {
	return device{
		AppID: "org.example.web", Pushkey: s.P256dh, PushkeyTS: at(1_700_000_000),
		Data: map[string]any{"endpoint": s.Endpoint, "auth": s.Auth},
	}
}

// upDevice returns a UnifiedPush endpoint without keys.
func upDevice(endpoint string) device {
	return device{AppID: "org.example.up", Pushkey: endpoint, PushkeyTS: at(1_700_000_000)}
}

// pushServer is a push service on loopback that verifies what it receives.
type pushServer struct {
	*providertest.PushService
	*providertest.TLSServer
}

func newPushServer(t *testing.T) *pushServer {
	t.Helper()
	service := providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true})
	server := providertest.NewTLSServer(t, received(service))
	service.SetOrigin(server.URL)
	t.Cleanup(service.Close)
	return &pushServer{service, server}
}

// global returns the matrix_push block in which both providers use this push server.
func (s *pushServer) global(more string) string {
	return `app org.example.web {
		webpush {
			vapid_subject mailto:ops@example.org
			trusted_ca ` + s.CAFile + `
			allow_private 127.0.0.0/8
			proxy none
		}
		badges on
		wait 20s
	}
	app org.example.up {
		unifiedpush {
			trusted_ca ` + s.CAFile + `
			allow_private 127.0.0.0/8
			proxy none
		}
		wait 20s
	}
	` + more
}

// answerGone is a push server's answer that a subscription is dead.
var answerGone = providertest.Answer{Status: http.StatusGone}

// eventIDOnly returns an event in the format event_id_only as Synapse sends it.
func eventIDOnly(devices ...device) string { return eventIDOnlyOf("$1", devices...) }

func eventIDOnlyOf(eventID string, devices ...device) string {
	return compose(map[string]any{
		"event_id": eventID, "room_id": "!room:hs.test", "prio": "high", "counts": map[string]any{"unread": 2},
	}, devices)
}
