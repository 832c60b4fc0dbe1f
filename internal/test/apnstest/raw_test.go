package apnstest_test

import (
	"bytes"
	"crypto/tls"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// raw is an HTTP/2 client whose frames a test controls exactly.
type raw struct {
	t       *testing.T
	f       fixture
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
}

// newRaw connects, and acknowledges the first settings. It returns the limit in them.
func newRaw(t *testing.T, f fixture) (r *raw, limit uint32) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: trusting(t, f.Service)}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r = &raw{t: t, f: f, framer: http2.NewFramer(conn, conn), next: 1}
	r.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.encoder = hpack.NewEncoder(&r.block)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	r.write(r.framer.WriteSettings())
	limit = r.limit()
	r.write(r.framer.WriteSettingsAck())
	return r, limit
}

func (r *raw) write(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// read returns the next frame that is not about flow control, and not an acknowledgement of settings.
func (r *raw) read() http2.Frame {
	r.t.Helper()
	for {
		frame, err := r.framer.ReadFrame()
		if err != nil {
			r.t.Fatal(err)
		}
		switch f := frame.(type) {
		case *http2.WindowUpdateFrame:
			continue
		case *http2.SettingsFrame:
			if f.IsAck() {
				continue
			}
		}
		return frame
	}
}

// next returns the next frame, which must be of the type.
func next[F http2.Frame](r *raw) F {
	r.t.Helper()
	frame := r.read()
	f, ok := frame.(F)
	if !ok {
		r.t.Fatalf("the next frame is %v", frame)
	}
	return f
}

// limit returns the limit that the next frame announces.
func (r *raw) limit() uint32 {
	r.t.Helper()
	n, ok := next[*http2.SettingsFrame](r).Value(http2.SettingMaxConcurrentStreams)
	if !ok {
		r.t.Fatal("the settings have no limit of streams")
	}
	return n
}

// push sends a push with a provider token and returns its stream.
func (r *raw) push(bearer string) (id uint32) {
	r.t.Helper()
	id, r.next = r.next, r.next+2
	r.block.Reset()
	for _, field := range [][2]string{
		{":method", "POST"},
		{":scheme", "https"},
		{":path", "/3/device/" + deviceToken},
		{":authority", "fake"},
		{"apns-topic", bundle},
		{"apns-push-type", "alert"},
		{"authorization", "bearer " + bearer},
	} {
		r.write(r.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	r.write(r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.block.Bytes(), EndHeaders: true}))
	r.write(r.framer.WriteData(id, true, []byte(`{"aps":{"badge":1}}`)))
	return id
}

// answer returns the status in the next frame, which must be an answer's head on the stream.
func (r *raw) answer(id uint32) int {
	r.t.Helper()
	f := next[*http2.MetaHeadersFrame](r)
	if f.StreamID != id {
		r.t.Fatalf("the answer is on stream %d, want %d", f.StreamID, id)
	}
	status, err := strconv.Atoi(f.PseudoValue("status"))
	if err != nil {
		r.t.Fatal(err)
	}
	return status
}
