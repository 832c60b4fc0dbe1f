package xmpptest

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the handshake of XEP-0114
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// Words are the stream errors of a server.
type Words struct {
	// NotAuthorized, HostUnknown, Conflict and NoFrom are what the server sends in place of a handshake, or at a stanza without from.
	// A server without a conflict accepts several streams for one component.
	NotAuthorized, HostUnknown, Conflict, NoFrom string
}

// errorNS declares the namespace of the conditions of stream errors.
const errorNS = " xmlns='urn:ietf:params:xml:ns:xmpp-streams'"

// What Prosody 13.0.1 and ejabberd 24.12 were recorded with.
var (
	Prosody = Words{
		NotAuthorized: "<not-authorized" + errorNS + "/><text" + errorNS + ">Given token does not match calculated token</text>",
		HostUnknown:   "<host-unknown" + errorNS + "/><text" + errorNS + ">nope.example.test does not match any configured external components</text>",
		Conflict:      "<conflict" + errorNS + "/><text" + errorNS + ">Component already connected</text>",
		NoFrom: "<invalid-from" + errorNS + "/><text" + errorNS + ">Component tried to send from address &lt;&lt; [missing &apos;from&apos; " +
			"attribute] &gt;&gt; which is not in domain &lt;push.example.test&gt;</text>",
	}
	Ejabberd = Words{
		NotAuthorized: "<not-authorized" + errorNS + "/>",
		HostUnknown:   "<host-unknown" + errorNS + "/>",
		NoFrom:        "<improper-addressing" + errorNS + "/><text xml:lang='en'" + errorNS + ">Missing &apos;from&apos; attribute</text>",
	}
)

// Server is a fake XMPP server for one component. Its connections are in memory, so it works in a bubble of testing/synctest.
type Server struct {
	Domain, Secret string
	Words          Words

	mu      sync.Mutex
	down    bool
	dials   int
	online  int
	streams chan *Stream
	serving sync.WaitGroup
}

// NewServer returns a server, which ends with the test.
func NewServer(t *testing.T, words Words) *Server {
	s := &Server{Domain: "push.example.test", Secret: rand.Text(), Words: words, streams: make(chan *Stream, 64)}
	t.Cleanup(s.serving.Wait)
	return s
}

// Dial connects to the server.
func (s *Server) Dial(context.Context) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials++
	if s.down {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	s.serving.Go(func() { s.serve(server) })
	return client, nil
}

// Refuse makes the server refuse connections, or accept them again.
func (s *Server) Refuse(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Dials returns how often a component has dialed.
func (s *Server) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Accept waits for the next stream that is online.
func (s *Server) Accept() *Stream { return <-s.streams }

// Stream is a component's stream at the server.
type Stream struct {
	// Received has the stanzas of the component. It is closed when the stream ends.
	Received chan *Element
	// Err is why the stream ended: io.EOF if the component closed it. Read it only after Received was closed.
	Err error

	conn net.Conn
}

// Send sends what a server could send. It returns an error if the component doesn't read on.
func (s *Stream) Send(xml string) error {
	_, err := s.conn.Write([]byte(xml))
	return err
}

// Break ends the connection without a word.
func (s *Stream) Break() { _ = s.conn.Close() }

// serve serves a connection.
func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	r := NewReader(conn)
	if words := s.accept(conn, r); words != "" {
		_, _ = conn.Write([]byte("<stream:error>" + words + "</stream:error></stream:stream>"))
		return
	}
	defer s.leave()
	if _, err := conn.Write([]byte("<handshake/>")); err != nil {
		return
	}
	stream := &Stream{Received: make(chan *Element, 4096), conn: conn}
	defer close(stream.Received)
	s.streams <- stream
	for {
		e, err := r.Next()
		if err == nil && e.XMLName.Local != "error" && (e.Attr("from") == "" || e.Attr("to") == "") {
			_, _ = conn.Write([]byte("<stream:error>" + s.Words.NoFrom + "</stream:error>"))
			err = errors.New("a stanza without an address")
		}
		if err != nil {
			stream.Err = err
			_, _ = conn.Write([]byte("</stream:stream>"))
			return
		}
		stream.Received <- e
	}
}

// accept exchanges headers and checks the handshake. It returns the words for which the component is not accepted.
func (s *Server) accept(conn net.Conn, r *Reader) (words string) {
	header, err := r.Header()
	if err != nil {
		return "<not-well-formed" + errorNS + "/>"
	}
	const open = "<?xml version='1.0'?><stream:stream from='%s' xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept' id='%s' xml:lang='en'>"
	if header.Attr("to") != s.Domain {
		_, _ = fmt.Fprintf(conn, open, "", "")
		return s.Words.HostUnknown
	}
	id := rand.Text()
	_, _ = fmt.Fprintf(conn, open, s.Domain, id)
	hash := sha1.Sum([]byte(id + s.Secret)) //nolint:gosec // the handshake of XEP-0114
	shaken, err := r.Next()
	if err != nil || !strings.EqualFold(shaken.Inner, hex.EncodeToString(hash[:])) {
		return s.Words.NotAuthorized
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.online > 0 && s.Words.Conflict != "" {
		return s.Words.Conflict
	}
	s.online++
	return ""
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.online--
}
