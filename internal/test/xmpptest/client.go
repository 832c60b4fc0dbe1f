package xmpptest

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// What every real server has: a host for users, whose password is Password, and a component.
const (
	Domain    = "example.test"
	Component = "push.example.test"
	Secret    = "s3cret"
	Password  = "pw"
)

// patience is how long a test waits for a condition that a working server meets at once.
const patience = 60 * time.Second

// Client is a user's XMPP client, which sends only what a test has it send.
type Client struct {
	// JID is the client's full JID.
	JID string

	t    testing.TB
	conn net.Conn
	in   *Reader
}

// dial connects to the address for clients of a server of [Domain].
func dial(t testing.TB, address string) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &Client{t: t, conn: conn}
	c.open()
	return c
}

// Register makes an account with [Password] at a server that lets everybody do so (XEP-0077).
func Register(t testing.TB, address, user string) {
	t.Helper()
	c := dial(t, address)
	c.Send("<iq type='set' id='register'><query xmlns='jabber:iq:register'>" +
		"<username>" + Escape(user) + "</username><password>" + Password + "</password></query></iq>")
	if e := c.Expect("iq", "register"); e.Attr("type") != "result" {
		t.Fatalf("%s was not registered: %s", user, e.Inner)
	}
	c.Logout()
}

// Login connects as a user with SASL PLAIN, and binds a resource. It ends the user's session that has this resource. If it is empty, the
// server makes one up.
func Login(t testing.TB, address, user, resource string) *Client {
	t.Helper()
	c := dial(t, address)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + Password))
	c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain + "</auth>")
	c.Expect("success", "")
	c.open()
	if resource != "" {
		resource = "<resource>" + Escape(resource) + "</resource>"
	}
	c.Send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>" + resource + "</bind></iq>")
	_, jid, _ := strings.Cut(c.Expect("iq", "bind").Inner, "<jid>")
	c.JID, _, _ = strings.Cut(jid, "</jid>")
	return c
}

// open opens a stream and reads its features.
func (c *Client) open() {
	c.t.Helper()
	c.Send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' " +
		"to='" + Domain + "' version='1.0'>")
	c.in = NewReader(c.conn)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.in.Header(); err != nil {
		c.t.Fatal(err)
	}
	c.Expect("features", "")
}

// Send sends XML.
func (c *Client) Send(xml string) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write([]byte(xml)); err != nil {
		c.t.Fatal(err)
	}
}

// Expect waits for an element with a name and, if it is not empty, an id. It discards the elements before it.
func (c *Client) Expect(name, id string) *Element {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		e, err := c.in.Next()
		if err != nil {
			c.t.Fatalf("no %s with the id %q: %v", name, id, err)
		}
		if e.XMLName.Local == name && (id == "" || e.Attr("id") == id) {
			return e
		}
	}
}

// Available makes the client reachable for messages to the bare JID.
func (c *Client) Available() { c.Send("<presence/>") }

// EnableStreamManagement makes the session outlive its connection (XEP-0198).
func (c *Client) EnableStreamManagement() {
	c.t.Helper()
	c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	c.Expect("enabled", "")
}

// EnablePush registers a push service for the user (XEP-0357). A form of publish-options may follow as XML, or be empty.
func (c *Client) EnablePush(service, node, options string) {
	c.t.Helper()
	c.Send(fmt.Sprintf("<iq type='set' id='push'><enable xmlns='urn:xmpp:push:0' jid='%s' node='%s'>%s</enable></iq>",
		Escape(service), Escape(node), options))
	if e := c.Expect("iq", "push"); e.Attr("type") != "result" {
		c.t.Fatalf("push was not enabled: %s", e.Inner)
	}
}

// Message sends a chat message.
func (c *Client) Message(to, id, body string) {
	c.t.Helper()
	c.Send(fmt.Sprintf("<message type='chat' to='%s' id='%s'><body>%s</body></message>",
		Escape(to), Escape(id), Escape(body)))
}

// Hibernate breaks the connection. With stream management, the server keeps the session and pushes for it.
func (c *Client) Hibernate() { _ = c.conn.Close() }

// Logout closes the stream. The user is offline afterwards.
func (c *Client) Logout() {
	c.t.Helper()
	c.Send("</stream:stream>")
	for {
		if _, err := c.in.Next(); err != nil {
			_ = c.conn.Close()
			return
		}
	}
}
