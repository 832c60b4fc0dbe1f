package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/prosodytest"
)

func TestX34_WhateverAnXMPPComponentShowsHasNoSecret(t *testing.T) {
	t.Parallel()
	g, e := newGoogle(t), newEjabberd(t)
	p, _ := e.gateway(durable+g.app(xmppApp, "", "wait 1s"), xmppComponent+"rate 1000/s\n")
	node, secret := e.register("alice@ej.test/phone")
	e.want("result", "ej.test", node, "secret", secret)
	e.want("wait remote-server-timeout", "thief.test", node, "secret", secret)
	e.want("wait remote-server-timeout", "ej.test", node, "secret", "a guess of the secret")
	e.want("wait remote-server-timeout", "ej.test", fcmToken("bob"), "pushModule", "unknown-module-0")
	e.want("auth forbidden", "mallory@ej.test/x", fcmToken("bob"))
	dead, late := fcmToken("dead"), fcmToken("late")
	g.Unregister(dead)
	e.want("cancel item-not-found", "ej.test", dead)
	g.Answer(late, down)
	e.want("result", "ej.test", late)
	e.send("<iq type='set' id='odd' from='ej.test' to='" + e.Domain + "'>" +
		"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='" + node + "'/></pubsub></iq>")

	for _, path := range []string{"/metrics", "/config/", "/matrix_push/status", "/matrix_push/health/ready", "/matrix_push/xmpp/keys"} {
		p.adminDo(http.MethodGet, path, "")
	}
	for _, args := range [][]string{{"status"}, {"xmpp", "keys"}, {"rejected", "list"}, {"outbox", "list"}} {
		p.running("", args...)
	}
	p.running(dead, "rejected", "explain", "--app-id", xmppApp, "--pushkey", "-").want(t, 3, "unregistered")
	written := canaries.written(t.Name())
	if !strings.Contains(written, "XMPP push refused") {
		t.Error("the log was not kept")
	}
	for what, text := range map[string]string{
		"the component's secret": e.Secret, "a node": node, "the beginning of a node": node[:24],
		"a node's secret": secret, "a token": fcmToken("alice"),
		"a direct token": fcmToken("bob"), "a dead token": dead, "a pending token": late,
		"a guess": "a guess of the secret", "a text": "New message",
	} {
		if strings.Contains(written, text) {
			t.Errorf("%s is shown", what)
		}
	}
}

func TestX35_OperatorsSeeTheComponentsAndWhatBecameOfADevice(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{})
	if err := s.gateway.load(subscribed(s.config)); err != nil {
		t.Fatal(err)
	}
	token := fcmToken("alice")
	s.offline("alice", token, "")
	s.fcm.Unregister(token)
	s.write("alice", "a message for a device that is gone")
	s.wantAnswers(answers{gone: 1})
	s.gateway.running(token, "rejected", "explain", "--app-id", xmppApp, "--pushkey", "-").want(t, 3, "unregistered")
	s.gateway.running("", "status").want(t, 0, prosodytest.Component)

	s.prosody.Kill()
	s.gateway.wantUp(t, prosodytest.Component, 0)
	s.gateway.wantLogged(`"event":"xmpp_component_down component=` + prosodytest.Component + " reason=")
	s.prosody.Restart()
	s.connected()
	s.gateway.event("xmpp_component_up component=" + prosodytest.Component)
	all, _ := s.gateway.scrape()
	for metric, want := range map[string]float64{"xmpp_connections_total": 2, "xmpp_stanzas_total": 1} {
		if got := all.total(metric, fmt.Sprintf("component=%q", prosodytest.Component)); got != want {
			t.Errorf("%s is %v, want %v", metric, got, want)
		}
	}
	if n := all.total("xmpp_connection_failures_total"); n < 1 {
		t.Errorf("%v connection failures are counted", n)
	}
}
