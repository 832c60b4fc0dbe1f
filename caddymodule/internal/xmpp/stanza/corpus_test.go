package stanza_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
)

const component = "push.example.test"

// line is a recorded stanza.
type line struct {
	file string
	text []byte
}

// recorded returns the stanzas in testdata, which testdata/README.md explains.
func recorded(tb testing.TB) (lines []line) {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for text := range bytes.Lines(data) {
			lines = append(lines, line{strings.TrimSuffix(filepath.Base(file), ".xml"), bytes.TrimSpace(text)})
		}
	}
	if len(lines) != 53 {
		tb.Fatalf("%d stanzas were recorded", len(lines))
	}
	return lines
}

// parse parses a stanza to either component of the recordings.
func parse(t *testing.T, text []byte) stanza.Stanza {
	t.Helper()
	for _, domain := range []string{component, "push.ej.test"} {
		if got, err := stanza.Parse(text, domain); err != nil {
			t.Fatalf("%v: %s", err, text)
		} else if got != nil {
			return got
		}
	}
	return nil
}

// wanted is what a recorded publish says, without its header.
type wanted struct {
	from, to, node, secret, module string
	summary                        stanza.Summary
	encrypted, priority            string
	important                      bool
}

var (
	prosodyBody  = stanza.Summary{MessageCount: 1, LastBody: "New Message!"}
	prosodyEmpty = stanza.Summary{MessageCount: 1}
	ejabberdBody = stanza.Summary{LastBody: "New message"}
)

func prosody(node, secret string, summary stanza.Summary) wanted {
	return wanted{
		from: "example.test", to: component, node: node, secret: secret,
		summary: summary, important: summary.LastBody != "",
	}
}

func ejabberd(node, secret string, summary stanza.Summary) wanted {
	return wanted{
		from: "ej.test", to: "push.ej.test", node: node, secret: secret,
		summary: summary, important: summary.LastBody != "",
	}
}

func withSender(body string, w wanted) wanted {
	w.from, w.priority, w.important = "other.test", "high", true
	w.summary = stanza.Summary{MessageCount: 1, LastSender: "bob@example.test/desk", LastBody: body}
	return w
}

const recordedSecret = "eruio234vzxc2kla-91"

// publishes are the publishes of each file. The order is that of the file.
var publishes = map[string][]wanted{
	"ej-hib-chat":      {ejabberd("tok-ej", recordedSecret, ejabberdBody)},
	"ej-hib-chatstate": {ejabberd("tok-ej", recordedSecret, stanza.Summary{})},
	"ej-hib-five": {
		ejabberd("tok-ej", recordedSecret, ejabberdBody), ejabberd("tok-ej", recordedSecret, ejabberdBody),
		ejabberd("tok-ej", recordedSecret, ejabberdBody), ejabberd("tok-ej", recordedSecret, ejabberdBody),
		ejabberd("tok-ej", recordedSecret, ejabberdBody),
	},
	"ej-hib-omemo": {ejabberd("tok-ej", recordedSecret, ejabberdBody)},
	// Nothing in it tells a call.
	"ej-hib-propose":   {ejabberd("tok-ej", recordedSecret, stanza.Summary{})},
	"ej-hib-subscribe": {ejabberd("tok-ej", recordedSecret, stanza.Summary{})},
	"ej-offline-chat":  {ejabberd("tok-off", "S", ejabberdBody)},

	"p012-hib-five-messages-at-once": {prosody("tok-hib", "S", prosodyBody)},
	"p012-hib-one-more":              {prosody("tok-hib", "S", prosodyBody)},
	"p012-hib-propose":               {prosody("tok-hib", "S", prosodyBody), prosody("tok-hib", "S", prosodyBody)},
	"p012-offline-chat":              {prosody("tok-offline", recordedSecret, prosodyBody)},
	"p012-offline-chatstate":         {prosody("tok-offline", recordedSecret, prosodyEmpty)},
	"p012-offline-nobody":            {prosody("tok-offline", recordedSecret, prosodyEmpty)},
	"p012-offline-omemo":             {prosody("tok-offline", recordedSecret, prosodyBody)},
	"p012-offline-propose":           {prosody("tok-offline", recordedSecret, prosodyBody)},

	"p13-hib-five-messages-at-once": {prosody("tok-hib", "S", prosodyBody)},
	"p13-hib-one-more":              {prosody("tok-hib", "S", prosodyBody)},
	"p13-hib-propose":               {prosody("tok-hib", "S", prosodyBody), prosody("tok-hib", "S", prosodyBody)},
	"p13-offline-chat":              {prosody("tok-offline", recordedSecret, prosodyBody)},
	"p13-offline-chatstate":         {prosody("tok-offline", recordedSecret, prosodyEmpty)},
	"p13-offline-nobody":            {prosody("tok-offline", recordedSecret, prosodyEmpty)},
	"p13-offline-omemo":             {prosody("tok-offline", recordedSecret, prosodyBody)},
	"p13-offline-propose":           {prosody("tok-offline", recordedSecret, prosodyBody)},
	"p13-no-options-and-no-node": {
		withSender("x", wanted{to: "user@push.example.test/res"}), withSender("x", wanted{to: component, node: "tok-plain"}),
	},
	"p13-other-stanzas": {{from: "alice@example.test/phone", to: component, node: "stolen"}},
	"p13-tigase-encrypted-call": {{
		from: "example.test", to: component, node: "tok-tigase", priority: "high", important: true,
		encrypted: "voip TSc+YBa3Wg0VAHUY Jx2XUUPVLBFOTPv8gHYSFgo03BZdaFfXLydeKvmEfR7EtJOM+R5bvkDkMc94cd2sANJheIBbC1xCvTPveA6QisHIXo8T" +
			"76vvDg6asBpxr7YD5YxqY/NUhKU2F3rPks0MfGw7aNyO+lY=",
	}},
	"p13-tigase-encrypted": {{
		from: "example.test", to: component, node: "tok-tigase", priority: "high", important: true,
		encrypted: " Jc7GHgkh2QOL61hV TeeZaJ60RkknZQFzt8K4ENKA5jMQK3Fu4fay99B4qsNqH4pvPk0y8xv6Jy0oPKfYSaFk1sUMPcYvir0MWnqKZxrrt4SSSRaF" +
			"tZV6cdlKLMxwVxcBOYSUAvIDV0/Pvg==",
	}},
	"p13-with-body-and-sender-omemo": {
		withSender("I sent you an OMEMO encrypted message", wanted{to: component, node: "tok-full", secret: "S", module: "someApp"}),
	},
	"p13-with-body-and-sender": {
		withSender("Wherefore art thou, <Romeo> & co?", wanted{to: component, node: "tok-full", secret: "S", module: "someApp"}),
	},
}

func describe(p *stanza.Publish) wanted {
	w := wanted{
		from: p.From, to: p.To, node: p.Node, secret: p.Options["secret"], module: p.Options["pushModule"],
		summary: p.Summary, priority: p.Priority, important: p.Important(),
	}
	if p.Encrypted != nil {
		w.encrypted = p.Encrypted.Type + " " + p.Encrypted.IV + " " + p.Encrypted.Data
	}
	return w
}

func TestX05_EveryRecordedPublishIsRead(t *testing.T) {
	t.Parallel()
	got := make(map[string][]wanted)
	for _, line := range recorded(t) {
		publish, ok := parse(t, line.text).(*stanza.Publish)
		if !ok {
			continue
		}
		if publish.Fault != "" || !bytes.Contains(line.text, []byte("id='"+publish.ID+"'")) {
			t.Errorf("%s: fault %q, id %q", line.file, publish.Fault, publish.ID)
		}
		got[line.file] = append(got[line.file], describe(publish))
	}
	for file, want := range publishes {
		if !reflect.DeepEqual(got[file], want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", file, got[file], want)
		}
		delete(got, file)
	}
	if len(got) > 0 {
		t.Errorf("not in the list: %+v", got)
	}
}

// Prosody writes attributes in any order, and servers differ in the order of fields and elements.
func TestX05_TheOrderOfAttributesFieldsAndOptionsDoesNotMatter(t *testing.T) {
	t.Parallel()
	for _, line := range recorded(t) {
		want := parse(t, line.text)
		for range 5 {
			shuffled := tree(t, line.text).shuffle()
			if got := parse(t, shuffled.write()); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: got %+v, want %+v from %s", line.file, got, want, shuffled.write())
			}
			// The options are beside the pubsub element in an example of XEP-0357.
			for _, prefix := range []bool{false, true} {
				moved := shuffled.moveOptions(prefix)
				if got := parse(t, moved.write()); !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: got %+v, want %+v from %s", line.file, got, want, moved.write())
				}
			}
		}
	}
}

func TestX05_TheStreamsNamespaceMayBeDeclaredAgain(t *testing.T) {
	t.Parallel()
	for _, line := range recorded(t) {
		want := parse(t, line.text)
		for _, declared := range []string{"<%s xmlns='jabber:component:accept' ", "<c:%s xmlns:c='jabber:component:accept' "} {
			name, rest, _ := strings.Cut(strings.TrimPrefix(string(line.text), "<"), " ")
			text := strings.Replace(declared, "%s", name, 1) + rest
			if strings.HasPrefix(text, "<c:") {
				text = strings.TrimSuffix(text, "</"+name+">") + "</c:" + name + ">"
			}
			if name == "presence" {
				continue
			}
			if got := parse(t, []byte(text)); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", line.file, got, want)
			}
		}
	}
}

// push2 is what a recorded push says.
type push2 struct {
	priority string
	voip     bool
	jwt      bool
}

func TestX26_EveryRecordedPush2IsRead(t *testing.T) {
	t.Parallel()
	call, message := push2{"high", true, true}, push2{"normal", false, true}
	wants := map[string]push2{
		"push2-hib-five": message, "push2-hib-propose": call,
		"push2-offline-sce-all-chatstate": {"low", false, true}, "push2-offline-sce-all-long": message,
		"push2-offline-sce-all-propose": call, "push2-offline-sce-all": message,
		"push2-offline-sce-important-long": message, "push2-offline-sce-important-nojwt": {"normal", false, false},
		"push2-offline-sce-important-propose": call, "push2-offline-sce-important": message,
	}
	found := 0
	for _, line := range recorded(t) {
		if !strings.HasPrefix(line.file, "push2-") {
			continue
		}
		found++
		p, ok := parse(t, line.text).(*stanza.Push2)
		if !ok || p.Fault != "" {
			t.Fatalf("%s: got %+v", line.file, p)
		}
		if got := (push2{p.Priority, p.VoIP, p.JWT != nil}); got != wants[line.file] || p.Important() != (p.Priority != "low") {
			t.Errorf("%s: got %+v, want %+v", line.file, got, wants[line.file])
		}
		if p.Client != "https://up.example.com/abc" || p.From != "example.test" || p.To != component {
			t.Errorf("%s: got %+v", line.file, p)
		}
		// A whole body of the content coding aes128gcm, RFC 8188: salt, record size 4096, and the sender's key.
		if b := p.Payload; len(b) < 600 || !bytes.Equal(b[16:22], []byte{0, 0, 16, 0, 65, 4}) {
			t.Errorf("%s: the payload is not the body of a push", line.file)
		}
		if !bytes.Contains(line.text, []byte("<payload>"+base64.StdEncoding.EncodeToString(p.Payload)+"</payload>")) {
			t.Errorf("%s: the payload was changed", line.file)
		}
		if p.JWT == nil {
			continue
		}
		if key, err := base64.RawURLEncoding.DecodeString(p.JWT.Key); err != nil || len(key) != 65 {
			t.Errorf("%s: the key %s is not a point", line.file, p.JWT.Key)
		}
		if !bytes.Contains(line.text, []byte(">"+p.JWT.Token+"</jwt>")) {
			t.Errorf("%s: the token was changed", line.file)
		}
	}
	if found != 11 {
		t.Errorf("%d pushes were recorded", found)
	}
}

func TestRecordedStanzasOfOtherKinds(t *testing.T) {
	t.Parallel()
	var kinds []string
	for _, line := range recorded(t) {
		if line.file == "p13-other-stanzas" {
			kinds = append(kinds, strings.TrimPrefix(fmt.Sprintf("%T", parse(t, line.text)), "*stanza."))
		}
	}
	// A version request, a ping, a message, a subscription, a question for items, a command and a publish.
	if got := strings.Join(kinds, " "); got != "Unsupported Ping <nil> <nil> Items Command Publish" {
		t.Errorf("got %s", got)
	}
}
