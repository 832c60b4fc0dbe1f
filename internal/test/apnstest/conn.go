package apnstest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	maxHeaderList = 8000      // SETTINGS_MAX_HEADER_LIST_SIZE, as Apple's servers announce
	initialWindow = 65535     // the window of a connection and of its streams at their start, RFC 9113 section 6.9.2
	maxWindow     = 1<<31 - 1 // the largest window, RFC 9113 section 6.9.1
	windowSlack   = 16 << 10  // how much the client may have sent before its window is given back
)

// conn is one connection. The service's lock guards streams and the fields after it.
type conn struct {
	fake   *Service
	number int
	socket *tls.Conn
	framer *http2.Framer // read by run, written by the writer
	out    *writer
	done   chan struct{}  // closed when nothing is read any more
	held   sync.WaitGroup // requests that wait for something

	streams map[uint32]*stream
	newest  uint32 // the highest stream that the client opened
	away    bool   // GOAWAY was sent,
	last    uint32 // with this as the last stream
	dropped bool   // the connection is about to be closed

	unauthenticated bool     // no valid provider token has come yet, and one is needed
	allowed         uint32   // the limit of streams that the client has acknowledged
	announced       []uint32 // limits that it has not acknowledged yet
	settingsSent    int
	settingsAcked   int

	key         *Key // that signed this connection's tokens
	certificate *identity

	window, streamWindow int64 // how much may be sent: on the connection, and at first on a new stream
	unreturned           uint32
}

func newConn(a *Service, socket *tls.Conn, number int) *conn {
	buffered := bufio.NewWriter(socket)
	c := &conn{
		fake: a, number: number, socket: socket, done: make(chan struct{}),
		framer:  http2.NewFramer(buffered, bufio.NewReader(socket)),
		streams: map[uint32]*stream{},
		// Until the client acknowledges the settings, it cannot know of a limit.
		allowed: math.MaxUint32, window: initialWindow, streamWindow: initialWindow,
	}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.MaxHeaderListSize = maxHeaderList
	c.out = newWriter(c.framer, buffered)
	if peer := socket.ConnectionState().PeerCertificates; len(peer) > 0 {
		c.certificate = a.readCertificate(peer[0])
	}
	c.unauthenticated = a.options.OneUntilAuthenticated && c.certificate == nil
	limit := a.limit
	if c.unauthenticated {
		limit = 1
	}
	c.announceLimit(limit, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaderList})
	return c
}

// run serves the connection until it ends, and then waits for all that it started.
func (c *conn) run() {
	var writing sync.WaitGroup
	writing.Go(func() {
		c.out.run(c)
		if c.out.finished {
			return // what the client still sends is read until it ends the connection
		}
		_ = c.socket.NetConn().Close()
	})
	c.read()
	c.fake.mu.Lock()
	c.drop()
	c.fake.mu.Unlock()
	close(c.done)
	_ = c.socket.NetConn().Close()
	writing.Wait()
	c.held.Wait()
}

func (c *conn) read() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.socket, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	for {
		frame, err := c.framer.ReadFrame()
		c.fake.mu.Lock()
		if err == nil {
			err = c.handle(frame)
		}
		open := err == nil || c.survives(err)
		c.fake.mu.Unlock()
		if !open {
			return
		}
	}
}

// survives answers a client's error, and reports whether the connection goes on. The lock is held.
func (c *conn) survives(err error) bool {
	var onStream http2.StreamError
	if errors.As(err, &onStream) {
		c.newest = max(c.newest, onStream.StreamID)
		c.protocolViolation(onStream)
		c.reset(onStream.StreamID, onStream.Code)
		return true
	}
	var onConnection http2.ConnectionError
	if errors.As(err, &onConnection) {
		if c.dropped {
			return true
		}
		c.protocolViolation(onConnection)
		newest := c.newest
		c.out.put(func(f *http2.Framer) error {
			return f.WriteGoAway(newest, http2.ErrCode(onConnection), nil)
		})
		c.drop()
		return true // until the writer closed it
	}
	return false
}

func (c *conn) protocolViolation(err error) {
	c.fake.record(&Request{
		Push:       Push{Time: c.fake.options.Now(), Connection: c.number, Priority: 10, Expiration: -1},
		Violations: []string{"HTTP/2: " + err.Error()},
	})
}

// handle takes one frame. The lock is held.
func (c *conn) handle(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		return c.headers(f)
	case *http2.DataFrame:
		return c.data(f)
	case *http2.RSTStreamFrame:
		c.forget(c.streams[f.StreamID])
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		if data := f.Data; !f.IsAck() {
			c.out.put(func(f *http2.Framer) error { return f.WritePing(true, data) })
		}
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol) // RFC 9113 section 8.4: a client cannot push
	}
	return nil // APNs ignores PRIORITY, and after its GOAWAY, a client ends the connection itself
}

// announceLimit tells the client how many streams it may have open. The lock is held.
func (c *conn) announceLimit(n uint32, more ...http2.Setting) {
	c.announced = append(c.announced, n)
	c.settingsSent++
	settings := append([]http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: n}}, more...)
	c.out.put(func(f *http2.Framer) error { return f.WriteSettings(settings...) })
}

// authenticated lifts the limit of one stream. The lock is held.
func (c *conn) authenticated() {
	if c.unauthenticated {
		c.unauthenticated = false
		c.announceLimit(c.fake.limit)
	}
}

// settings takes the client's settings or its acknowledgement. The lock is held.
func (c *conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		if len(c.announced) == 0 {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		c.allowed, c.announced = c.announced[0], c.announced[1:]
		c.settingsAcked++
		c.fake.announce()
		return nil
	}
	if initial, ok := f.Value(http2.SettingInitialWindowSize); ok {
		if initial > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		for _, s := range c.streams { // RFC 9113 section 6.9.2: the change applies to open streams, too
			s.window += int64(initial) - c.streamWindow
		}
		c.streamWindow = int64(initial)
		c.flush()
	}
	c.out.put(func(f *http2.Framer) error { return f.WriteSettingsAck() })
	return nil
}

// goAway says that the streams above last are not processed, and lets the others end. The lock is held.
func (c *conn) goAway(last uint32) {
	if c.dropped || c.away && c.last <= last {
		return
	}
	c.away, c.last = true, last
	c.out.put(func(f *http2.Framer) error {
		return f.WriteGoAway(last, http2.ErrCodeNo, []byte(`{"reason":"Shutdown"}`))
	})
	for id, s := range c.streams {
		if id > last {
			c.forget(s)
		}
	}
	c.finish()
}

// farewell says that the streams up to last are processed, and why the connection ends. It ends the connection without answering them. The
// lock is held.
func (c *conn) farewell(last uint32, why []byte) {
	c.out.put(func(f *http2.Framer) error { return f.WriteGoAway(last, http2.ErrCodeNo, why) })
	c.drop()
}

// finish closes the connection when it is going away and nothing is left to do. The lock is held.
func (c *conn) finish() {
	if c.away && len(c.streams) == 0 && !c.dropped {
		c.dropped = true
		c.out.put(func(*http2.Framer) error { return errFinish })
	}
}

// drop closes the connection without a GOAWAY, once earlier answers are written. The lock is held.
func (c *conn) drop() {
	c.dropped = true
	for _, s := range c.streams {
		c.forget(s)
	}
	c.out.put(func(*http2.Framer) error { return errDrop })
}
