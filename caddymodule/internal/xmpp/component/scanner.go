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

var errTooLarge = &failed{reason: TooLarge, tell: "policy-violation", err: errors.New("a stanza is too large")}

// scanner reads a stream's XML, one element below the root at a time. It keeps at most max bytes.
type scanner struct {
	in    *bufio.Reader
	xml   *xml.Decoder
	max   int
	raw   []byte // what was read of the current element
	ended error  // why ReadByte gave the decoder no byte
}

// element is an element below the root.
type element struct {
	name xml.Name
	raw  []byte
	// condition is the condition of a stream error.
	condition string
}

func newScanner(in io.Reader, max int) *scanner {
	s := &scanner{in: bufio.NewReader(in), max: max}
	s.xml = xml.NewDecoder(s) // it reads single bytes from an io.ByteReader, and never more than it needs
	return s
}

// ReadByte gives the decoder its next byte.
func (s *scanner) ReadByte() (byte, error) {
	if len(s.raw) >= s.max {
		s.ended = errTooLarge
		return 0, s.ended
	}
	c, err := s.in.ReadByte()
	if err != nil {
		s.ended = err
		return 0, err
	}
	s.raw = append(s.raw, c)
	return c, nil
}

// Read is never called, because the decoder prefers ReadByte.
func (s *scanner) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// header reads the stream's header and returns the stream's id.
func (s *scanner) header() (id string, err error) {
	for first := true; ; first = false {
		if err := s.skipSpace(); err != nil {
			return "", err
		}
		token, err := s.token()
		if err != nil {
			return "", err
		}
		switch token := token.(type) {
		case xml.ProcInst:
			if !first || token.Target != "xml" {
				return "", restricted()
			}
		case xml.StartElement:
			return s.root(token)
		default:
			return "", restricted()
		}
	}
}

// root checks the stream's root element and returns the stream's id.
func (s *scanner) root(root xml.StartElement) (id string, err error) {
	content := ""
	for _, a := range root.Attr {
		switch a.Name {
		case xml.Name{Local: "id"}:
			id = a.Value
		case xml.Name{Local: "xmlns"}:
			content = a.Value
		}
	}
	if root.Name != (xml.Name{Space: streams, Local: "stream"}) || content != Namespace {
		return "", &failed{reason: NotXMPP, tell: "invalid-namespace", err: errors.New("the server's stream is not one for components")}
	}
	return id, nil
}

// next reads the next element. It calls began when the element's first byte has arrived. Before that, the server may be silent for any
// time.
func (s *scanner) next(began func()) (*element, error) {
	if err := s.skipSpace(); err != nil {
		return nil, err
	}
	began()
	s.raw = s.raw[:0]
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case xml.StartElement:
		return s.rest(token.Name)
	case xml.EndElement:
		return nil, &failed{reason: Closed, err: errors.New("the server closed the stream")}
	default:
		return nil, restricted()
	}
}

// skipSpace reads the white space before a tag. Servers send some to keep the connection open, so it has no limit.
func (s *scanner) skipSpace() error {
	for {
		c, err := s.in.ReadByte()
		switch {
		case err != nil:
			return err
		case c == '<':
			return s.in.UnreadByte()
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			return &failed{reason: Malformed, tell: "bad-format", err: errors.New("there is text in place of a stanza")}
		}
	}
}

// rest reads an element after its start.
func (s *scanner) rest(name xml.Name) (*element, error) {
	e := &element{name: name}
	for depth := 1; depth > 0; {
		token, err := s.token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return nil, &failed{reason: TooDeep, tell: "policy-violation", err: errors.New("a stanza has too many levels")}
			}
			if depth == 2 && token.Name.Space == errorNS && token.Name.Local != "text" {
				e.condition = token.Name.Local
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
		default:
			return nil, restricted()
		}
	}
	e.raw = bytes.Clone(s.raw)
	return e, nil
}

// token reads a token. Its error contains nothing that the server wrote.
func (s *scanner) token() (xml.Token, error) {
	token, err := s.xml.Token()
	switch {
	case err == nil:
		return token, nil
	case errors.Is(s.ended, io.EOF):
		return nil, io.ErrUnexpectedEOF
	case s.ended != nil:
		return nil, s.ended
	}
	return nil, &failed{reason: Malformed, tell: "not-well-formed", err: errors.New("the stream is not well-formed")}
}

func restricted() error {
	// RFC 6120 section 11.1.
	return &failed{reason: Restricted, tell: "restricted-xml", err: errors.New("the stream has a comment, a DTD or a processing instruction")}
}
