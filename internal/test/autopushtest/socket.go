package autopushtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// pingInterval is how far apart the pings of a browser must be.
const pingInterval = 45 * time.Second

// connection is a browser's connection.
type connection struct {
	s        *Service
	socket   *websocket.Conn
	ctx      context.Context
	cancel   context.CancelFunc
	uaid     string // empty before hello
	replies  []any  // to be sent; Service.mu guards them
	lastPing time.Time
}

// fromBrowser has the members of all messages that browsers send.
type fromBrowser struct {
	MessageType string            `json:"messageType"`
	UAID        string            `json:"uaid"`
	Broadcasts  map[string]string `json:"broadcasts"`
	ChannelID   string            `json:"channelID"`
	Key         string            `json:"key"`
	Code        int               `json:"code"`
	Version     string            `json:"version"`
	Updates     []struct {
		ChannelID string `json:"channelID"`
		Version   string `json:"version"`
		Code      int    `json:"code"`
	} `json:"updates"`
}

// serveBrowser serves a browser until one of both closes the connection.
func (s *Service) serveBrowser(w http.ResponseWriter, r *http.Request) {
	s.serving.Add(1)
	defer s.serving.Done()
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{"push-notification"}, InsecureSkipVerify: true, // Firefox's origin is the service's URL with ws:
	})
	if err != nil {
		return
	}
	defer func() { _ = socket.CloseNow() }()
	ctx, cancel := context.WithCancel(s.ctx)
	c := &connection{s: s, socket: socket, ctx: ctx, cancel: cancel}
	defer cancel()
	s.serving.Go(c.write)
	err = c.read()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[c.uaid] == c {
		s.users[c.uaid] = nil
	}
	s.change()
	if err != nil && ctx.Err() == nil {
		_ = socket.Close(websocket.StatusInternalError, err.Error()) // as autopush does
	}
}

// read handles what the browser sends. It returns an error if the browser breaks the protocol.
func (c *connection) read() error {
	for {
		_, data, err := c.socket.Read(c.ctx)
		if err != nil {
			return nil //nolint:nilerr // the browser is gone, or the service closed the connection
		}
		var m fromBrowser
		if strings.TrimSpace(string(data)) == "{}" {
			m.MessageType = "ping"
		} else if err := json.Unmarshal(data, &m); err != nil {
			return fmt.Errorf("invalid JSON")
		}
		c.s.mu.Lock()
		err = c.handle(m)
		c.s.change()
		c.s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// handle handles a message. The service's lock is held.
func (c *connection) handle(m fromBrowser) error {
	if (m.MessageType == "hello") != (c.uaid == "") {
		return fmt.Errorf(`Expected messageType="hello", once`) //nolint:staticcheck // autopush's words
	}
	switch m.MessageType {
	case "hello":
		c.hello(m)
	case "register":
		return c.register(m)
	case "unregister":
		c.unregister(m)
	case "broadcast_subscribe":
		c.reply(map[string]any{"messageType": "broadcast", "broadcasts": missing(m.Broadcasts)})
	case "ack":
		for _, update := range m.Updates {
			c.answered(update.ChannelID, update.Version, update.Code)
		}
	case "nack":
		c.answered("", m.Version, m.Code)
	case "ping":
		if time.Since(c.lastPing) < pingInterval {
			return fmt.Errorf("Client sent too many pings too often") //nolint:staticcheck // autopush's words
		}
		c.lastPing = time.Now()
		c.reply(struct{}{})
	default:
		return fmt.Errorf("unknown messageType")
	}
	return nil
}

// reply sends a reply. The service's lock is held.
func (c *connection) reply(m any) { c.replies = append(c.replies, m) }

// missing returns the broadcasts of a reply: this service has none.
func missing(asked map[string]string) map[string]any {
	if len(asked) == 0 {
		return map[string]any{}
	}
	errors := make(map[string]string)
	for id := range asked {
		errors[id] = "Broadcast not found"
	}
	return map[string]any{"errors": errors}
}

// hello gives the browser its name: the old one, if the service knows it.
func (c *connection) hello(m fromBrowser) {
	before, known := c.s.users[m.UAID]
	if c.uaid = m.UAID; !known {
		c.uaid = word()
	}
	if before != nil {
		before.cancel()
	}
	c.s.users[c.uaid] = c
	c.reply(map[string]any{
		"messageType": "hello", "uaid": c.uaid, "status": 200, "use_webpush": true, "broadcasts": missing(m.Broadcasts),
	})
}

// channelForm is the form of a channel's id that autopush demands: a UUID with dashes and lower-case letters.
var channelForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// register makes a subscription. Its endpoint is of version 2 if only one application server may send there.
func (c *connection) register(m fromBrowser) error {
	if !channelForm.MatchString(m.ChannelID) {
		return fmt.Errorf("Invalid UUID format, not lower-case/dashed") //nolint:staticcheck // autopush's words
	}
	answer := map[string]any{"messageType": "register", "channelID": m.ChannelID, "status": 200}
	version, key := "v1", strings.TrimRight(m.Key, "=")
	if key != "" {
		version = "v2"
		if !isKey(key) {
			answer["status"], answer["pushEndpoint"] = 400, "Failed to generate endpoint"
			c.reply(answer)
			return nil
		}
	}
	sub := &subscription{uaid: c.uaid, channel: m.ChannelID}
	sub.Endpoint, sub.Key = c.s.Origin+"/wpush/"+version+"/"+word()+word(), key
	c.s.subscriptions = append(c.s.subscriptions, sub)
	answer["pushEndpoint"] = sub.Endpoint
	c.reply(answer)
	return nil
}

// isKey reports whether a text is base64url of an uncompressed point of P-256.
func isKey(text string) bool {
	point, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		_, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	}
	return err == nil
}

// unregister ends a subscription.
func (c *connection) unregister(m fromBrowser) {
	for _, sub := range c.s.subscriptions {
		if sub.uaid == c.uaid && sub.channel == m.ChannelID && sub.Unregistered == 0 {
			if sub.Unregistered = m.Code; m.Code == 0 {
				sub.Unregistered = 200
			}
		}
	}
	c.reply(map[string]any{"messageType": "unregister", "channelID": m.ChannelID, "status": 200})
}

// answered notes the browser's answer to a message. A nack names no channel.
func (c *connection) answered(channel, version string, code int) {
	if code == 0 {
		code = 100
	}
	for _, sub := range c.s.subscriptions {
		for _, m := range sub.messages {
			if sub.uaid == c.uaid && m.version == version && (channel == "" || channel == sub.channel) {
				m.Ack = code
			}
		}
	}
}

// write sends replies and messages until the connection ends.
func (c *connection) write() {
	for {
		c.s.mu.Lock()
		m, changed := c.next(), c.s.changed
		c.s.mu.Unlock()
		if m == nil {
			select {
			case <-changed:
				continue
			case <-c.ctx.Done():
				return
			}
		}
		data, _ := json.Marshal(m) //nolint:errchkjson // maps of strings and numbers
		if c.socket.Write(c.ctx, websocket.MessageText, data) != nil {
			return
		}
	}
}

// next returns the next reply or message for the browser; nil if there is none. What another connection did not get through is sent again.
// Before hello, and after it has ended, a connection gets no message, which would count as sent. The service's lock is held.
func (c *connection) next() any {
	if len(c.replies) > 0 {
		m := c.replies[0]
		c.replies = c.replies[1:]
		return m
	}
	if c.s.held || c.s.users[c.uaid] != c || c.ctx.Err() != nil {
		return nil
	}
	for _, sub := range c.s.subscriptions {
		if sub.uaid != c.uaid || sub.Unregistered != 0 {
			continue
		}
		for _, m := range sub.messages {
			if m.Ack == 0 && !m.Dropped && m.sent != c {
				m.sent = c
				return m.notification(sub.channel)
			}
		}
	}
	return nil
}

// notification returns the message as the browser gets it.
func (m *message) notification(channel string) map[string]any {
	n := map[string]any{"messageType": "notification", "channelID": channel, "version": m.version}
	if len(m.body) > 0 {
		n["data"] = base64.RawURLEncoding.EncodeToString(m.body)
		n["headers"] = map[string]string{"encoding": m.Header.Get("Content-Encoding")}
	}
	return n
}
