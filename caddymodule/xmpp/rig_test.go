package xmpp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/matrix-push/caddy-matrix-push"
	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Caddy has one configuration per process, so tests that load one are not parallel.

func init() { caddy.RegisterModule(new(phones)) }

// phones is a provider whose devices behave as their tokens say: dead, down, slow, or else alive.
type phones struct{}

func (*phones) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.test_phones", New: func() caddy.Module { return new(phones) }}
}

// pushed has each push that a provider got, and release ends the wait of slow devices.
var (
	pushed  = make(chan providers.Push, 1<<16)
	release = newGate()
)

// gate is closed until it is opened.
type gate struct {
	mu     sync.Mutex
	opened chan struct{}
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) wait() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened
}

// open lets all pass that wait, and closes the gate again.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
	g.opened = make(chan struct{})
}

func (*phones) Push(ctx context.Context, p *providers.Push) providers.Outcome {
	opened := release.wait()
	pushed <- *p
	kind, _, _ := strings.Cut(p.Device.Pushkey, "-")
	switch kind {
	case "dead":
		return providers.Rejected("gone")
	case "down":
		return providers.Unreachable("connect", nil)
	case "slow":
		select {
		case <-opened:
		case <-ctx.Done():
			return providers.Retry("slow", 0, nil)
		}
	}
	return providers.Delivered()
}

// Usable refuses tokens that say so.
func (*phones) Usable(d *providers.Device, _ providers.Site) error {
	if strings.HasPrefix(d.Pushkey, "unusable") {
		return fmt.Errorf("not a token")
	}
	return nil
}

// options are members of a configuration's JSON.
type options = map[string]any

// gatewayOf is the configuration of matrix_push.
func gatewayOf(apps ...string) options {
	served := make(options)
	for _, appID := range apps {
		served[appID] = options{"provider": options{"name": "test_phones"}}
	}
	return options{"apps": served, "rejected": options{"name": "memory"}, "outbox": options{"name": "off"}}
}

// componentOf is the configuration of a component of a fake server, with an app for all tokens.
func componentOf(server, secret string, more options) options {
	c := options{
		"server": server, "secret": secret, "coalesce": 0,
		"apps": options{"im.example": options{"default": true, "register": []string{"fcm"}}},
	}
	maps.Copy(c, more)
	return c
}

// configOf is a configuration with these components and, maybe, other apps.
func configOf(t *testing.T, root string, components, more options) []byte {
	t.Helper()
	apps := options{"matrix_push": gatewayOf("im.example"), "xmpp_push": options{"components": components}}
	maps.Copy(apps, more)
	maps.DeleteFunc(apps, func(_ string, app any) bool { return app == nil })
	return caddyconfig.JSON(options{
		"admin":   options{"disabled": true, "config": options{"persist": false}},
		"storage": options{"module": "file_system", "root": root},
		"apps":    apps,
	}, nil)
}

// load makes a configuration live, until the test ends or another one is.
func load(t *testing.T, config []byte) {
	t.Helper()
	drain()
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// validate provisions a configuration as `caddy validate` does.
func validate(t *testing.T, config []byte) error {
	t.Helper()
	var c caddy.Config
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&c)
}

// publish returns a publish of XEP-0357 for a node, with a body.
func publish(id, from, to, token string) string {
	return fmt.Sprintf(`<iq id='%s' from='%s' to='%s' type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='%s'><item>`+
		`<notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>`+
		`<field var='last-message-body'><value>New Message!</value></field></x></notification></item></publish></pubsub></iq>`, id, from, to, token)
}

// send sends what a server could send.
func send(t *testing.T, s *xmpptest.Stream, xml string) {
	t.Helper()
	if err := s.Send(xml); err != nil {
		t.Fatal(err)
	}
}

// receive returns the next stanza of the component.
func receive(t *testing.T, s *xmpptest.Stream) *xmpptest.Element {
	t.Helper()
	e, ok := <-s.Received
	if !ok {
		t.Fatalf("the stream has ended: %v", s.Err)
	}
	return e
}

// wantParts reports parts that a text lacks.
func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in %s", part, text)
		}
	}
}

// drain forgets the pushes until now.
func drain() {
	for {
		select {
		case <-pushed:
		default:
			return
		}
	}
}

// online waits until a component is online at a server, and knows that it is.
func online(t *testing.T, server *xmpptest.Server) *xmpptest.Stream {
	t.Helper()
	s := server.Accept()
	send(t, s, `<iq id='online' from='example.test' to='`+server.Domain+`' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`)
	if e := receive(t, s); e.Attr("id") != "online" {
		t.Fatalf("a ping is answered with %+v", e)
	}
	return s
}
