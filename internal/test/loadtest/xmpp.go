package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// componentDomain is the gateway's domain at the XMPP server, and componentSecret is their secret.
	componentDomain = "push.example.org"
	componentSecret = "loadtest"
	// senderDomain is the domain of the server that sends the publishes.
	senderDomain = "example.org"

	componentHeader = "<?xml version='1.0'?><stream:stream from='" + componentDomain + "' id='loadtest' " +
		"xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>"
	publishHead = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='"
	// publishTail is what Prosody sends for a message.
	publishTail = "'><item><notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='form'>" +
		"<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>" +
		"<field var='message-count' type='text-single'><value>1</value></field>" +
		"<field var='pending-subscription-count' type='text-single'/><field var='last-message-sender' type='jid-single'/>" +
		"<field var='last-message-body' type='text-single'><value>New Message!</value></field>" +
		"</x></notification></item></publish></pubsub></iq>"
)

// publishes makes the publishes of XEP-0357, each for the next device. A device's node is its token.
type publishes struct{ nodes []string }

// newPublishes returns the publishes for the same devices as newBodies.
func newPublishes(o *options, origins []string) *publishes {
	p := &publishes{make([]string, o.Population)}
	for i := range p.nodes {
		p.nodes[i] = pushkey(o.Provider, i, origins[i%len(origins)])
	}
	return p
}

// next returns the nth publish, without the start tag of its iq, which only the stream knows.
func (p *publishes) next(n int64) []byte {
	return []byte(publishHead + p.nodes[int(n)%len(p.nodes)] + publishTail)
}

// component is the XMPP server's end of a component's stream (XEP-0114). It is safe for concurrent use. It reads and writes by hand, since
// the gateway cannot use the CPU time that it needs. Like the push service, it checks nothing.
type component struct {
	listener net.Listener
	conn     net.Conn
	reader   *bufio.Reader

	writing sync.Mutex
	buffer  []byte

	mu      sync.Mutex
	last    int64                // id of the last publish
	waiting map[int64]chan<- int // for the statuses of the answers; nil once the stream has ended
}

var errStreamEnded = errors.New("the component's stream has ended")

// listen listens for a component.
func listen() (*component, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &component{listener: listener, waiting: make(map[int64]chan<- int)}, nil
}

// accept waits until the component is online.
func (c *component) accept() (err error) {
	deadline := time.Now().Add(patience)
	if err := c.listener.(*net.TCPListener).SetDeadline(deadline); err != nil {
		return err
	}
	if c.conn, err = c.listener.Accept(); err != nil {
		return err
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	c.reader = bufio.NewReader(c.conn)
	for _, step := range []struct{ end, answer string }{{"<stream:stream ", componentHeader}, {"</handshake>", "<handshake/>"}} {
		for tag := ""; !strings.Contains(tag, step.end); {
			if tag, err = c.reader.ReadString('>'); err != nil {
				return fmt.Errorf("the component's handshake: %w", err)
			}
		}
		if _, err := c.conn.Write([]byte(step.answer)); err != nil {
			return err
		}
	}
	go c.read()
	return c.conn.SetDeadline(time.Time{})
}

// read reads answers until the stream ends.
func (c *component) read() {
	for {
		tag, err := c.reader.ReadSlice('>')
		if err != nil {
			break
		}
		if id, status := answerIn(tag); status != 0 {
			c.mu.Lock()
			if waiting := c.waiting[id]; waiting != nil {
				waiting <- status
				delete(c.waiting, id)
			}
			c.mu.Unlock()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, waiting := range c.waiting {
		close(waiting)
	}
	c.waiting = nil
}

// answerIn returns what the first tag of an answer means, as a status of HTTP. For any other tag, the status is 0.
func answerIn(tag []byte) (id int64, status int) {
	if !bytes.HasPrefix(bytes.TrimSpace(tag), []byte("<iq ")) {
		return 0, 0
	}
	_, rest, _ := bytes.Cut(tag, []byte(" id='"))
	text, _, _ := bytes.Cut(rest, []byte("'"))
	id, err := strconv.ParseInt(string(text), 10, 64)
	switch {
	case err != nil:
		return 0, 0
	case bytes.Contains(tag, []byte(" type='result'")):
		return id, http.StatusOK
	}
	return id, http.StatusServiceUnavailable
}

// post sends a publish. A result counts as 200, and an error as 503.
func (c *component) post(ctx context.Context, publish []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	status := make(chan int, 1)
	id := c.wait(status)
	if err := c.write(id, publish); err != nil {
		return 0, err
	}
	select {
	case status, ok := <-status:
		if !ok {
			return 0, errStreamEnded
		}
		return status, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// wait returns the id for a publish whose answer's status goes to the channel.
func (c *component) wait(status chan<- int) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	if c.waiting == nil {
		close(status)
	} else {
		c.waiting[c.last] = status
	}
	return c.last
}

func (c *component) write(id int64, publish []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.buffer = fmt.Appendf(c.buffer[:0], "<iq to='%s' from='%s' id='%d' type='set'>%s", componentDomain, senderDomain, id, publish)
	_, err := c.conn.Write(c.buffer)
	return err
}

func (c *component) close() {
	_ = c.listener.Close()
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// Interface guards
var (
	_ connection = (*component)(nil)
	_ sequence   = (*publishes)(nil)
)
