package component

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // the handshake of XEP-0114
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// negotiateTime is how long the server may take to accept a component.
	negotiateTime = 15 * time.Second
	// stanzaTime is how long the rest of a stanza may take after its first byte.
	stanzaTime = 30 * time.Second
	// writeTime is how long the server may take to read what is written to it.
	writeTime = 30 * time.Second
	// closeTime is how long the server may take to close a stream after the component has.
	closeTime = 2 * time.Second
	// keepAlive is the time between two spaces that show whether the connection still works.
	keepAlive = time.Minute

	closing = "</stream:stream>"
)

// stream is one connection to the server.
type stream struct {
	*Component
	conn    net.Conn
	scanner *scanner
	queue   *queue
	reply   Reply // send, made once and not for each stanza

	once  sync.Once
	ended chan struct{} // closed when the stream has ended
	err   error         // the first reason for that
}

func newStream(conn net.Conn, c *Component) *stream {
	s := &stream{Component: c, conn: conn, scanner: newScanner(conn, c.options.MaxStanza), queue: newQueue(), ended: make(chan struct{})}
	s.reply = s.send
	return s
}

// negotiate opens the stream and proves that the component knows the secret. A canceled context ends it.
func (s *stream) negotiate(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	_ = s.conn.SetDeadline(time.Now().Add(negotiateTime))
	err := s.greet()
	if err == nil {
		err = s.handshake()
	}
	if err != nil {
		_ = s.conn.SetWriteDeadline(time.Now().Add(closeTime))
		_, _ = s.conn.Write([]byte(lastWords(err)))
		return err
	}
	return s.conn.SetDeadline(time.Time{})
}

// greet exchanges the headers, and sends the handshake.
func (s *stream) greet() error {
	secret, err := s.options.Secret()
	if err != nil || secret == "" {
		return &failed{reason: NoSecret, err: errors.New("the secret can't be read")} // err might quote a part of it
	}
	header := "<?xml version='1.0'?><stream:stream xmlns='" + Namespace + "' xmlns:stream='" + streams + "' to='" + escape(s.options.JID) + "'>"
	if _, err := s.conn.Write([]byte(header)); err != nil {
		return err
	}
	id, err := s.scanner.header()
	if err != nil {
		return notXMPP(err)
	}
	if id == "" { // a stream error follows; without an id, the hash of the secret would be the same each time
		return nil
	}
	hash := sha1.Sum([]byte(id + secret)) //nolint:gosec // the handshake of XEP-0114
	_, err = s.conn.Write([]byte("<handshake>" + hex.EncodeToString(hash[:]) + "</handshake>"))
	return err
}

// notXMPP returns the error for a header that could not be read. Most likely, another protocol is spoken at this port.
func notXMPP(err error) error {
	if f := (*failed)(nil); errors.As(err, &f) && f.reason != NotXMPP {
		return &failed{reason: NotXMPP, tell: f.tell, err: fmt.Errorf("the server's first answer is not the header of a stream: %w", f.err)}
	}
	return err
}

// handshake waits for the server's answer to the handshake.
func (s *stream) handshake() error {
	for {
		e, err := s.scanner.next(func() {})
		if err != nil {
			return err
		}
		switch e.name {
		case xml.Name{Space: Namespace, Local: "handshake"}:
			return nil
		case xml.Name{Space: streams, Local: "error"}:
			return streamError(e.condition)
		}
		s.ignore(e)
	}
}

// run serves an open stream until it ends, or until the context is done. It returns why the stream ended.
func (s *stream) run(ctx context.Context) error {
	var parts sync.WaitGroup
	parts.Go(func() { s.fail(s.read()) })
	parts.Go(func() {
		if err := s.write(); err != nil {
			s.fail(err)
			_ = s.conn.Close() // the reader may wait for the server
		}
	})
	select {
	case <-ctx.Done():
		s.shutDown()
	case <-s.ended:
	}
	// The writer may still write the last bytes.
	late := time.AfterFunc(closeTime, func() { _ = s.conn.Close() })
	defer late.Stop()
	parts.Wait()
	return s.err
}

// fail ends the stream with an error, if it is the first. A fault in what the server wrote is reported to the server.
func (s *stream) fail(err error) {
	s.once.Do(func() {
		s.err = err
		s.queue.end(lastWords(err))
		close(s.ended)
	})
}

// lastWords returns the end of a stream that ends with an error.
func lastWords(err error) string {
	f := (*failed)(nil)
	if !errors.As(err, &f) || f.tell == "" {
		return closing
	}
	return "<stream:error><" + f.tell + " xmlns='" + errorNS + "'/></stream:error>" + closing
}

// shutDown closes the stream once the work in hand is done. The reader goes on until the server has closed the stream, too: if there were
// unread stanzas when the connection is closed, the server might not get the last answers.
func (s *stream) shutDown() {
	s.work.drain(s.options.Grace)
	s.queue.end(closing)
}

// read hands stanzas to the handler until the stream ends.
func (s *stream) read() error {
	for {
		e, err := s.scanner.next(func() { _ = s.conn.SetReadDeadline(time.Now().Add(stanzaTime)) })
		if err != nil {
			return err
		}
		switch {
		case e.name == xml.Name{Space: streams, Local: "error"}:
			return streamError(e.condition)
		case e.name.Space == Namespace && isStanza(e.name.Local):
			s.handle(e.raw)
		default:
			s.ignore(e)
		}
		if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
}

func (s *stream) ignore(e *element) { s.options.Observer.Ignored(cmp.Or(e.fault, NotStanza)) }

func isStanza(name string) bool { return name == "iq" || name == "message" || name == "presence" }

// handle hands a stanza to the handler, or has it refused if there is too much work in hand.
func (s *stream) handle(stanza []byte) {
	if !s.work.begin(len(stanza), func(ctx context.Context) { s.options.Handler.Handle(ctx, stanza, s.reply) }) {
		s.options.Handler.Refuse(stanza, s.reply)
	}
}

// send adds a stanza to the queue of the writer.
func (s *stream) send(stanza []byte) error {
	if err := checkOutgoing(stanza, s.options.JID); err != nil {
		return err
	}
	return s.queue.add(stanza)
}
