package stanza

import "encoding/xml"

// maxElements is how many elements of a stanza are kept; the others are left out. A publish has about 30. An element takes much more memory
// than the four bytes in which a stranger can write it.
const maxElements = 512

// element is an XML element as it was received.
type element struct {
	name     xml.Name
	attrs    []xml.Attr
	children []*element
	text     []byte
}

// read reads one element with all that is in it. It fails for what RFC 6120 section 11.1 forbids in a stream.
func read(tokens *xml.Decoder) (*element, error) {
	var open []*element
	kept, skipped := 0, 0 // skipped is how many elements that are left out are open
	for {
		token, err := tokens.Token()
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if skipped > 0 || kept == maxElements {
				skipped++
				continue
			}
			kept++
			e := &element{name: t.Name, attrs: t.Attr}
			if len(open) > 0 {
				parent := open[len(open)-1]
				parent.children = append(parent.children, e)
			}
			open = append(open, e)
		case xml.EndElement:
			switch {
			case skipped > 0:
				skipped--
			case len(open) == 1:
				return open[0], nil
			case len(open) > 1:
				open = open[:len(open)-1]
			}
		case xml.CharData:
			if skipped == 0 && len(open) > 0 {
				last := open[len(open)-1]
				last.text = append(last.text, t...)
			}
		default:
			return nil, errMalformed
		}
	}
}

// attr returns the value of an attribute without a prefix. An attribute that appears twice is not well-formed, and counts as missing.
func (e *element) attr(name string) string {
	value, found := "", 0
	for _, a := range e.attrs {
		if a.Name.Space == "" && a.Name.Local == name {
			value = a.Value
			found++
		}
	}
	if found != 1 {
		return ""
	}
	return value
}

// is reports whether the element has that namespace and name.
func (e *element) is(space, local string) bool { return e.name.Space == space && e.name.Local == local }

// all returns the children with that namespace and name.
func (e *element) all(space, local string) (found []*element) {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if c.is(space, local) {
			found = append(found, c)
		}
	}
	return found
}

// child returns the first child with that namespace and name, or nil. It can be called on a nil element.
func (e *element) child(space, local string) *element {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if c.is(space, local) {
			return c
		}
	}
	return nil
}
