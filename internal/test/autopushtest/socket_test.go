package autopushtest_test

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/matrix-push/caddy-matrix-push/internal/test/autopushtest"
)

// bodies reads messages, answers each, and returns their bodies.
func (b *browser) bodies(n int) (bodies string) {
	b.t.Helper()
	for range n {
		m := b.read("notification")
		data, _ := m["data"].(string)
		body, err := base64.RawURLEncoding.DecodeString(data)
		if err != nil {
			b.t.Fatal(err)
		}
		bodies += string(body)
		b.send(object{"messageType": "ack", "updates": []object{{"channelID": m["channelID"], "version": m["version"], "code": 100}}})
	}
	return bodies
}

func TestMessagesWaitForABrowserThatIsAway(t *testing.T) {
	t.Parallel()
	s := autopushtest.New(t)
	b, app := connect(t, s, ""), newServer(t, s)
	endpoint := b.register(channel, app.public)
	push := func(body string, topic, ttl string) {
		t.Helper()
		if status, _, _, _ := app.push(endpoint, body, set("Topic", topic), set("TTL", ttl)); status != 201 {
			t.Errorf("the answer is %d", status)
		}
	}
	push("a", "", "60")
	_ = b.read("notification") // without an answer, so it comes again
	_ = b.socket.CloseNow()
	s.WaitConnected(0)
	push("b", "", "60")
	push("c", "room", "60")
	push("d", "room", "60") // in place of c
	push("e", "", "0")      // for browsers that are there

	again := connect(t, s, b.uaid)
	if bodies := again.bodies(3); again.uaid != b.uaid || bodies != "abd" {
		t.Errorf("the browser with another name: %v, gets %s", again.uaid != b.uaid, bodies)
	}
	sub := s.WaitAcks(endpoint, 5)
	for i, dropped := range []bool{false, false, true, false, true} {
		if m := sub.Messages[i]; m.Dropped != dropped {
			t.Errorf("message %d is dropped: %v", i, m.Dropped)
		}
	}

	s.Hold()
	push("f", "room", "60")
	push("g", "room", "60")
	s.Release()
	s.Disconnect()
	third := connect(t, s, b.uaid)
	if bodies := third.bodies(1); bodies != "g" {
		t.Errorf("it gets %s", bodies)
	}
	s.WaitAcks(endpoint, 7) // else the fourth may get it too
	// A second connection of a browser closes the first.
	fourth := connect(t, s, b.uaid)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, data, err := third.socket.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the first connection is open: %d bytes, %v", len(data), err)
	}
	push("h", "", "60")
	if bodies := fourth.bodies(1); bodies != "h" {
		t.Errorf("it gets %s", bodies)
	}
}

func TestTheBrowsersProtocolIsDemanded(t *testing.T) {
	t.Parallel()
	s := autopushtest.New(t)
	for reason, m := range map[string]object{
		"Expected messageType=": {"messageType": "hello"},
		"Invalid UUID format":   {"messageType": "register", "channelID": "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0"},
		"unknown messageType":   {"messageType": "subscribe"},
	} {
		b := connect(t, s, "")
		b.send(m)
		b.wantClosed(reason)
	}

	first, _, err := websocket.Dial(t.Context(), s.WebSocket, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, socket: first}
	b.send(object{"messageType": "register", "channelID": channel})
	b.wantClosed("Expected messageType=")

	b = connect(t, s, "")
	b.send(object{"messageType": "register", "channelID": channel, "key": "AAAA"})
	if answer := b.read("register"); answer["status"] != 400.0 {
		t.Errorf("a key that is not one is answered with %v", answer)
	}
	b.send(object{"messageType": "broadcast_subscribe", "broadcasts": object{"remote-settings/monitor_changes": "1"}})
	if answer := b.read("broadcast"); answer["broadcasts"] == nil {
		t.Errorf("a broadcast is answered with %v", answer)
	}
	b.send(object{})
	_ = b.read("")
	b.send(object{})
	b.wantClosed("too many pings")
}
