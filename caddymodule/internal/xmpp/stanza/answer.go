package stanza

import (
	"bytes"
	"encoding/xml"
)

// Verdict is what a push service can answer to a push. The set is closed, because a server decides by the answer whether it keeps the
// device's registration.
type Verdict uint8

// The verdicts. Every other value is Wait.
const (
	// Wait keeps the registration at every known server: not now, not understood, or not allowed.
	Wait Verdict = iota
	// Taken keeps the registration: the push was delivered, or will be, or there was nothing to deliver.
	Taken
	// Gone deletes the registration: the device is dead.
	Gone
	// Forbidden is for a sender that is not a server, and so has no registration to lose. To a server it is Wait.
	Forbidden
)

// words is the text of an error. The type is not exported, so other packages can pass only constants. An error never contains anything that
// was received or configured.
type words string

// Answer returns the answer to a publish. The words are a constant that explains an error to the operator of the sending server; empty for
// none.
func (p *Publish) Answer(v Verdict, w words) []byte {
	if v == Taken {
		return p.result(nil)
	}
	return p.fail(p.condition(v), w)
}

// Answer returns the answer to a push, which is nil if it was taken: Push 2.0 knows no answer but errors.
func (p *Push2) Answer(v Verdict, w words) []byte {
	if v == Taken {
		return nil
	}
	var b bytes.Buffer
	p.begin(&b, "message", "error")
	p.condition(v).write(&b, w)
	b.WriteString("</message>")
	return b.Bytes()
}

func (h *Header) condition(v Verdict) condition {
	switch {
	case v == Gone:
		return gone
	case v == Forbidden && !h.FromServer():
		return forbidden
	}
	return later
}

// condition is an error of a stanza, RFC 6120 section 8.3.
type condition struct{ kind, name string }

// All errors that this package writes. Only the first three answer a push. Only one has the type wait, because Tigase deletes a
// registration at most others.
var (
	later     = condition{"wait", "remote-server-timeout"}
	gone      = condition{"cancel", "item-not-found"}
	forbidden = condition{"auth", "forbidden"}

	badRequest  = condition{"modify", "bad-request"}
	unsupported = condition{"cancel", "service-unavailable"}
)

func (c condition) write(b *bytes.Buffer, w words) {
	open(b, "error", "type", c.kind)
	b.WriteByte('>')
	open(b, c.name, "xmlns", nsStanzas)
	b.WriteString("/>")
	if w != "" {
		open(b, "text", "xmlns", nsStanzas, "xml:lang", "en")
		b.WriteByte('>')
		escape(b, string(w))
		b.WriteString("</text>")
	}
	b.WriteString("</error>")
}

// fail returns an error as the answer to a request.
func (h *Header) fail(c condition, w words) []byte {
	var b bytes.Buffer
	h.begin(&b, "iq", "error")
	c.write(&b, w)
	b.WriteString("</iq>")
	return b.Bytes()
}

// result returns a result as the answer to a request, with what the function writes into it.
func (h *Header) result(content func(*bytes.Buffer)) []byte {
	var b bytes.Buffer
	h.begin(&b, "iq", "result")
	if content != nil {
		content(&b)
	}
	b.WriteString("</iq>")
	return b.Bytes()
}

// begin writes the start of an answer. Without both addresses, Prosody and ejabberd would end the whole stream.
func (h *Header) begin(b *bytes.Buffer, name, kind string) {
	open(b, name, "type", kind, "from", h.To, "to", h.From)
	if h.ID != "" {
		b.WriteString(" id='")
		escape(b, h.ID)
		b.WriteByte('\'')
	}
	b.WriteByte('>')
}

// open writes the start of an element, up to its attributes, which are pairs of a name and a value.
func open(b *bytes.Buffer, name string, attrs ...string) {
	b.WriteByte('<')
	b.WriteString(name)
	for i := 0; i+1 < len(attrs); i += 2 {
		b.WriteByte(' ')
		b.WriteString(attrs[i])
		b.WriteString("='")
		escape(b, attrs[i+1])
		b.WriteByte('\'')
	}
}

// escape writes a text or the value of an attribute.
func escape(b *bytes.Buffer, s string) { _ = xml.EscapeText(b, []byte(s)) } // a buffer does not fail

func writeForm(b *bytes.Buffer, fields []Field) {
	open(b, "x", "xmlns", nsForm, "type", "result")
	b.WriteByte('>')
	for _, f := range fields {
		kind := "text-single"
		if f.Multi {
			kind = "text-multi"
		}
		open(b, "field", "var", f.Name, "type", kind)
		b.WriteByte('>')
		for _, value := range f.Values {
			b.WriteString("<value>")
			escape(b, value)
			b.WriteString("</value>")
		}
		b.WriteString("</field>")
	}
	b.WriteString("</x>")
}
