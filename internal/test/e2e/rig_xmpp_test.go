package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/ejabberdtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/prosodytest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// xmppScene is a real XMPP server, a gateway that is its component, and an FCM. The component's app is im.example.android. bob is a user
// who writes to others.
type xmppScene struct {
	t       *testing.T
	server  xmppServer
	prosody *prosodytest.Server // nil if the server is an ejabberd
	fcm     *google
	gateway *process
	config  string
	bob     *xmpptest.Client
}

// xmppServer is a Prosody or an ejabberd.
type xmppServer interface {
	AddUser(name string)
	Login(user string) *xmpptest.Client
	Log() string
	WaitLogs(text string, times int)
}

// xmppOptions are the differences between the scenes: options of matrix_push, more apps of it, and options of the component. Without
// options, the component's app is the default, and clients can register for FCM.
type xmppOptions struct {
	global, component string
	apps              func(*google) string
	prosody           []string
}

const (
	xmppApp       = "im.example.android"
	xmppComponent = "app " + xmppApp + " {\ndefault\nregister fcm\n}\ncoalesce 0s\n"
)

// newXMPPScene starts the scene with a Prosody, and waits until the component is connected.
func newXMPPScene(t *testing.T, o xmppOptions) *xmppScene {
	t.Helper()
	prosody := prosodytest.Start(t, o.prosody...)
	s := newXMPPSceneAt(t, prosody, prosody.ComponentAddress, o)
	s.prosody = prosody
	return s
}

// newXMPPSceneAt starts the scene with a server that was started, at the address for components.
func newXMPPSceneAt(t *testing.T, server xmppServer, address string, o xmppOptions) *xmppScene {
	t.Helper()
	s := &xmppScene{t: t, server: server, fcm: newGoogle(t), gateway: newXMPPGateway(t)}
	if o.global == "" {
		o.global = stateless
	}
	if o.component == "" {
		o.component = xmppComponent
	}
	apps := s.fcm.app(xmppApp, "", "")
	if o.apps != nil {
		apps += o.apps(s.fcm)
	}
	s.config = xmppConfig(o.global+apps, componentBlock(xmpptest.Component, address, o.component))
	s.gateway.start(s.config)
	s.connected()
	s.bob = s.login("bob")
	return s
}

// newXMPPGateway prepares a process whose environment has the secrets of a real server's component.
func newXMPPGateway(t *testing.T) *process {
	t.Helper()
	p := newProcess(t)
	p.env = append(p.env, "XMPP_SECRET="+xmpptest.Secret, "XMPP_SECOND_SECRET="+ejabberdtest.SecondSecret)
	canaries.note(aCredential, xmpptest.Secret)
	canaries.note(aCredential, ejabberdtest.SecondSecret)
	return p
}

// xmppConfig returns a configuration with components.
func xmppConfig(global, components string) string {
	return strings.Replace(gatewayConfig(global, "matrix_push"), "\tdebug\n", "\tdebug\n\txmpp_push {\n"+components+"}\n", 1)
}

// componentBlock is a component whose secret is in the environment, unless the options have one.
func componentBlock(jid, server, options string) string {
	if !strings.Contains(options, "secret ") {
		options = "secret {env.XMPP_SECRET}\n" + options
	}
	return "component " + jid + " {\nserver " + server + "\n" + options + "\n}\n"
}

// connected waits until the component is connected.
func (s *xmppScene) connected() {
	s.t.Helper()
	s.gateway.wantUp(s.t, xmpptest.Component, 1)
}

// wantUp waits until a component is connected, or until it is not.
func (p *process) wantUp(t *testing.T, component string, up float64) {
	t.Helper()
	until(t, fmt.Sprintf("the component %s has the state %v", component, up), func() bool {
		all, _ := p.scrape()
		state, ok := all[fmt.Sprintf("caddy_matrix_push_xmpp_component_up{component=%q}", component)]
		return ok && state == up
	})
}

// login makes a user, who logs in.
func (s *xmppScene) login(name string) *xmpptest.Client {
	s.t.Helper()
	s.server.AddUser(name)
	return s.server.Login(name)
}

// offline makes a user who has registered a device, and is offline.
func (s *xmppScene) offline(name, node, options string) {
	s.t.Helper()
	noteNode(node)
	c := s.login(name)
	c.EnablePush(xmpptest.Component, node, options)
	c.Logout()
}

// hibernated makes a user who has registered a device, and whose session outlives its connection.
func (s *xmppScene) hibernated(name, node, options string) *xmpptest.Client {
	s.t.Helper()
	noteNode(node)
	c := s.login(name)
	c.EnableStreamManagement()
	c.EnablePush(xmpptest.Component, node, options)
	c.Available()
	c.Expect("presence", "")
	c.Send("<a xmlns='urn:xmpp:sm:3' h='2'/>") // Prosody pushes at once what it has no acknowledgement for
	hibernation := "Session going into hibernation"
	if s.prosody == nil {
		hibernation = ejabberdtest.Hibernates
	}
	before := strings.Count(s.server.Log(), hibernation)
	c.Hibernate()
	s.server.WaitLogs(hibernation, before+1)
	return c
}

// noteNode records a node, which is as secret as a pushkey.
func noteNode(node string) { canaries.noteOpaque(aPushkey, node) }

// write sends a message of bob with a text.
func (s *xmppScene) write(to, text string) {
	s.t.Helper()
	canaries.note(aText, text)
	s.bob.Message(to+"@"+xmpptest.Domain, "m", text)
}

// typing sends a chat state of bob, which is a message without a text.
func (s *xmppScene) typing(to string) {
	s.t.Helper()
	s.bob.Send("<message type='chat' to='" + to + "@" + xmpptest.Domain + "'>" +
		"<composing xmlns='http://jabber.org/protocol/chatstates'/></message>")
}

// call sends the proposal of a call, XEP-0353.
func (s *xmppScene) call(to string) {
	s.t.Helper()
	s.bob.Send("<message type='chat' to='" + to + "@" + xmpptest.Domain + "' id='call'>" +
		"<propose xmlns='urn:xmpp:jingle-message:0' id='call'>" +
		"<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose></message>")
}

// fcmToken returns the token of a device.
func fcmToken(name string) string { return android(name).Pushkey }

// requests waits until FCM got a number of requests for a token, and returns them. There must not be more of them.
func (s *xmppScene) requests(token string, n int) (list []fcmtest.Request) {
	s.t.Helper()
	until(s.t, fmt.Sprintf("FCM has %d requests", n), func() bool {
		list = s.fcm.requestsFor(token)
		return len(list) >= n
	})
	if len(list) > n {
		s.t.Fatalf("FCM got %d requests, want %d", len(list), n)
	}
	return list
}

// requestsFor returns the requests for a token.
func (g *google) requestsFor(token string) (list []fcmtest.Request) {
	for _, r := range g.Requests() {
		if r.Token == token {
			list = append(list, r)
		}
	}
	return list
}

// delivered returns how many messages FCM took for a token.
func (s *xmppScene) delivered(token string) (n int) {
	for _, m := range s.fcm.Messages() {
		if m.Token == token {
			n++
		}
	}
	return n
}

// priorityOf returns the priority of a message to FCM.
func priorityOf(t *testing.T, r fcmtest.Request) string {
	t.Helper()
	var m struct {
		Android struct{ Priority string }
	}
	if err := json.Unmarshal(r.Raw, &m); err != nil {
		t.Fatal(err)
	}
	return m.Android.Priority
}

// answers are the numbers of publishes by answer.
type answers struct{ result, wait, gone, forbidden int }

// wantAnswers waits until all publishes are answered, and wants these answers.
func (s *xmppScene) wantAnswers(want answers) {
	s.t.Helper()
	s.gateway.wantAnswers(s.t, xmpptest.Component, want)
}

func (p *process) wantAnswers(t *testing.T, component string, want answers) {
	t.Helper()
	var got answers
	until(t, "all publishes are answered", func() bool {
		all, _ := p.scrape()
		count := func(answer string) int {
			return int(all.total("xmpp_stanzas_total", fmt.Sprintf("component=%q", component), `kind="publish"`, `answer="`+answer+`"`))
		}
		got = answers{count("result"), count("wait"), count("item_not_found"), count("forbidden")}
		return got.all() >= want.all()
	})
	if got != want {
		t.Errorf("the answers are %+v, want %+v", got, want)
	}
}

func (a answers) all() int { return a.result + a.wait + a.gone + a.forbidden }

// wantKept wants the server to have removed no registration, and Prosody to have counted no error.
func (s *xmppScene) wantKept() {
	s.t.Helper()
	for _, text := range []string{"Disabling push notifications", "error count for this identifier is now", ejabberdtest.Removed} {
		if strings.Contains(s.server.Log(), text) {
			s.t.Errorf("the server logs %q", text)
		}
	}
}

// publishOptions is a form of publish-options, whose fields have names and values in turn.
func publishOptions(fields ...string) string {
	var b strings.Builder
	b.WriteString("<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>" +
		"<value>http://jabber.org/protocol/pubsub#publish-options</value></field>")
	for i := 0; i < len(fields); i += 2 {
		fmt.Fprintf(&b, "<field var='%s'><value>%s</value></field>", fields[i], fields[i+1])
	}
	return b.String() + "</x>"
}

// alarm waits for the error about pushes that were refused for a reason.
func (p *process) alarm(t *testing.T, reason string) {
	t.Helper()
	until(t, "the alarm "+reason, func() bool {
		lines, _ := p.logged()
		for _, line := range lines {
			if line.Level == "error" && line.Message == "XMPP push refused" && strings.Contains(line.text, `"reason":"`+reason+`"`) {
				return true
			}
		}
		return false
	})
}

// down is FCM's answer while it is down.
var down = fcmtest.ErrorFor("UNAVAILABLE")
