package stanza_test

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
)

// answer is a stanza of this package, as its receiver reads it.
type answer struct {
	XMLName xml.Name
	Type    string `xml:"type,attr"`
	ID      string `xml:"id,attr"`
	From    string `xml:"from,attr"`
	To      string `xml:"to,attr"`
	Error   *struct {
		Type      string `xml:"type,attr"`
		Condition []struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
		} `xml:",any"`
	} `xml:"error"`
	Command struct {
		Node    string `xml:"node,attr"`
		Session string `xml:"sessionid,attr"`
		Status  string `xml:"status,attr"`
		Form    struct {
			Type   string `xml:"type,attr"`
			Fields []struct {
				Var    string   `xml:"var,attr"`
				Type   string   `xml:"type,attr"`
				Values []string `xml:"jabber:x:data value"`
			} `xml:"jabber:x:data field"`
		} `xml:"jabber:x:data x"`
	} `xml:"http://jabber.org/protocol/commands command"`
	Info struct {
		Identity struct {
			Category string `xml:"category,attr"`
			Type     string `xml:"type,attr"`
		} `xml:"identity"`
		Features []struct {
			Var string `xml:"var,attr"`
		} `xml:"feature"`
	} `xml:"http://jabber.org/protocol/disco#info query"`
	Items *struct {
		Items []struct{} `xml:",any"`
	} `xml:"http://jabber.org/protocol/disco#items query"`
}

// short returns "result", or the type and condition of an error.
func (a answer) short() string {
	if a.Error == nil {
		return a.Type
	}
	return a.Error.Type + " " + a.Error.Condition[0].XMLName.Local
}

func read(t *testing.T, text []byte) (a answer) {
	t.Helper()
	if err := xml.Unmarshal(text, &a); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if a.Error != nil && a.Error.Condition[0].XMLName.Space != "urn:ietf:params:xml:ns:xmpp-stanzas" {
		t.Fatalf("a condition has another namespace: %s", text)
	}
	return a
}

// numbers are all verdicts and refusals, and some numbers that are not.
var numbers = []byte{0, 1, 2, 3, 4, 5, 255}

// answers returns every answer that can be given to a stanza.
func answers(s stanza.Stanza) (all [][]byte) {
	const words = "the words of an error"
	switch s := s.(type) {
	case *stanza.Publish:
		for _, v := range numbers {
			all = append(all, s.Answer(stanza.Verdict(v), words), s.Answer(stanza.Verdict(v), ""))
		}
	case *stanza.Push2:
		for _, v := range numbers {
			if a := s.Answer(stanza.Verdict(v), words); a != nil {
				all = append(all, a)
			}
		}
	case *stanza.Command:
		for _, r := range numbers {
			all = append(all, s.Refuse(stanza.Refusal(r)))
		}
		all = append(all, s.Canceled(), s.Completed(), s.Completed(stanza.Field{Name: "node", Values: []string{"<&'\"\n\x00>", ""}}))
	case *stanza.Info:
		all = append(all, s.Answer(), s.Answer("urn:xmpp:push:0"))
	case *stanza.Items:
		all = append(all, s.Answer())
	case *stanza.Ping:
		all = append(all, s.Answer())
	case *stanza.Unsupported:
		all = append(all, s.Answer())
	}
	return all
}

func publish(t *testing.T, from string) *stanza.Publish {
	t.Helper()
	return parse(t, fmt.Appendf(nil, `<iq type='set' id='1' from='%s' to='push.example.test'>`+
		`<pubsub xmlns='http://jabber.org/protocol/pubsub'>`+
		`<publish node='n'><item><notification xmlns='urn:xmpp:push:0'/></item></publish></pubsub></iq>`, from)).(*stanza.Publish)
}

func push2From(t *testing.T, from string) *stanza.Push2 {
	t.Helper()
	return parse(t, fmt.Appendf(nil, `<message id='1' from='%s' to='push.example.test'><notification xmlns='urn:xmpp:push2:0'>`+
		`<client>https://up.example/x</client></notification></message>`, from)).(*stanza.Push2)
}

func TestX08_AnAnswerToAPublishIsOneOfFour(t *testing.T) {
	t.Parallel()
	tests := []struct {
		verdict            stanza.Verdict
		toServer, toClient string
	}{
		{stanza.Wait, "wait remote-server-timeout", "wait remote-server-timeout"},
		{stanza.Taken, "result", "result"},
		{stanza.Gone, "cancel item-not-found", "cancel item-not-found"},
		{stanza.Forbidden, "wait remote-server-timeout", "auth forbidden"},
		{4, "wait remote-server-timeout", "wait remote-server-timeout"},
		{255, "wait remote-server-timeout", "wait remote-server-timeout"},
	}
	for _, test := range tests {
		for from, want := range map[string]string{"example.test": test.toServer, "alice@example.test": test.toClient} {
			if got := read(t, publish(t, from).Answer(test.verdict, "why")); got.short() != want {
				t.Errorf("verdict %d to %s: got %s, want %s", test.verdict, from, got.short(), want)
			}
			got := push2From(t, from).Answer(test.verdict, "why")
			if want == "result" {
				if got != nil {
					t.Errorf("a push that was taken is answered by %s", got)
				}
			} else if a := read(t, got); a.short() != want || a.XMLName.Local != "message" || a.Type != "error" {
				t.Errorf("verdict %d to %s: got %s, want %s", test.verdict, from, a.short(), want)
			}
		}
	}
}

func TestX08_NoOtherErrorIsEverWritten(t *testing.T) {
	t.Parallel()
	var push, others []string
	for _, line := range recorded(t) {
		s := parse(t, line.text)
		for _, text := range answers(s) {
			a := read(t, text)
			switch s.(type) {
			case *stanza.Publish, *stanza.Push2:
				push = append(push, a.short())
			default:
				others = append(others, a.short())
			}
		}
	}
	slices.Sort(push)
	want := []string{"auth forbidden", "cancel item-not-found", "result", "wait remote-server-timeout"}
	if got := slices.Compact(push); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	slices.Sort(others)
	want = []string{
		"auth forbidden", "cancel item-not-found", "cancel service-unavailable", "modify bad-request", "result", "wait remote-server-timeout",
	}
	if got := slices.Compact(others); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Tigase deletes a registration at resource-constraint, even if its type is wait.
func TestX08_TheSourceHasOneConditionOfTheTypeWait(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	waits := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		waits += strings.Count(string(source), `"wait"`)
		for _, never := range []string{"resource-constraint", "policy-violation", "internal-server-error"} {
			if strings.Contains(string(source), never) {
				t.Errorf("%s has %s", file, never)
			}
		}
	}
	if waits != 1 {
		t.Errorf("there are %d conditions of the type wait", waits)
	}
}

func TestTheWordsOfAnErrorReachTheSender(t *testing.T) {
	t.Parallel()
	a := read(t, publish(t, "example.test").Answer(stanza.Wait, "this <domain> may not send pushes"))
	if len(a.Error.Condition) != 2 || a.Error.Condition[1].XMLName.Local != "text" ||
		a.Error.Condition[1].Text != "this <domain> may not send pushes" {
		t.Errorf("got %+v", a.Error)
	}
	if a := read(t, publish(t, "example.test").Answer(stanza.Wait, "")); len(a.Error.Condition) != 1 {
		t.Errorf("got %+v", a.Error)
	}
}

func TestX20_OnlyADomainIsAServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		attrs  string
		server bool
		domain string
	}{
		{`from='example.test'`, true, "example.test"},
		{`from='Example.TEST.'`, true, "example.test"},
		{`from='alice@example.test'`, false, "example.test"},
		{`from='alice@example.test/phone'`, false, "example.test"},
		{`from='example.test/phone'`, false, "example.test"},
		{`from='example.test/a@b'`, false, "example.test"},
		{`from='example.test/'`, false, "example.test"},
		{`from='@example.test'`, false, "example.test"},
		// Strangers can write attributes with a prefix, and a server forwards them.
		{`from='alice@example.test/phone' x:from='example.test' xmlns:x='urn:x'`, false, "example.test"},
		{`x:from='example.org' xmlns:x='urn:x' from='example.test'`, true, "example.test"},
		{`from='example.test' x:from='example.org' xmlns:x='jabber:component:accept'`, true, "example.test"},
	}
	for _, test := range tests {
		text := "<iq type='get' id='1' to='push.example.test' " + test.attrs + "><ping xmlns='urn:xmpp:ping'/></iq>"
		h := stanza.Head(parse(t, []byte(text)))
		if h.FromServer() != test.server || h.Domain() != test.domain {
			t.Errorf("%s: got %v, %q", test.attrs, h.FromServer(), h.Domain())
		}
	}
}

func TestX29_WhatMustNotBeAnsweredIsNot(t *testing.T) {
	t.Parallel()
	const push = `><notification xmlns='urn:xmpp:push2:0'><client>https://up.example/x</client></notification></message>`
	const ping = `><ping xmlns='urn:xmpp:ping'/></iq>`
	for _, text := range []string{
		`<message type='error' id='1' from='example.test' to='push.example.test'` + push,
		`<message id='1' from='example.test' to='push.example.test'><notification xmlns='urn:xmpp:push:0'/></message>`,
		`<message id='1' from='example.test' to='push.example.test'><body>hello</body></message>`,
		`<message id='1' from='example.test'` + push,
		`<message id='1' to='push.example.test'` + push,
		`<message id='1' from='example.test' to='example.test'` + push,
		`<presence type='subscribe' from='alice@example.test' to='push.example.test'/>`,
		`<iq type='result' id='1' from='example.test' to='push.example.test'/>`,
		`<iq type='error' id='1' from='example.test' to='push.example.test'` + ping,
		`<iq id='1' from='example.test' to='push.example.test'` + ping,
		`<iq type='get' from='example.test' to='push.example.test'` + ping,
		`<iq type='get' id='1' id='2' from='example.test' to='push.example.test'` + ping,
		`<iq type='get' id='1' from='a.test' from='b.test' to='push.example.test'` + ping,
		`<iq type='get' id='1' from='@' to='push.example.test'` + ping,
		`<iq type='get' id='1' from='example.test' to='a.push.example.test'` + ping,
		`<iq type='get' id='1' from='example.test' to='push.example.test@example.test'` + ping,
		`<iq xmlns='jabber:client' type='get' id='1' from='example.test' to='push.example.test'` + ping,
		`<other type='get' id='1' from='example.test' to='push.example.test'/>`,
	} {
		if got := parse(t, []byte(text)); got != nil {
			t.Errorf("%s: got %+v", text, got)
		}
	}
}

// An error of this package that comes back must not be answered, however often it does.
func TestX29_AnErrorIsNoReasonForAnother(t *testing.T) {
	t.Parallel()
	for _, line := range recorded(t) {
		s := parse(t, line.text)
		for _, text := range answers(s) {
			if got, err := stanza.Parse(text, stanza.Head(s).Domain()); err != nil || got != nil {
				t.Fatalf("%s is answered: %+v, %v", text, got, err)
			}
		}
	}
}

func TestX32_EveryAnswerHasTheAddressesAndTheIDOfItsRequest(t *testing.T) {
	t.Parallel()
	for _, line := range recorded(t) {
		s := parse(t, line.text)
		for _, text := range answers(s) {
			h, a := stanza.Head(s), read(t, text)
			if a.ID != h.ID || a.From != h.To || a.To != h.From || a.Type != "result" && a.Type != "error" {
				t.Fatalf("%s: got %s", line.file, text)
			}
		}
	}
}

func TestX32_AnyIDComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"'", `"`, "&", "<", ">", "/+=", "]]>", "&amp;", "a b", "\u00e9\U0001f680", " ", "a\nb\tc", strings.Repeat("x'/+&<", 200),
	} {
		for _, from := range []string{"example.test", "o'neill&<co>@example.test/a'b\"&<c>"} {
			n := &node{name: "iq", attrs: []xml.Attr{
				{Name: xml.Name{Local: "type"}, Value: "get"},
				{Name: xml.Name{Local: "id"}, Value: id},
				{Name: xml.Name{Local: "from"}, Value: from},
				{Name: xml.Name{Local: "to"}, Value: "push.example.test/a'&<b"},
			}}
			s, err := stanza.Parse(n.write(), "push.example.test")
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range answers(s) {
				if a := read(t, text); a.ID != id || a.To != from || a.From != "push.example.test/a'&<b" {
					t.Errorf("%q: got %s", id, text)
				}
			}
		}
	}
}

func TestAPushServiceAnnouncesItself(t *testing.T) {
	t.Parallel()
	request := func(query string) stanza.Stanza {
		return parse(t, []byte("<iq type='get' id='1' from='alice@example.test/phone' to='push.example.test'>"+query+"</iq>"))
	}
	info := request("<query xmlns='http://jabber.org/protocol/disco#info'/>").(*stanza.Info)
	a := read(t, info.Answer(stanza.FeaturePush, stanza.FeatureCommands))
	var features []string
	for _, f := range a.Info.Features {
		features = append(features, f.Var)
	}
	want := []string{
		"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "urn:xmpp:ping", "urn:xmpp:push:0",
		"http://jabber.org/protocol/commands",
	}
	if a.Info.Identity.Category != "pubsub" || a.Info.Identity.Type != "push" || !slices.Equal(features, want) {
		t.Errorf("got %+v", a.Info)
	}
	if a := read(t, request("<query xmlns='http://jabber.org/protocol/disco#items'/>").(*stanza.Items).Answer()); a.Items == nil ||
		len(a.Items.Items) != 0 {
		t.Errorf("got %+v", a)
	}
	if a := read(t, request("<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>").(*stanza.Info).Answer()); a.short() !=
		"cancel item-not-found" {
		t.Errorf("got %+v", a)
	}
	for _, query := range []string{"", "<query xmlns='jabber:iq:version'/>", "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>"} {
		if a := read(t, request(query).(*stanza.Unsupported).Answer()); a.short() != "cancel service-unavailable" {
			t.Errorf("%s: got %+v", query, a)
		}
	}
}
