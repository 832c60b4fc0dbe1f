package stanza_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
)

const (
	iqStart      = `<iq type='set' id='1' from='example.test' to='push.example.test'>`
	pubsubStart  = `<pubsub xmlns='http://jabber.org/protocol/pubsub'>`
	notification = `<publish node='n'><item><notification xmlns='urn:xmpp:push:0'/></item></publish>`
	optionsStart = `<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>` +
		`<value>http://jabber.org/protocol/pubsub#publish-options</value></field>`
	optionsEnd = `</x></publish-options>`
)

// fpush fails at every field in front of pushModule. Here, any field may be anywhere.
func TestX24_PushModuleIsFoundAmongOtherFields(t *testing.T) {
	t.Parallel()
	const module = `<field var='pushModule'><value>monalProdiOS</value></field>`
	const secret = `<field var='secret'><value>s</value></field>`
	for _, test := range []struct {
		options string
		want    stanza.Form
	}{
		{optionsStart + module + optionsEnd, stanza.Form{"pushModule": "monalProdiOS"}},
		{
			optionsStart + secret + `<field var='x'/><field/><field var='y'><value/></field>` + module + optionsEnd,
			stanza.Form{"pushModule": "monalProdiOS", "secret": "s", "x": "", "y": ""},
		},
		{optionsStart + module + `<field var='pushModule'><value>second</value></field>` + optionsEnd, stanza.Form{"pushModule": "monalProdiOS"}},
		{optionsStart + secret + optionsEnd, stanza.Form{"secret": "s"}},
		{optionsStart + optionsEnd, stanza.Form{}},
		{"", nil},
		{strings.Replace(optionsStart, "#publish-options<", "#other<", 1) + module + optionsEnd, nil},
	} {
		p := parse(t, []byte(iqStart+pubsubStart+notification+test.options+`</pubsub></iq>`)).(*stanza.Publish)
		if p.Fault != "" || p.Node != "n" || !reflect.DeepEqual(p.Options, test.want) {
			t.Errorf("%s: got %+v", test.options, p)
		}
	}
}

func TestAPublishThatIsNotUnderstoodHasAFault(t *testing.T) {
	t.Parallel()
	const payload = `<notification xmlns='urn:xmpp:push:0'/>`
	for _, test := range []struct {
		content string
		want    stanza.Fault
	}{
		{notification, ""},
		{``, stanza.FaultPublish},
		{notification + notification, stanza.FaultPublish},
		{`<create node='n'/>`, stanza.FaultPublish},
		{`<publish node='n' xmlns='urn:x'><item>` + payload + `</item></publish>`, stanza.FaultPublish},
		{`<publish node='n'/>`, stanza.FaultNotification},
		{`<publish node='n'>` + payload + `</publish>`, stanza.FaultNotification},
		{`<publish node='n'><item/></publish>`, stanza.FaultNotification},
		{`<publish node='n'><item><notification xmlns='urn:xmpp:push:1'/></item></publish>`, stanza.FaultNotification},
	} {
		p := parse(t, []byte(iqStart+pubsubStart+test.content+`</pubsub></iq>`)).(*stanza.Publish)
		if p.Fault != test.want {
			t.Errorf("%s: got %q, want %q", test.content, p.Fault, test.want)
		}
	}
}

func TestOddSummariesAreStillPushes(t *testing.T) {
	t.Parallel()
	field := func(name, values string) string {
		return `<x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>` +
			`<field var='` + name + `'>` + values + `</field></x>`
	}
	body := field("last-message-body", "<value>a</value><value>b</value>")
	withBody := stanza.Publish{Summary: stanza.Summary{LastBody: "a"}}
	for _, test := range []struct {
		content string
		want    stanza.Publish
	}{
		{``, stanza.Publish{}},
		{field("message-count", "<value> 7 </value>"), stanza.Publish{Summary: stanza.Summary{MessageCount: 7}}},
		{field("message-count", "<value>-1</value>"), stanza.Publish{}},
		{field("message-count", "<value>99999999999999999999</value>"), stanza.Publish{}},
		{field("pending-subscription-count", "<value>2</value>"), stanza.Publish{}},
		{body, withBody},
		{`<x xmlns='urn:x'/>` + body, withBody},
		{strings.Replace(body, "push:summary", "other", 1), stanza.Publish{}},
		{`<priority xmlns='tigase:push:priority:0'> high </priority>`, stanza.Publish{Priority: "high"}},
		{`<priority xmlns='urn:x'>high</priority>`, stanza.Publish{}},
		{`<encrypted xmlns='tigase:push:encrypt:0' iv='i'>d</encrypted>`, stanza.Publish{Encrypted: &stanza.Encrypted{Data: "d", IV: "i"}}},
	} {
		p := parse(t, []byte(iqStart+pubsubStart+`<publish node='n'><item><notification xmlns='urn:xmpp:push:0'>`+test.content+
			`</notification></item></publish></pubsub></iq>`)).(*stanza.Publish)
		want := test.want
		if p.Fault != "" || p.Summary != want.Summary || p.Priority != want.Priority || !reflect.DeepEqual(p.Encrypted, want.Encrypted) {
			t.Errorf("%s: got %+v", test.content, p)
		}
	}
}

func TestX33_AHostileStanzaIsReadInBoundedMemory(t *testing.T) {
	t.Parallel()
	read := func(before string) *stanza.Publish {
		return parse(t, []byte(iqStart+before+pubsubStart+notification+`</pubsub></iq>`)).(*stanza.Publish)
	}
	deep := strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100)
	if p := read(deep); p.Fault != "" || p.Node != "n" {
		t.Errorf("got %+v", p)
	}
	// The publish is behind the last element that is kept. Its server keeps the registration: it is no more than not understood.
	for _, many := range []string{strings.Repeat("<a/>", 510), strings.Repeat("<a>", 510) + strings.Repeat("</a>", 510)} {
		if p := read(many); p.Fault != stanza.FaultPublish {
			t.Errorf("got %+v", p)
		}
	}
	parse(t, []byte(iqStart+strings.Repeat("<a>", 100000)+strings.Repeat("</a>", 100000)+"</iq>"))
}

func TestX34_TheErrorOfAMalformedStanzaContainsNothingOfIt(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	for _, text := range []string{
		"", canary, "<iq>" + canary, "<iq><" + canary + "></iq>", "<iq>&" + canary + ";</iq>", "<iq><!-- " + canary + " --></iq>",
		"<!DOCTYPE " + canary + "><iq/>", "<iq><?" + canary + " x?></iq>", "<iq " + canary + "/>", "<iq>\xff" + canary + "</iq>",
		"<iq id='&" + canary + ";'/>", "</" + canary + ">",
	} {
		got, err := stanza.Parse([]byte(text), component)
		if err == nil || got != nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}
