package xmpp

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/coalesce"
	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// fakeEngine answers as a token says, and notes what it gets.
type fakeEngine struct {
	mu     sync.Mutex
	pushes []push
	hold   bool // of nodes with a retired key
	alarm  bool // because of that
}

func (e *fakeEngine) Deliver(_ context.Context, n *providers.Notification, d providers.Device, _ int) gateway.Result {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pushes = append(e.pushes, push{n, d})
	for result := range gateway.Result(len(gateway.Results{})) {
		if d.Pushkey == result.String() {
			return result
		}
	}
	return gateway.Delivered
}

func (e *fakeEngine) Usable(d *providers.Device) bool { return d.Pushkey != "unusable" }

func (e *fakeEngine) HoldRetired(_ string, _ [16]byte, retired bool) (held, alarm bool) {
	return retired && e.hold, retired && e.alarm
}

// all returns what the engine got.
func (e *fakeEngine) all() []push {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pushes
}

// memory is a storage of keys.
type memory struct{ sync.Map }

func (*memory) Lock(context.Context, string) error   { return nil }
func (*memory) Unlock(context.Context, string) error { return nil }

func (m *memory) Load(_ context.Context, path string) ([]byte, error) {
	value, ok := m.Map.Load(path)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return value.([]byte), nil
}

func (m *memory) Store(_ context.Context, path string, value []byte) error {
	m.Map.Store(path, value)
	return nil
}

// rig is a component without a stream.
type rig struct {
	*testing.T
	*connection
	service *service
	engine  *fakeEngine
	storage *memory
	answers chan *xmpptest.Element
}

const serviceJID = "push.example.test"

// newRig returns a component with one app for each way to register.
func newRig(t *testing.T) *rig {
	r := &rig{T: t, engine: new(fakeEngine), storage: new(memory), answers: make(chan *xmpptest.Element, 1024)}
	ios := &target{appID: "ios", payload: object{"aps": json.RawMessage(`{"alert":"New message"}`)}, unimportant: unimportantLow}
	android := &target{appID: "android", unimportant: unimportantDrop}
	r.service = &service{
		jid: serviceJID, engine: r.engine, rates: newRates(1e6, 1e6, nil), fallback: ios, relay: &target{appID: "relay"},
		apps:      map[string]*target{"ios": ios, "android": android, "relay": {appID: "relay"}},
		modules:   map[string]*target{"monal": ios, "full": {appID: "ios", unimportant: unimportantPush, counts: true, content: true}},
		registers: map[string]*target{"fcm": android, "tigase:messenger:apns:1": ios},
	}
	if err := r.service.openRing(t.Context(), r.storage); err != nil {
		t.Fatal(err)
	}
	r.connection = &connection{status: telemetry.NewComponent(serviceJID)}
	t.Cleanup(r.status.Close)
	r.status.Use(telemetry.NewObserver(zap.NewNop(), func(string, map[string]any) {}))
	r.current.Store(r.service)
	r.pushes = coalesce.New(r.coalescing(0))
	t.Cleanup(func() { r.pushes.Close(context.WithoutCancel(t.Context())) })
	return r
}

func (r *rig) reply(answer []byte) error {
	reader := xmpptest.NewReader(strings.NewReader("<stream>" + string(answer) + "</stream>"))
	_, _ = reader.Header()
	answered, err := reader.Next()
	if err != nil {
		r.Errorf("%s: %v", answer, err)
		return err
	}
	r.answers <- answered
	return nil
}

// ask sends a stanza, and returns the answer.
func (r *rig) ask(stanza string) *xmpptest.Element {
	r.Handle(r.Context(), []byte(stanza), r.reply)
	return <-r.answers
}

// silent sends a stanza that is not answered. It can be called once.
func (r *rig) silent(stanza fmt.Stringer) {
	r.Helper()
	r.Handle(r.Context(), []byte(stanza.String()), r.reply)
	r.pushes.Close(r.Context()) // so no answer is late
	if len(r.answers) > 0 {
		r.Errorf("it is answered with %+v", <-r.answers)
	}
}

// publishing is a publish of XEP-0357.
type publishing struct{ from, node, module, secret, body, more string }

func (p publishing) String() string {
	if p.from == "" {
		p.from = "example.test"
	}
	field := func(name, value string) string {
		if value == "" {
			return ""
		}
		return fmt.Sprintf(`<field var='%s'><value>%s</value></field>`, name, xmpptest.Escape(value))
	}
	return fmt.Sprintf(`<iq id='i' from='%s' to='%s' type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='%s'><item>`+
		`<notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data'>%s%s</x>%s</notification></item></publish>`+
		`<publish-options><x xmlns='jabber:x:data'>%s%s%s%s</x></publish-options></pubsub></iq>`, p.from, serviceJID, xmpptest.Escape(p.node),
		field("FORM_TYPE", "urn:xmpp:push:summary"), field("last-message-body", p.body), p.more,
		field("FORM_TYPE", "http://jabber.org/protocol/pubsub#publish-options"), field("other", "eruio234vzxc2kla-91"), field("secret", p.secret),
		field("pushModule", p.module))
}

const (
	wait      = "wait remote-server-timeout"
	gone      = "cancel item-not-found"
	forbidden = "auth forbidden"
)

func (r *rig) want(stanza fmt.Stringer, want string) {
	r.Helper()
	if got := r.ask(stanza.String()).Verdict(); got != want {
		r.Errorf("it is answered with %s, want %s", got, want)
	}
}

// alarms returns the reasons of the alarms, in order.
func (r *rig) alarms() string {
	var list []string
	for _, a := range r.status.Status().Alarms {
		list = append(list, fmt.Sprint(a.Reason, " ", a.Domain, " ", a.Count))
	}
	return strings.Join(list, ", ")
}

func TestX08_EachResultHasItsAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for result, want := range map[gateway.Result]string{
		gateway.Delivered: "result", gateway.Queued: "result", gateway.Duplicate: "result", gateway.Dropped: "result",
		gateway.Rejected: gone, gateway.RejectedBefore: gone, gateway.Unavailable: wait,
	} {
		r.want(publishing{node: result.String()}, want)
	}
	if got := r.alarms(); got != "" {
		t.Errorf("there are the alarms %s", got)
	}
}

func TestX21_WhatIsRefusedCostsNoRegistration(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		publish fmt.Stringer
		change  func(*service)
		want    string
		alarm   string
	}{
		"a user":                   {publish: publishing{from: "alice@example.test/phone", node: "t"}, want: forbidden},
		"a room":                   {publish: publishing{from: "room@example.test", node: "t"}, want: forbidden},
		"a denied domain":          {publishing{node: "t"}, func(s *service) { s.domains.denied = []string{"*.test"} }, wait, "domain_denied example.test 1"},
		"a domain not allowed":     {publishing{node: "t"}, func(s *service) { s.domains.allowed = []string{"other.test"} }, wait, "domain_denied example.test 1"},
		"over the rate":            {publishing{node: "t"}, func(s *service) { s.rates = newRates(1, 0, nil) }, wait, "rate_exceeded example.test 1"},
		"no node":                  {publishing{}, nil, wait, "node_missing example.test 1"},
		"an unknown module":        {publishing{node: "t", module: "other"}, nil, wait, "app_missing example.test 1"},
		"no default":               {publishing{node: "t"}, func(s *service) { s.fallback = nil }, wait, "app_missing example.test 1"},
		"a token of another kind":  {publishing{node: "unusable"}, nil, wait, "unusable example.test 1"},
		"a key that is not known":  {publishing{node: sealedElsewhere(t)}, nil, wait, "key_unknown example.test 1"},
		"only Push 2.0":            {publishing{node: "t"}, func(s *service) { s.ring = nil }, wait, "app_missing example.test 1"},
		"what is not understood":   {text(strings.Replace(publishing{node: "t"}.String(), "urn:xmpp:push:0", "urn:xmpp:push:9", 1)), nil, wait, "not_understood example.test 1"},
		"a node that was changed":  {publishing{node: "changed"}, nil, wait, "node_invalid example.test 1"},
		"a node of another domain": {publishing{node: "foreign"}, nil, wait, "node_invalid other.test 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if tt.change != nil {
				tt.change(r.service)
			}
			if p, ok := tt.publish.(publishing); ok && (p.node == "changed" || p.node == "foreign") {
				p.node, p.secret = register(r, "fcm")
				if tt.publish.(publishing).node == "changed" {
					p.node = flipped(p.node)
				} else {
					p.from = "other.test"
				}
				tt.publish = p
			}
			r.want(tt.publish, tt.want)
			if got := r.alarms(); got != tt.alarm {
				t.Errorf("the alarms are %q, want %q", got, tt.alarm)
			}
			if len(r.engine.all()) > 0 {
				t.Errorf("it is pushed")
			}
		})
	}
}

// text is a stanza.
type text string

func (t text) String() string { return string(t) }

// flipped returns a node with one bit changed.
func flipped(node string) string {
	last := map[byte]string{'A': "E"}[node[len(node)-5]]
	if last == "" {
		last = "A"
	}
	return node[:len(node)-5] + last + node[len(node)-4:]
}

// sealedElsewhere returns a node of another gateway.
func sealedElsewhere(t *testing.T) string {
	t.Helper()
	node, _ := register(newRig(t), "fcm")
	return node
}

func TestX04_WhatAPushTellsDependsOnItsApp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	node, secret := register(r, "fcm")
	r.want(publishing{node: "a"}, "result")                  // low
	r.want(publishing{node: node, secret: secret}, "result") // drop
	r.want(publishing{node: "b", module: "full"}, "result")  // push
	r.want(publishing{node: "c", module: "monal", body: "x"}, "result")
	r.want(publishing{node: "d", module: "full", body: "x"}, "result")
	pushes := r.engine.all()
	if len(pushes) != 4 {
		t.Fatalf("there are %d pushes", len(pushes))
	}
	for i, want := range []struct {
		prio    providers.Priority
		content string
	}{{providers.PrioLow, ""}, {providers.PrioHigh, ""}, {providers.PrioHigh, ""}, {providers.PrioHigh, `{"body":"x","msgtype":"m.text"}`}} {
		if n := pushes[i].notification; n.Prio != want.prio || string(n.Content) != want.content || !n.Wake {
			t.Errorf("push %d is %+v", i, n)
		}
	}
}

func TestAPendingPushIsReplacedOnlyByWhatIsAsGood(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const encrypted = `<encrypted xmlns='tigase:push:encrypt:0' iv='IV'%s>%s</encrypted>`
	for _, p := range []publishing{
		{body: "x"},                                         // a message, which only wakes the device
		{more: fmt.Sprintf(encrypted, "", "A")},             // a message that the app decrypts
		{more: fmt.Sprintf(encrypted, "", "B")},             // another one
		{more: fmt.Sprintf(encrypted, " type='voip'", "C")}, // a call
		{module: "full", body: "one"},
		{module: "full", body: "two"},
		{},          // a chat state
		{},          // replaces the former one
		{body: "y"}, // replaces the first message
	} {
		p.node = "t"
		r.want(p, "result")
	}
	replaces := make(map[string]int)
	for i, p := range r.engine.all() {
		what := new(gateway.App).Replace(p.notification, &p.device)
		if before, ok := replaces[what]; ok && (i != 7 || before != 6) && (i != 8 || before != 0) {
			t.Errorf("push %d replaces push %d", i, before)
		}
		replaces[what] = i
	}
	if len(replaces) != 7 {
		t.Errorf("there are %d kinds of pushes", len(replaces))
	}
}
