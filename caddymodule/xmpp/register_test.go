package xmpp

import (
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// registration is a registration as of p2's clients.
func registration(service string) string {
	return `<iq id='r' type='set' from='alice@example.test/phone' to='` + serviceJID + `'><command xmlns='http://jabber.org/protocol/commands' ` +
		`node='register-push-` + service + `' action='execute'><x xmlns='jabber:x:data' type='submit'><field var='token'><value>TOKEN</value></field>` +
		`<field var='android-id'><value>device</value></field></x></command></iq>`
}

// register registers as p2's clients do, and returns the node and its secret.
func register(r *rig, service string) (node, secret string) {
	r.Helper()
	e := r.ask(registration(service))
	if !strings.Contains(e.Inner, "status='completed'") || !strings.Contains(e.Inner, "<value>"+serviceJID+"</value>") {
		r.Errorf("a registration is answered with %s", e.Inner)
	}
	return nodeOf(e)
}

func TestX22_AClientOfP2IsPushedToByItsServerAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	node, secret := register(r, "fcm")
	if again, _ := register(r, "fcm"); again != node {
		t.Error("the same registration has another node")
	}
	r.want(publishing{node: node, secret: secret, body: "New message"}, "result")
	r.want(publishing{node: node, secret: "other", body: "New message"}, wait)
	r.want(publishing{node: node, secret: secret, body: "New message", from: "other.test"}, wait)
	pushes := r.engine.all()
	if len(pushes) != 1 {
		t.Fatalf("there are %d pushes", len(pushes))
	}
	// SHA-1 of "alice@example.test", NUL, "device".
	const account = `{"default_payload":{"account":"`
	if p := pushes[0]; p.device.AppID != "android" || p.device.Pushkey != "TOKEN" || !strings.HasPrefix(string(p.device.Data), account) {
		t.Errorf("got %+v", p.device)
	}
	e := r.ask(`<iq id='u' type='set' from='alice@example.test/phone' to='` + serviceJID + `'><command xmlns='http://jabber.org/protocol/commands' node='unregister-push-fcm'/></iq>`)
	if !strings.Contains(e.Inner, "status='completed'") {
		t.Errorf("a client that unregisters gets %s", e.Inner)
	}
}

func TestX23_APushOfTigaseCarriesWhatIsEncrypted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.ask(`<iq id='r' type='set' from='alice@example.test/phone' to='` + serviceJID + `'><command xmlns='http://jabber.org/protocol/commands' node='register-device'>` +
		`<x xmlns='jabber:x:data' type='submit'><field var='provider'><value>tigase:messenger:apns:1</value></field>` +
		`<field var='device-token'><value>abcd</value></field></x></command></iq>`)
	_, after, _ := strings.Cut(e.Inner, "var='node' type='text-single'><value>")
	node, _, _ := strings.Cut(after, "</value>")
	if !strings.Contains(e.Inner, "tigase:push:encrypt:0") {
		t.Errorf("a registration is answered with %s", e.Inner)
	}
	r.want(publishing{node: node, more: `<encrypted xmlns='tigase:push:encrypt:0' iv='IV' type='voip'>DATA</encrypted>`}, "result")
	r.want(publishing{node: node, more: `<encrypted xmlns='tigase:push:encrypt:0' iv='IV'>DATA</encrypted>`}, "result")
	pushes := r.engine.all()
	const data = `{"default_payload":{"aps":{"alert":"New message"},"encrypted":"DATA","iv":"IV","type":"voip"}}`
	if p := pushes[0]; p.device.Pushkey != "abcd" || string(p.device.Data) != data || p.notification.Prio != providers.PrioHigh {
		t.Errorf("a call is pushed as %+v %s", p.notification, p.device.Data)
	}
	if p := pushes[1]; p.notification.Prio != providers.PrioLow {
		t.Errorf("a push without a priority is pushed as %+v", p.notification)
	}
}

func TestX25_AfterTwoRotationsTheOldestNodeEndsUnlessMostAreThatOld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	node, secret := register(r, "fcm")
	for range 2 {
		r.want(publishing{node: node, secret: secret, body: "x"}, "result")
		if _, err := r.service.ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.want(publishing{node: node, secret: secret, body: "x"}, gone)
	r.engine.hold = true
	r.want(publishing{node: node, secret: secret, body: "x"}, wait)
	if got := r.alarms(); got != "" {
		t.Errorf("what strangers can cause raises the alarms %s", got)
	}
	r.engine.alarm = true
	r.want(publishing{node: node, secret: secret, body: "x"}, wait)
	if got := r.alarms(); got != "keys_retired example.test 1" {
		t.Errorf("the alarms are %s", got)
	}
}

// nodeOf returns the node and the secret in the answer to a registration.
func nodeOf(e *xmpptest.Element) (node, secret string) {
	value := func(name string) string {
		_, after, _ := strings.Cut(e.Inner, "var='"+name+"' type='text-single'><value>")
		value, _, _ := strings.Cut(after, "</value>")
		return value
	}
	return value("node"), value("secret")
}
