package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// session is the service's side of a connection with HTTP/2, frame by frame. So it knows whether each request was processed and answered,
// and can do what servers seldom do.
type session struct {
	*front
	plan   *plan
	conn   net.Conn
	raw    *brittle
	framer *http2.Framer // reads from the connection, and writes into out

	writing sync.Mutex
	out     bytes.Buffer
	block   bytes.Buffer
	encoder *hpack.Encoder

	mu      sync.Mutex
	streams map[uint32]*stream // the streams without an answer
	opened  int
	taken   int
	newest  uint32 // the newest stream that is not refused
	limit   uint32 // the limit that the gateway has confirmed
	wanted  uint32 // the limit that was sent to the gateway
	leaving bool   // further streams are refused
	told    bool   // whether a GOAWAY was sent
}

type stream struct {
	id        uint32
	request   *http.Request
	body      bytes.Buffer
	cancelled context.Context
	cancel    context.CancelFunc
}

// manyStreams is the limit of a connection whose plan has none.
const manyStreams = 250

func newSession(f *front, conn net.Conn, raw *brittle) *session {
	s := &session{front: f, plan: raw.plan, conn: conn, raw: raw, streams: make(map[uint32]*stream), limit: manyStreams}
	s.framer = http2.NewFramer(&s.out, conn)
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.encoder = hpack.NewEncoder(&s.block)
	s.encoder.SetMaxDynamicTableSize(0)
	return s
}

// write writes frames. After an error, not all of them arrive.
func (s *session) write(frames func(*http2.Framer) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.out.Reset()
	if err := frames(s.framer); err != nil {
		return err
	}
	_, err := s.conn.Write(s.out.Bytes())
	return err
}

func (s *session) run() {
	defer s.cancelAll()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(s.conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	limit := uint32(manyStreams)
	if s.plan.limit > 0 {
		s.raw.befell()
		limit = s.plan.limit
	}
	if s.announce(limit) != nil || s.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<24) }) != nil {
		return
	}
	if s.plan.goAway > 0 {
		defer time.AfterFunc(s.plan.goAway, s.leave).Stop()
	}
	for {
		frame, err := s.framer.ReadFrame()
		if err != nil || s.handle(frame) != nil {
			return
		}
	}
}

func (s *session) cancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		st.cancel()
	}
}

// announce sends the gateway the number of streams that it may open.
func (s *session) announce(limit uint32) error {
	s.mu.Lock()
	s.wanted = limit
	s.mu.Unlock()
	return s.write(func(f *http2.Framer) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: limit})
	})
}

func (s *session) handle(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return s.write((*http2.Framer).WriteSettingsAck)
		}
		s.mu.Lock()
		s.limit = s.wanted
		s.mu.Unlock()
	case *http2.PingFrame:
		if !f.IsAck() {
			return s.write(func(w *http2.Framer) error { return w.WritePing(true, f.Data) })
		}
	case *http2.MetaHeadersFrame:
		return s.open(f)
	case *http2.DataFrame:
		return s.data(f)
	case *http2.RSTStreamFrame:
		s.mu.Lock()
		defer s.mu.Unlock()
		if st := s.streams[f.StreamID]; st != nil {
			st.cancel()
		}
	}
	return nil
}

func (s *session) open(f *http2.MetaHeadersFrame) error {
	s.mu.Lock()
	s.opened++
	n := s.opened
	if s.plan.giveBackAfter > 0 && n > s.plan.giveBackAfter && !s.leaving {
		s.leaving = true
		s.raw.befell()
		time.AfterFunc(20*time.Millisecond, s.sayGoodbye) // further streams may arrive by then
	}
	if s.leaving {
		s.mu.Unlock()
		return nil // the GOAWAY refuses it
	}
	s.newest = f.StreamID
	tooMany := len(s.streams) >= int(s.limit)
	if tooMany || s.plan.refuse && n%2 == 0 {
		s.mu.Unlock()
		if !tooMany {
			s.raw.befell()
		}
		return s.write(func(w *http2.Framer) error { return w.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream) })
	}
	st := &stream{id: f.StreamID}
	st.cancelled, st.cancel = context.WithCancel(context.Background())
	s.streams[st.id] = st
	s.mu.Unlock()

	r, err := http.NewRequest(f.PseudoValue("method"), "https://"+f.PseudoValue("authority")+f.PseudoValue("path"), nil)
	if err != nil {
		return err
	}
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	for _, field := range f.RegularFields() {
		r.Header.Add(field.Name, field.Value)
	}
	st.request = r
	if f.StreamEnded() {
		s.running.Go(func() { s.answer(st) })
	}
	if s.plan.shrunk > 0 && n == int(s.plan.shrunk) {
		s.raw.befell()
		return s.announce(1)
	}
	return nil
}

func (s *session) data(f *http2.DataFrame) error {
	s.mu.Lock()
	st := s.streams[f.StreamID]
	s.mu.Unlock()
	if st == nil {
		return nil // it was refused
	}
	st.body.Write(f.Data())
	if f.StreamEnded() {
		s.running.Go(func() { s.answer(st) })
		return nil
	}
	return s.write(func(w *http2.Framer) error { return w.WriteWindowUpdate(f.StreamID, uint32(len(f.Data()))) })
}

// answer passes a request to the service, and sends its answer.
func (s *session) answer(st *stream) {
	answer, push := s.ask(s.plan, s.raw.befell, st.request, st.body.Bytes())
	if s.plan.slow > 0 {
		s.raw.befell()
		s.raw.wait(s.plan.slow)
	}
	if push != nil && push.Taken && s.cuts() {
		s.raw.befell()
		if s.plan.breaks {
			s.raw.breakAfter(0)
		} else {
			_ = s.write(func(w *http2.Framer) error { return w.WriteRSTStream(st.id, http2.ErrCodeInternal) })
		}
		s.became(push, false)
		s.forget(st)
		return
	}
	err := st.cancelled.Err()
	if err == nil {
		err = s.write(func(w *http2.Framer) error { return s.writeAnswer(w, st.id, answer) })
	}
	s.became(push, err == nil)
	s.forget(st)
}

// cuts counts the pushes that were taken, and reports whether this one gets no answer.
func (s *session) cuts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	return s.taken == s.plan.cutAfter
}

func (s *session) writeAnswer(w *http2.Framer, id uint32, answer *httptest.ResponseRecorder) error {
	s.block.Reset()
	field := func(name, value string) {
		_ = s.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(name), Value: value}) // cannot fail for a buffer
	}
	field(":status", strconv.Itoa(answer.Code))
	for name, values := range answer.Result().Header {
		for _, value := range values {
			if value != "" {
				field(name, value)
			}
		}
	}
	body := answer.Body.Bytes()
	err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.block.Bytes(), EndHeaders: true, EndStream: len(body) == 0})
	if err == nil && len(body) > 0 {
		err = w.WriteData(id, true, body)
	}
	return err
}

// forget removes a stream. After the last one, a connection that must end ends.
func (s *session) forget(st *stream) {
	st.cancel()
	s.mu.Lock()
	delete(s.streams, st.id)
	over := s.told && len(s.streams) == 0
	s.mu.Unlock()
	if over {
		s.raw.part()
	}
}

// leave refuses all further streams.
func (s *session) leave() {
	s.mu.Lock()
	already := s.leaving
	s.leaving = true
	s.mu.Unlock()
	if !already {
		if s.plan.name == "GOAWAY at once" {
			s.raw.befell()
		}
		s.sayGoodbye()
	}
}

func (s *session) sayGoodbye() {
	s.mu.Lock()
	last := s.newest
	s.mu.Unlock()
	_ = s.write(func(w *http2.Framer) error { return w.WriteGoAway(last, http2.ErrCodeNo, nil) })
	s.mu.Lock()
	s.told = true
	over := len(s.streams) == 0
	s.mu.Unlock()
	if over {
		s.raw.part()
	}
}
