package component

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
)

const (
	streams = "http://etherx.jabber.org/streams"
	errorNS = "urn:ietf:params:xml:ns:xmpp-streams"

	// maxDepth is how many elements may be inside each other. A message with forwarded messages in it has about ten.
	maxDepth = 64
)

// scanner finds the elements below a stream's root. Anybody can make a server send an element that is too large or too deep, so such an
// element does not end the stream. The scanner skips it, and keeps at most max bytes of it.
type scanner struct {
	in     *bufio.Reader
	max    int
	prefix string // of the stream's namespace

	raw   []byte // the current element
	fault string // why the current element is of no use
}

// element is an element below the root.
type element struct {
	// fault is why the element was skipped. If it is not empty, the other fields are.
	fault string
	name  xml.Name
	raw   []byte
	// condition is the condition of a stream error.
	condition string
}

func newScanner(in io.Reader, max int) *scanner { return &scanner{in: bufio.NewReader(in), max: max} }

// header reads the stream's header and returns the stream's id.
func (s *scanner) header() (id string, err error) {
	c, err := s.open()
	if err == nil && c == '?' { // <?xml version='1.0'?>
		if err = s.until('>'); err == nil {
			c, err = s.open()
		}
	}
	if err != nil {
		return "", err
	}
	if c == '!' || c == '?' {
		return "", restricted()
	}
	if _, err := s.tag(c); err != nil {
		return "", err
	}
	return s.root()
}

// open skips white space up to a tag, and returns the tag's first byte. White space has no limit, because servers send some to keep the
// connection open.
func (s *scanner) open() (byte, error) {
	for {
		c, err := s.in.ReadByte()
		switch {
		case err != nil:
			return 0, ended(err)
		case c == '<':
			s.keep('<')
			return s.byte()
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			return 0, &failed{reason: Malformed, tell: "bad-format", err: errors.New("there is text in place of a stanza")}
		}
	}
}

// root checks the stream's root and returns the stream's id.
func (s *scanner) root() (id string, err error) {
	root, content := xml.StartElement{}, ""
	for d := xml.NewDecoder(bytes.NewReader(s.raw)); root.Name.Local == "" && s.fault == ""; {
		token, err := d.Token()
		if err != nil {
			s.fault = Malformed
		}
		root, _ = token.(xml.StartElement)
	}
	if s.fault != "" {
		return "", &failed{reason: NotXMPP, tell: "not-well-formed", err: errors.New("the header is malformed or too large")}
	}
	for _, a := range root.Attr {
		switch {
		case a.Name == xml.Name{Local: "id"}:
			id = a.Value
		case a.Name == xml.Name{Local: "xmlns"}:
			content = a.Value
		case a.Name.Space == "xmlns" && a.Value == streams:
			s.prefix = a.Name.Local
		}
	}
	if root.Name != (xml.Name{Space: streams, Local: "stream"}) || content != Namespace {
		return "", &failed{reason: NotXMPP, tell: "invalid-namespace", err: errors.New("the server's stream is not one for components")}
	}
	return id, nil
}

// next reads the next element. It calls began when the element's first bytes have arrived. Before that, the server may be silent for any
// time.
func (s *scanner) next(began func()) (*element, error) {
	s.raw, s.fault = s.raw[:0], ""
	c, err := s.open()
	if err != nil {
		return nil, err
	}
	if c == '/' {
		return nil, &failed{reason: Closed, err: errors.New("the server closed the stream")}
	}
	began()
	if err := s.rest(c); err != nil {
		return nil, err
	}
	if s.fault != "" {
		return &element{fault: s.fault}, nil
	}
	return s.parse(), nil
}

// rest reads an element from the second byte of its first tag. It only counts tags, so it finds the end of an element of any size.
func (s *scanner) rest(c byte) error {
	for depth := 0; ; {
		empty, err := false, error(nil)
		switch c {
		case '/':
			depth--
			err = s.until('>')
		case '!':
			err = s.cdata(depth)
		case '?':
			err = restricted()
		default:
			if empty, err = s.tag(c); !empty {
				depth++
			}
		}
		if err != nil || depth == 0 {
			return err
		}
		if depth > maxDepth && s.fault == "" {
			s.fault = TooDeep
		}
		if err := s.until('<'); err != nil {
			return err
		}
		if c, err = s.byte(); err != nil {
			return err
		}
	}
}

// tag reads the rest of a start tag, and reports whether it is also the end of the element.
func (s *scanner) tag(c byte) (empty bool, err error) {
	var quote, last byte
	for c != '>' || quote != 0 {
		switch {
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
		last = c
		if c, err = s.byte(); err != nil {
			return false, err
		}
	}
	return last == '/', nil
}

// cdata reads the rest of a CDATA section. Nothing else may begin like one.
func (s *scanner) cdata(depth int) error {
	for _, want := range []byte("[CDATA[") {
		if c, err := s.byte(); err != nil {
			return err
		} else if c != want || depth == 0 {
			return restricted()
		}
	}
	for brackets := 0; ; {
		switch c, err := s.byte(); {
		case err != nil:
			return err
		case c == ']':
			brackets++
		case c == '>' && brackets >= 2:
			return nil
		default:
			brackets = 0
		}
	}
}

// byte reads a byte of the element.
func (s *scanner) byte() (byte, error) {
	c, err := s.in.ReadByte()
	if err != nil {
		return 0, ended(err)
	}
	s.keep(c)
	return c, nil
}

// until reads a part of the element that ends with a byte.
func (s *scanner) until(end byte) error {
	for {
		part, err := s.in.ReadSlice(end)
		s.keep(part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return ended(err)
		}
	}
}

func (s *scanner) keep(part ...byte) {
	if len(s.raw)+len(part) <= s.max {
		s.raw = append(s.raw, part...)
	} else if s.fault == "" {
		s.fault = TooLarge
	}
}

// parse reads the element's XML. What is not well-formed is of no use, but the next element may be.
func (s *scanner) parse() *element {
	e := &element{raw: bytes.Clone(s.raw)}
	d := xml.NewDecoder(bytes.NewReader(e.raw))
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return &element{fault: Malformed}
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth++; depth == 1 {
				e.name = s.resolve(token.Name)
			} else if depth == 2 && token.Name.Space == errorNS && token.Name.Local != "text" {
				e.condition = token.Name.Local
			}
		case xml.EndElement:
			if depth--; depth > 0 {
				continue
			}
			if d.InputOffset() != int64(len(e.raw)) {
				return &element{fault: Malformed}
			}
			return e
		}
	}
}

// resolve returns the name of an element below the root, whose namespace may be declared by the root.
func (s *scanner) resolve(name xml.Name) xml.Name {
	switch name.Space {
	case "":
		name.Space = Namespace
	case s.prefix:
		name.Space = streams
	}
	return name
}

// ended returns the error for the end of the connection.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func restricted() error {
	// RFC 6120 section 11.1.
	return &failed{reason: Restricted, tell: "restricted-xml", err: errors.New("the stream has a comment, a DTD or a processing instruction")}
}
