package e2e

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/prosodytest"
)

func TestX22_ADeviceRegistersAsConversationsDoesAndIsPushedTo(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{component: "app " + xmppApp + " {\nregister fcm\n}\ncoalesce 0s\n"})
	token := fcmToken("alice")
	alice := s.login("alice")
	alice.Send(registration("reg", "", prosodytest.Component, "phone", token))
	fields := formOf(alice.Expect("iq", "reg"))
	if fields["jid"] != prosodytest.Component || fields["node"] == "" || fields["secret"] == "" {
		t.Fatalf("the registration is answered with %d fields", len(fields))
	}
	noteNode(fields["node"])
	canaries.noteOpaque(aCredential, fields["secret"])
	alice.EnablePush(fields["jid"], fields["node"], publishOptions("secret", fields["secret"]))
	alice.Logout()
	s.write("alice", "a message for a registered device")
	account := sha1.Sum([]byte("alice@" + prosodytest.Domain + "\x00phone"))
	if got := s.requests(token, 1)[0].Data["account"]; got != hex.EncodeToString(account[:]) {
		t.Errorf("the account is %q", got)
	}
	// carol knows the node, but not its secret.
	s.offline("carol", fields["node"], publishOptions("secret", "another one"))
	s.write("carol", "a message for a stolen node")
	s.wantAnswers(answers{result: 1, wait: 1})
	s.gateway.alarm(t, "secret_wrong")
	s.requests(token, 1)
	s.wantKept()
}

func TestX22_ANodeIsOfNoUseToAnotherDomain(t *testing.T) {
	t.Parallel()
	g, e := newGoogle(t), newEjabberd(t)
	p, _ := e.gateway(stateless+g.app(xmppApp, "", ""), "app "+xmppApp+" {\nregister fcm\n}\ncoalesce 0s\n")
	node, secret := e.register("alice@ej.test/phone")
	e.want("wait remote-server-timeout", "thief.test", node, "secret", secret)
	p.alarm(t, "node_invalid")
	e.want("result", "ej.test", node, "secret", secret)
	if n := len(g.Requests()); n != 1 {
		t.Errorf("FCM got %d requests", n)
	}
}

func TestX23_ADeviceRegistersAsSiskinDoesAndGetsWhatIsEncrypted(t *testing.T) {
	t.Parallel()
	a, e := newApple(t), newEjabberd(t)
	const payload = "payload `{\"aps\":{\"alert\":{\"title\":\"New message\"},\"mutable-content\":1,\"sound\":\"default\"}}`\n"
	e.gateway(stateless+a.app("im.example.ios", "", ""), "app im.example.ios {\nregister tigase:messenger:apns:1\n"+payload+"}\ncoalesce 0s\n")
	_, path := deviceToken("alice")
	canaries.noteOpaque(aPushkey, path)
	e.send(`<iq type='set' id='reg' from='alice@ej.test/phone' to='` + e.Domain + `'>` +
		`<command xmlns='http://jabber.org/protocol/commands' node='register-device' action='execute'>` +
		`<x xmlns='jabber:x:data' type='submit'><field var='provider'><value>tigase:messenger:apns:1</value></field>` +
		`<field var='device-token'><value>` + path + `</value></field></x></command></iq>`)
	until(t, "the registration is answered", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.fields["node"] != ""
	})
	node := e.fields["node"]
	if e.fields["features"] != "tigase:push:encrypt:0" {
		t.Errorf("the features are %q", e.fields["features"])
	}
	for i, kind := range []string{"", " type='voip'"} {
		text := fmt.Sprintf("Jx2XUUPVsecret%dfGw7aNyO+lY=", i)
		canaries.noteOpaque(aText, text)
		e.send(publishing(fmt.Sprint("tigase", i), "ej.test", e.Domain, node,
			"<encrypted xmlns='tigase:push:encrypt:0' iv='TSc+YBa3Wg0VAHUY'"+kind+">"+text+"</encrypted>"+
				"<priority xmlns='tigase:push:priority:0'>"+map[string]string{"": "high"}[kind]+"</priority>", ""))
		if got := e.answer(fmt.Sprint("tigase", i)); got != "result" {
			t.Errorf("it is answered with %s", got)
		}
		pushes := a.taken(t, path, i+1)
		var got struct {
			Aps struct {
				Alert          json.RawMessage
				MutableContent int `json:"mutable-content"`
			}
			Encrypted, IV, Type string
		}
		if err := json.Unmarshal(pushes[i].Payload, &got); err != nil {
			t.Fatal(err)
		}
		if got.Encrypted != text || got.IV != "TSc+YBa3Wg0VAHUY" || len(got.Aps.Alert) == 0 || got.Aps.MutableContent != 1 {
			t.Errorf("the payload is %s", pushes[i].Payload)
		}
		if want := []string{"", "voip"}[i]; got.Type != want {
			t.Errorf("the type is %q, want %q", got.Type, want)
		}
		if priority := pushes[i].Header.Get("apns-priority"); priority != "10" && priority != "" {
			t.Errorf("the priority is %s", priority)
		}
	}
}

func TestX24_ADeviceRegistersAsMonalDoes(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{
		apps:      func(g *google) string { return g.app("im.example.beta", "", "") },
		component: "app " + xmppApp + " {\ndefault\n}\napp im.example.beta {\nmodule monalBeta\n}\ncoalesce 0s\n",
	})
	for user, options := range map[string]string{
		"alice": publishOptions("secret", "eruio234vzxc2kla-91", "another", "field", "pushModule", "monalBeta"),
		"carol": "",
		"dave":  publishOptions("pushModule", "monalOld"),
	} {
		s.offline(user, fcmToken(user), options)
		s.write(user, "a message for a device of Monal")
	}
	s.wantAnswers(answers{result: 2, wait: 1})
	s.requests(fcmToken("alice"), 1)
	s.requests(fcmToken("carol"), 1)
	s.requests(fcmToken("dave"), 0)
	s.gateway.alarm(t, "app_missing")
	s.wantKept()
	all, _ := s.gateway.scrape()
	for _, app := range []string{xmppApp, "im.example.beta"} {
		if n := all.total("pushes_total", `app="`+app+`"`); n != 1 {
			t.Errorf("%s: %v pushes are counted", app, n)
		}
	}
}

func TestX25_ANodeSurvivesARestartAndEndsAfterTwoRotations(t *testing.T) {
	t.Parallel()
	g, e := newGoogle(t), newEjabberd(t)
	p, config := e.gateway(stateless+g.app(xmppApp, "", ""), "app "+xmppApp+" {\nregister fcm\n}\ncoalesce 0s\n")
	node, secret := e.register("alice@ej.test/phone")
	p.terminate()
	p.start(config)
	e.connected()
	e.want("result", "ej.test", node, "secret", secret)

	last := map[byte]string{'A': "E"}[node[len(node)-5]]
	if last == "" {
		last = "A"
	}
	e.want("wait remote-server-timeout", "ej.test", node[:len(node)-5]+last+node[len(node)-4:], "secret", secret)
	p.running("", "xmpp", "rotate-keys", e.Domain).want(t, 0, "new key")
	e.want("result", "ej.test", node, "secret", secret)
	p.running("", "xmpp", "rotate-keys", e.Domain).want(t, 0, "new key")
	if n := e.lost(); n != 0 {
		t.Fatalf("%d registrations were removed", n)
	}
	e.want("cancel item-not-found", "ej.test", node, "secret", secret)
	if n := len(g.Requests()); n != 2 {
		t.Errorf("FCM got %d requests", n)
	}
}
