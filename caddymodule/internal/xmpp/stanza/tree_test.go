package stanza_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// node is an element of a stanza as it was written, to write it in another order.
type node struct {
	name     string
	attrs    []xml.Attr
	children []*node
	text     string
}

func tree(t *testing.T, stanza []byte) *node {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(stanza))
	root := new(node)
	open := []*node{root}
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return root.children[0]
		}
		if err != nil {
			t.Fatal(err)
		}
		last := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{name: token.Name.Local, attrs: token.Attr}
			last.children = append(last.children, n)
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			last.text += string(token)
		}
	}
}

// shuffle returns the element with its attributes and children in another order.
func (n *node) shuffle() *node {
	copied := &node{name: n.name, attrs: slices.Clone(n.attrs), text: n.text}
	rand.Shuffle(len(copied.attrs), func(i, j int) { copied.attrs[i], copied.attrs[j] = copied.attrs[j], copied.attrs[i] })
	for _, i := range rand.Perm(len(n.children)) {
		copied.children = append(copied.children, n.children[i].shuffle())
	}
	return copied
}

// moveOptions returns an iq whose publish-options are beside the pubsub element, in its namespace or in that of the iq.
func (n *node) moveOptions(declared bool) *node {
	moved := &node{name: n.name, attrs: n.attrs, text: n.text}
	for _, child := range n.children {
		copied := *child
		copied.children = nil
		moved.children = append(moved.children, &copied)
		for _, c := range child.children {
			if c.name != "publish-options" {
				copied.children = append(copied.children, c)
				continue
			}
			options := *c
			if declared {
				options.attrs = []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: "http://jabber.org/protocol/pubsub"}}
			}
			moved.children = append(moved.children, &options)
		}
	}
	return moved
}

func (n *node) write() []byte {
	var b bytes.Buffer
	n.writeTo(&b)
	return b.Bytes()
}

func (n *node) writeTo(b *bytes.Buffer) {
	b.WriteString("<" + n.name)
	for _, a := range n.attrs {
		b.WriteByte(' ')
		if a.Name.Space != "" {
			b.WriteString(a.Name.Space + ":")
		}
		b.WriteString(a.Name.Local + "='")
		_ = xml.EscapeText(b, []byte(a.Value))
		b.WriteByte('\'')
	}
	b.WriteByte('>')
	_ = xml.EscapeText(b, []byte(n.text))
	for _, child := range n.children {
		child.writeTo(b)
	}
	b.WriteString("</" + n.name + ">")
}
