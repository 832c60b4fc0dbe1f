// Package xmpptest has what tests of XMPP need: a reader of streams, a client, and a fake server that accepts
// components (XEP-0114) and answers with the words that Prosody and ejabberd were recorded with.
package xmpptest

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
)

// Element is an element below the root of a stream.
type Element struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Inner   string     `xml:",innerxml"`
}

// Attr returns an attribute's value.
func (e *Element) Attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name == (xml.Name{Local: name}) {
			return a.Value
		}
	}
	return ""
}

// Reader reads a stream's elements.
type Reader struct{ xml *xml.Decoder }

// NewReader returns a reader of a stream.
func NewReader(r io.Reader) *Reader { return &Reader{xml.NewDecoder(r)} }

// Header reads the header of the stream.
func (r *Reader) Header() (*Element, error) {
	for {
		token, err := r.xml.Token()
		if err != nil {
			return nil, err
		}
		if root, ok := token.(xml.StartElement); ok {
			return &Element{XMLName: root.Name, Attrs: root.Attr}, nil
		}
	}
}

// Next reads an element. It returns io.EOF if the stream was closed in order.
func (r *Reader) Next() (*Element, error) {
	for {
		token, err := r.xml.Token()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		switch token := token.(type) {
		case nil:
			return nil, err
		case xml.StartElement:
			e := new(Element)
			return e, r.xml.DecodeElement(e, &token)
		case xml.EndElement:
			return nil, io.EOF
		}
	}
}

// Escape escapes a text for an attribute or an element.
func Escape(text string) string {
	var b escaped
	_ = xml.EscapeText(&b, []byte(text))
	return string(b)
}

type escaped []byte

func (b *escaped) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// conditions matches an error's type and condition, RFC 6120 section 8.3.
var conditions = regexp.MustCompile(`<error type='(\w+)'><([\w-]+) `)

// Verdict returns what an answer means: its type or, for an error, the error's type and condition.
func (e *Element) Verdict() string {
	if m := conditions.FindStringSubmatch(e.Inner); m != nil {
		return m[1] + " " + m[2]
	}
	return e.Attr("type")
}
