package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/coder/websocket"
)

// connection sends commands to a browser and reads its answers and events. WebDriver BiDi and the Chrome DevTools Protocol are both JSON
// over a websocket, with the same members except those of errors.
type connection struct {
	socket *websocket.Conn
	event  func(method string, params json.RawMessage) // called for each event, in order
	ended  chan struct{}                               // closed when nothing more is read

	mu    sync.Mutex
	last  int
	calls map[int]chan<- message
}

// message is what a browser sends.
type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	// Error is an object in the DevTools Protocol, and a word in BiDi, where Message is its text.
	Error   json.RawMessage `json:"error"`
	Message string          `json:"message"`
}

// connect opens a connection, which lasts until close is called or the browser ends.
func connect(ctx context.Context, url string, event func(string, json.RawMessage)) (*connection, error) {
	socket, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	socket.SetReadLimit(-1) // screenshots are large
	c := &connection{socket: socket, event: event, ended: make(chan struct{}), calls: make(map[int]chan<- message)}
	go c.read()
	return c, nil
}

// read reads until the connection ends.
func (c *connection) read() {
	defer close(c.ended)
	for {
		_, data, err := c.socket.Read(context.Background())
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(data, &m) != nil {
			continue
		}
		if m.Method != "" {
			c.event(m.Method, m.Params)
			continue
		}
		c.mu.Lock()
		answer := c.calls[m.ID]
		delete(c.calls, m.ID)
		c.mu.Unlock()
		if answer != nil {
			answer <- m
		}
	}
}

// call makes a call and waits for its result, which may be nil. The session is empty in BiDi, and for the browser as a whole.
func (c *connection) call(ctx context.Context, session, method string, params map[string]any, result any) error {
	if params == nil {
		params = map[string]any{}
	}
	answer := make(chan message, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.calls[id] = answer
	c.mu.Unlock()
	command := map[string]any{"id": id, "method": method, "params": params}
	if session != "" {
		command["sessionId"] = session
	}
	data, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if err := c.socket.Write(ctx, websocket.MessageText, data); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %s %s", method, m.Error, m.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-c.ended:
		return errors.New(method + ": the browser closed the connection")
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// close ends the connection, and returns when it is no longer read.
func (c *connection) close() {
	_ = c.socket.CloseNow()
	<-c.ended
}
