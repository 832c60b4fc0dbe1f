package apnstest

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/google/uuid"
	"golang.org/x/net/http2"
)

// maxBodyKept is how much of a payload is kept. A longer one is too large in any case.
const maxBodyKept = 16 << 10

// stream is one request and its answer.
type stream struct {
	id      uint32
	request Request
	key     *Key          // that signed its provider token; nil if the key is unknown
	gone    chan struct{} // closed when the stream ends

	window int64
	unsent []byte // of the answer's body
	held   bool   // its answer is held
}

// headers opens a stream, or ends one with trailers. The lock is held.
func (c *conn) headers(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if s := c.streams[id]; s != nil {
		if f.StreamEnded() {
			c.judge(s)
		}
		return nil
	}
	if id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if id <= c.newest {
		return nil // a stream that ended here before the client knew
	}
	c.newest = id
	// RFC 9113 section 6.8: streams above the last one are ignored.
	if c.dropped || c.away && id > c.last {
		return nil
	}
	if f.Truncated {
		cause := fmt.Errorf("more than %d bytes of headers", maxHeaderList)
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeEnhanceYourCalm, Cause: cause}
	}
	s := &stream{id: id, gone: make(chan struct{}), window: c.streamWindow}
	s.read(c, f)
	if uint64(len(c.streams)) >= uint64(c.allowed) {
		c.refuse(s)
		return nil
	}
	c.streams[id] = s
	c.fake.maxStreams = max(c.fake.maxStreams, len(c.streams))
	c.fake.announce()
	if f.StreamEnded() {
		c.judge(s)
	}
	return nil
}

// refuse refuses a stream above the limit. The lock is held.
func (c *conn) refuse(s *stream) {
	c.fake.refused++
	s.request.Violations = []string{fmt.Sprintf("there are %d streams already, and %d are allowed", len(c.streams), c.allowed)}
	c.fake.record(&s.request)
	c.reset(s.id, http2.ErrCodeRefusedStream)
}

// data takes a part of a payload. The lock is held.
func (c *conn) data(f *http2.DataFrame) error {
	if f.StreamID > c.newest {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	s := c.streams[f.StreamID]
	c.returnWindow(s, f)
	if s == nil {
		return nil // a stream that ended here before the client knew
	}
	if room := maxBodyKept - len(s.request.Payload); room > 0 {
		data := f.Data()
		s.request.Payload = append(s.request.Payload, data[:min(room, len(data))]...)
	}
	if f.StreamEnded() {
		c.judge(s)
	}
	return nil
}

// judge decides about a complete request. The lock is held.
func (c *conn) judge(s *stream) {
	if reason := c.check(s); reason != "" {
		c.reply(s, &Answer{Reason: reason})
		return
	}
	answer := c.fake.nextAnswer(s.request.Token)
	if answer.Take {
		c.fake.take(s.request.Push)
	}
	if !answer.Hang && answer.Until == nil {
		c.give(s, &answer)
		return
	}
	until := answer.Until
	if answer.Hang {
		until = nil
	}
	s.held = true
	c.fake.announce()
	c.held.Go(func() {
		select {
		case <-until:
		case <-s.gone:
		}
		c.fake.mu.Lock()
		defer c.fake.mu.Unlock()
		if c.streams[s.id] == s {
			c.give(s, &answer)
		}
	})
}

// give carries out the answer. The lock is held.
func (c *conn) give(s *stream, answer *Answer) {
	switch {
	case answer.Drop && answer.GoAway:
		c.farewell(s.id, answer.body(c.fake.options.Now()))
	case answer.Drop:
		c.drop()
	case answer.GoAway:
		c.goAway(s.id - min(s.id, 2))
	case answer.Refuse:
		c.reset(s.id, http2.ErrCodeRefusedStream)
	default:
		if answer.status() == http.StatusOK && !answer.Take {
			c.fake.take(s.request.Push)
		}
		c.reply(s, answer)
	}
}

// reply answers. The lock is held.
func (c *conn) reply(s *stream, answer *Answer) {
	body := answer.body(c.fake.options.Now())
	s.request.Status, s.request.Reason = answer.status(), answer.Reason
	if s.request.Reason == "ExpiredProviderToken" {
		c.fake.tokenExpired(&s.request)
	}
	header := http.Header{}
	if len(body) > 0 {
		header.Set("Content-Type", "application/json")
	}
	header.Set("Apns-Id", s.request.ID)
	if s.request.ID == "" {
		header.Set("Apns-Id", uuid.NewString())
	}
	maps.Copy(header, answer.Header)
	c.out.putHeaders(s.id, s.request.Status, header, len(body) == 0)
	s.unsent = body
	if len(body) == 0 {
		c.forget(s)
	} else {
		c.send(s)
	}
}

// reset ends a stream without an answer. The lock is held.
func (c *conn) reset(id uint32, code http2.ErrCode) {
	c.out.put(func(f *http2.Framer) error { return f.WriteRSTStream(id, code) })
	c.forget(c.streams[id])
}

// forget ends a stream, if it still exists, and records its request. The lock is held.
func (c *conn) forget(s *stream) {
	if s == nil || c.streams[s.id] != s {
		return
	}
	delete(c.streams, s.id)
	close(s.gone)
	c.fake.record(&s.request)
	c.finish()
}

// returnWindow allows the client to send more. The lock is held.
func (c *conn) returnWindow(s *stream, f *http2.DataFrame) {
	n := f.Length // padding counts too, RFC 9113 section 6.9.1
	c.unreturned += n
	if n := c.unreturned; n >= windowSlack {
		c.unreturned = 0
		c.out.put(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, n) })
	}
	if s != nil && n > 0 && !f.StreamEnded() {
		id := s.id
		c.out.put(func(f *http2.Framer) error { return f.WriteWindowUpdate(id, n) })
	}
}

// windowUpdate allows the service to send more. The lock is held.
func (c *conn) windowUpdate(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		c.window += int64(f.Increment)
		if c.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		c.flush()
		return nil
	}
	if s := c.streams[f.StreamID]; s != nil {
		s.window += int64(f.Increment)
		if s.window > maxWindow {
			return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeFlowControl}
		}
		c.send(s)
	}
	return nil
}

// flush sends the bodies that waited for the connection's window. The lock is held.
func (c *conn) flush() {
	for _, s := range c.streams {
		c.send(s)
	}
}

// send sends as much of an answer's body as the windows allow. The lock is held.
func (c *conn) send(s *stream) {
	for len(s.unsent) > 0 {
		n := min(int64(len(s.unsent)), c.window, s.window, 1<<14) // the frame size that every client takes
		if n <= 0 {
			return
		}
		part, id := s.unsent[:n], s.id
		s.unsent = s.unsent[n:]
		c.window -= n
		s.window -= n
		end := len(s.unsent) == 0
		c.out.put(func(f *http2.Framer) error { return f.WriteData(id, end, part) })
		if end {
			c.forget(s)
		}
	}
}
