package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// ejabberd is a fake XMPP server that treats registrations as ejabberd does: an error of any type but wait removes the registration at
// once. It also removes one for an error that would make Tigase's server do so.
type ejabberd struct {
	*xmpptest.Server
	t       *testing.T
	address string
	stream  *xmpptest.Stream

	mu      sync.Mutex
	sent    int
	asked   map[string]string // the nodes of publishes without an answer, by id
	verdict map[string]string // by id
	removed map[string]string // the answers that removed registrations, by node
	fields  map[string]string // of the latest form in an answer
	faults  errorList
	reading sync.WaitGroup
}

func newEjabberd(t *testing.T) *ejabberd {
	t.Helper()
	s := xmpptest.NewServer(t, xmpptest.Ejabberd)
	canaries.note(aCredential, s.Secret)
	e := &ejabberd{
		Server: s, t: t, address: s.Listen(t),
		asked: make(map[string]string), verdict: make(map[string]string), removed: make(map[string]string),
	}
	t.Cleanup(func() { e.faults.report(t) })
	return e
}

// component is the component that connects to the server. The gateway's environment must have the secret.
func (e *ejabberd) component(options string) string {
	return componentBlock(e.Domain, e.address, "secret {env.EJABBERD_SECRET}\n"+options)
}

// gateway starts a gateway as the server's component, and waits for it.
func (e *ejabberd) gateway(global, options string) (p *process, config string) {
	e.t.Helper()
	p = newProcess(e.t)
	p.env = append(p.env, "EJABBERD_SECRET="+e.Secret)
	config = xmppConfig(global, e.component(options))
	p.start(config)
	e.connected()
	return p, config
}

// connected waits for the next stream, and reads its answers.
func (e *ejabberd) connected() {
	e.t.Helper()
	e.stream = e.Accept()
	s := e.stream
	e.reading.Go(func() {
		for a := range s.Received {
			e.answered(a)
		}
	})
}

// publish pushes to a node.
func (e *ejabberd) publish(from, node string, options ...string) (id string) {
	e.t.Helper()
	noteNode(node)
	e.mu.Lock()
	e.sent++
	id = fmt.Sprint("rr-", e.sent)
	e.asked[id] = node
	e.mu.Unlock()
	form := ""
	if len(options) > 0 {
		form = "<publish-options>" + publishOptions(options...) + "</publish-options>"
	}
	e.send(publishing(id, from, e.Domain, node, `<x type='submit' xmlns='jabber:x:data'>`+
		`<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field><field var='last-message-body' type='text-single'>`+
		`<value>New message</value></field></x>`, form))
	return id
}

// publishing is a publish of a notification.
func publishing(id, from, to, node, notification, options string) string {
	return `<iq to='` + to + `' from='` + from + `' type='set' id='` + id + `'><pubsub xmlns='http://jabber.org/protocol/pubsub'>` +
		`<publish node='` + xmpptest.Escape(node) + `'><item><notification xmlns='urn:xmpp:push:0'>` + notification +
		`</notification></item></publish>` + options + `</pubsub></iq>`
}

func (e *ejabberd) send(xml string) {
	if err := e.stream.Send(xml); err != nil {
		e.faults.add(err)
	}
}

// breakStream ends the stream without a word. What has no answer yet never gets one. It waits for the next stream.
func (e *ejabberd) breakStream() {
	e.t.Helper()
	e.stream.Break()
	e.connected()
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.asked)
}

// closed has the answers that a publish may have.
var closed = []string{"result", "wait remote-server-timeout", "cancel item-not-found", "auth forbidden"}

// answered notes an answer to a publish.
func (e *ejabberd) answered(a *xmpptest.Element) {
	id, verdict := a.Attr("id"), verdictOf(a)
	e.mu.Lock()
	defer e.mu.Unlock()
	if fields := formOf(a); len(fields) > 0 {
		e.fields = fields
	}
	node, ok := e.asked[id]
	if !ok {
		if before := e.verdict[id]; before != "" && strings.HasPrefix(id, "rr-") {
			e.faults.add(fmt.Errorf("the publish %s is answered twice: %s, %s", id, before, verdict))
		}
		e.verdict[id] = verdict
		return
	}
	delete(e.asked, id)
	e.verdict[id] = verdict
	switch verdict {
	case closed[0], closed[1]:
	case closed[2], closed[3]:
		e.removed[node] = verdict
	default:
		e.faults.add(fmt.Errorf("a publish is answered with %s", verdict))
	}
}

// verdictOf returns an answer's type, or its error's type and condition.
func verdictOf(a *xmpptest.Element) string {
	if a.Attr("type") != "error" {
		return a.Attr("type")
	}
	_, kind, _ := strings.Cut(a.Inner, "<error type='")
	kind, _, _ = strings.Cut(kind, "'")
	for _, condition := range []string{"remote-server-timeout", "item-not-found", "forbidden"} {
		if strings.Contains(a.Inner, "<"+condition+" ") {
			return kind + " " + condition
		}
	}
	return kind + " with another condition"
}

// answer waits for the answer to a publish.
func (e *ejabberd) answer(id string) (verdict string) {
	e.t.Helper()
	until(e.t, "the publish is answered", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		verdict = e.verdict[id]
		return verdict != ""
	})
	return verdict
}

// want pushes to a node, and wants this answer.
func (e *ejabberd) want(verdict, from, node string, options ...string) {
	e.t.Helper()
	if got := e.answer(e.publish(from, node, options...)); got != verdict {
		e.t.Errorf("a publish from %s is answered with %s, want %s", from, got, verdict)
	}
}

// open returns how many publishes have no answer.
func (e *ejabberd) open() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.asked)
}

// lost returns how many registrations were removed.
func (e *ejabberd) lost() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.removed)
}

// formOf returns the fields of the form in an answer.
func formOf(a *xmpptest.Element) map[string]string {
	fields := make(map[string]string)
	for part := range strings.SplitSeq(a.Inner, "<field ") {
		if _, name, ok := strings.Cut(part, "var='"); ok {
			name, _, _ = strings.Cut(name, "'")
			_, value, _ := strings.Cut(part, "<value>")
			fields[name], _, _ = strings.Cut(value, "</value>")
		}
	}
	return fields
}
