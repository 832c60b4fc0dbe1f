package stanza_test

import (
	"encoding/xml"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
)

// FuzzParse parses stanzas, and checks that each answer is well-formed, has the addresses and the id of its request, and is not answered.
func FuzzParse(f *testing.F) {
	for _, line := range recorded(f) {
		f.Add(line.text, component)
	}
	f.Add([]byte(`<iq type='set' id='1' from='a@b/c' to='push.example.test'>`+
		`<command xmlns='http://jabber.org/protocol/commands' node='register-device'><x xmlns='jabber:x:data'>`+
		`<field var='provider'><value>p</value></field><field var='device-token'><value>t</value></field></x></command></iq>`), component)
	f.Fuzz(func(t *testing.T, text []byte, domain string) {
		s, err := stanza.Parse(text, domain)
		if err != nil || s == nil {
			return
		}
		h := stanza.Head(s)
		if c, ok := s.(*stanza.Command); ok {
			_, _ = c.Registration()
		}
		for _, text := range answers(s) {
			var a answer
			if err := xml.Unmarshal(text, &a); err != nil {
				t.Fatalf("%v: %q", err, text)
			}
			if a.ID != h.ID || a.From != h.To || a.To != h.From {
				t.Fatalf("%+v is answered by %q", h, text)
			}
			if back, err := stanza.Parse(text, h.Domain()); err != nil || back != nil {
				t.Fatalf("%q is answered: %+v, %v", text, back, err)
			}
		}
	})
}
