package e2e

import (
	"encoding/json"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// scene is a push service, a gateway in front of it, and a homeserver that knows the gateway.
type scene struct {
	t       *testing.T
	service *pushServer
	gateway *process
	hs      *homeserver
}

// newScene starts a gateway with both providers, more in its global block, and the site's body.
func newScene(t *testing.T, more, site string) scene {
	t.Helper()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\n"+more), site)
	return scene{t, service, gateway, gateway.homeserver()}
}

// newSceneOf returns a scene with these global options, and the configuration to start the gateway again.
func newSceneOf(t *testing.T, options string) (s scene, config string) {
	t.Helper()
	service, gateway := newPushServer(t), newProcess(t)
	config = gatewayConfig(service.global(options), "matrix_push")
	gateway.start(config)
	return scene{t, service, gateway, gateway.homeserver()}, config
}

// pushes returns the messages at an endpoint. It wants n of them, without violations. After a 200, the message has already arrived.
func (s scene) pushes(endpoint string, n int) []providertest.Message {
	s.t.Helper()
	messages := s.service.Messages(endpoint)
	if len(messages) != n {
		s.t.Fatalf("%d pushes arrived, want %d", len(messages), n)
	}
	for _, m := range messages {
		if len(m.Violations) > 0 {
			s.t.Errorf("a push breaks rules: %v", m.Violations)
		}
	}
	return messages
}

// push returns the only message at an endpoint, and its notification.
func (s scene) push(endpoint string) (providertest.Message, map[string]any) {
	s.t.Helper()
	m := s.pushes(endpoint, 1)[0]
	var body map[string]any
	if err := json.Unmarshal(m.Body, &body); err != nil {
		s.t.Fatal(err)
	}
	if n, ok := body["notification"].(map[string]any); ok {
		return m, n // UnifiedPush wraps the notification
	}
	return m, body
}

// unreadOf returns the unread count of a push of either provider, or nil if it has none.
func unreadOf(notification map[string]any) any {
	if counts, ok := notification["counts"].(map[string]any); ok {
		return counts["unread"]
	}
	return notification["unread"]
}

// moreUp returns a second UnifiedPush app with its own options.
func (s *pushServer) moreUp(appID, options string) string {
	return `app ` + appID + ` {
		unifiedpush {
			trusted_ca ` + s.CAFile + `
			allow_private 127.0.0.0/8
			proxy none
		}
		` + options + `
	}
	`
}

// dead returns an endpoint that the gateway has just found dead, as of the device's pushkey_ts.
func (s scene) dead(topic string) device {
	s.t.Helper()
	d := upDevice(s.service.Endpoint(topic))
	s.service.Answer(d.Pushkey, answerGone)
	wantBody(s.t, s.hs.notify(alert("$condemned", d)), rejecting(d.Pushkey))
	s.pushes(d.Pushkey, 1)
	return d
}

// registered returns the device after a new registration.
func registered(d device, ts *int64) device {
	d.PushkeyTS = ts
	return d
}
