package stanza_test

import (
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
)

// command returns a command as clients send it, with fields as pairs of a name and a value.
func command(t *testing.T, node string, fields ...string) *stanza.Command {
	t.Helper()
	var form strings.Builder
	for i := 0; i+1 < len(fields); i += 2 {
		form.WriteString("<field var='" + fields[i] + "'><value>" + fields[i+1] + "</value></field>")
	}
	return parse(t, []byte(`<iq type='set' id='c1' from='alice@example.test/phone' to='push.example.test'>`+
		`<command xmlns='http://jabber.org/protocol/commands' node='`+node+`' action='execute'>`+
		`<x xmlns='jabber:x:data' type='submit'>`+form.String()+`</x></command></iq>`)).(*stanza.Command)
}

func wantRegistration(t *testing.T, c *stanza.Command, want stanza.Registration) {
	t.Helper()
	if got, err := c.Registration(); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestX22_AClientOfP2RegistersADevice(t *testing.T) {
	t.Parallel()
	// printf 'alice@example.test\0id' | sha1sum
	const account = "6bbcb212ba3b8f1d468c4f077cd9e4b8d8cd0500"
	want := stanza.Registration{Service: "fcm", Token: "tok", Account: account}

	// Conversations.
	c := command(t, "register-push-fcm", "token", "tok", "android-id", "id")
	if c.Action() != stanza.RegisterP2 {
		t.Errorf("the action is %v", c.Action())
	}
	wantRegistration(t, c, want)
	// Other fields may be there, in any order, and device-id counts before android-id.
	wantRegistration(t, command(t, "register-push-fcm", "android-id", "other", "x", "y", "device-id", "id", "token", "tok"), want)
	want.Service = "apns"
	wantRegistration(t, command(t, "register-push-apns", "device-id", "id", "token", "tok"), want)
	// A room.
	want.Room, want.Channel = "room@rooms.example.test", "8488eb5d266c4befbd03b17e9d2a433646914f7e"
	wantRegistration(t, command(t, "register-push-apns", "device-id", "id", "token", "tok", "muc", want.Room), want)

	a := read(t, c.Completed(
		stanza.Field{Name: "jid", Values: []string{component}},
		stanza.Field{Name: "node", Values: []string{"s1.n"}},
		stanza.Field{Name: "secret", Values: []string{"s<&>"}},
	))
	if a.short() != "result" || a.Command.Node != "register-push-fcm" || a.Command.Status != "completed" || a.Command.Session == "" {
		t.Errorf("got %+v", a)
	}
	got := make(map[string]string)
	for _, f := range a.Command.Form.Fields {
		got[f.Var] = f.Type + " " + strings.Join(f.Values, "|")
	}
	if len(got) != 3 || got["jid"] != "text-single "+component || got["node"] != "text-single s1.n" || got["secret"] != "text-single s<&>" {
		t.Errorf("got %v", got)
	}
}

func TestX23_AClientOfTigaseRegistersADevice(t *testing.T) {
	t.Parallel()
	c := command(t, "register-device", "provider", "tigase:messenger:apns:1", "device-token", "t1", "device-second-token", "t2")
	if c.Action() != stanza.RegisterTigase {
		t.Errorf("the action is %v", c.Action())
	}
	wantRegistration(t, c, stanza.Registration{Service: stanza.FeatureTigaseAPNs, Token: "t1", SecondToken: "t2"})
	a := read(t, c.Completed(
		stanza.Field{Name: "node", Values: []string{"s1.n"}},
		stanza.Field{Name: "features", Values: []string{stanza.FeatureEncryption, "x"}, Multi: true},
		stanza.Field{Name: "max-payload-size", Values: []string{"3072"}},
	))
	got := make(map[string]string)
	for _, f := range a.Command.Form.Fields {
		got[f.Var] = f.Type + " " + strings.Join(f.Values, "|")
	}
	if got["node"] != "text-single s1.n" || got["features"] != "text-multi tigase:push:encrypt:0|x" ||
		got["max-payload-size"] != "text-single 3072" {
		t.Errorf("got %v", got)
	}
}

func TestX34_AnIncompleteRegistrationIsRefusedWithoutItsValues(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	long := strings.Repeat(canary, 1000)
	for _, c := range []*stanza.Command{
		command(t, "register-push-fcm", "token", canary),
		command(t, "register-push-fcm", "android-id", canary),
		command(t, "register-push-fcm", "token", " ", "android-id", canary),
		command(t, "register-push-fcm", "token", canary, "android-id", " "),
		command(t, "register-push-fcm", "token", long, "android-id", "id"),
		command(t, "register-push-fcm", "token", canary, "android-id", long),
		command(t, "register-push-fcm", "token", canary, "android-id", "id", "muc", "room@rooms.example.test/"+canary),
		command(t, "register-push-", "token", canary, "android-id", "id"),
		command(t, "register-device", "device-token", canary),
		command(t, "register-device", "provider", canary),
		command(t, "register-device", "provider", "p", "device-token", canary, "device-second-token", long),
		command(t, "unregister-push-fcm", "token", canary, "android-id", "id"),
		command(t, "unregister-device", "provider", "p", "device-token", canary),
		command(t, canary, "token", canary, "android-id", "id"),
	} {
		got, err := c.Registration()
		if err == nil || strings.Contains(err.Error(), canary) || got != (stanza.Registration{}) {
			t.Errorf("%s: got %+v, %v", c.Node, got, err)
		}
		if text := c.Refuse(stanza.BadForm); strings.Contains(string(text), canary) {
			t.Errorf("got %s", text)
		}
	}
}

func TestCommandsAreTellable(t *testing.T) {
	t.Parallel()
	for node, want := range map[string]stanza.Action{
		"register-push-fcm": stanza.RegisterP2, "unregister-push-fcm": stanza.UnregisterP2, "register-device": stanza.RegisterTigase,
		"unregister-device": stanza.UnregisterTigase, "v1-register-push": stanza.OtherCommand, "": stanza.OtherCommand,
	} {
		if got := command(t, node).Action(); got != want {
			t.Errorf("%s: got %v, want %v", node, got, want)
		}
	}
	for refusal, want := range map[stanza.Refusal]string{
		stanza.NotNow: "wait remote-server-timeout", stanza.BadForm: "modify bad-request",
		stanza.UnknownCommand: "cancel item-not-found", stanza.NotAllowed: "auth forbidden",
	} {
		if got := read(t, command(t, "x").Refuse(refusal)); got.short() != want {
			t.Errorf("%v: got %s, want %s", refusal, got.short(), want)
		}
	}
	canceled := parse(t, []byte(`<iq type='set' id='1' from='alice@example.test/p' to='push.example.test'>`+
		`<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='s' action='cancel'/></iq>`)).(*stanza.Command)
	if a := read(t, canceled.Canceled()); !canceled.Cancel || a.Command.Status != "canceled" || a.Command.Session != "s" {
		t.Errorf("got %+v", a)
	}
}
