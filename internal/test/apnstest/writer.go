package apnstest

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

var (
	errDrop   = errors.New("the connection is dropped")
	errFinish = errors.New("the connection is finished")
)

// drainTime is how long a client may keep a connection that the service finished properly.
const drainTime = 5 * time.Second

// writer writes a connection's frames in the order in which they were put. Putting a frame does not wait until the client reads it.
// Otherwise, the service and a client that also writes before it reads would block each other.
type writer struct {
	framer   *http2.Framer
	buffered *bufio.Writer
	finished bool // the end was written properly; read after run

	block   bytes.Buffer
	encoder *hpack.Encoder

	mu    sync.Mutex
	queue []func(*http2.Framer) error
	wake  chan struct{}
}

func newWriter(framer *http2.Framer, buffered *bufio.Writer) *writer {
	w := &writer{framer: framer, buffered: buffered, wake: make(chan struct{}, 1)}
	w.encoder = hpack.NewEncoder(&w.block)
	w.encoder.SetMaxDynamicTableSize(0) // correct, whatever table the client allows
	return w
}

func (w *writer) put(write func(*http2.Framer) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, write)
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

// putHeaders puts the head of an answer.
func (w *writer) putHeaders(id uint32, status int, header http.Header, end bool) {
	w.put(func(f *http2.Framer) error {
		w.block.Reset()
		_ = w.encoder.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)}) // a buffer takes all
		for name, values := range header {
			for _, value := range values {
				_ = w.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(name), Value: value})
			}
		}
		return f.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, BlockFragment: w.block.Bytes(), EndStream: end, EndHeaders: true,
		})
	})
}

// run writes until the connection ends.
func (w *writer) run(c *conn) {
	for {
		select {
		case <-w.wake:
		case <-c.done:
			return
		}
		w.mu.Lock()
		queue := w.queue
		w.queue = nil
		w.mu.Unlock()
		var err error
		for _, write := range queue {
			if err = write(w.framer); err != nil {
				break
			}
		}
		if flushed := w.buffered.Flush(); err == nil {
			err = flushed
		}
		if errors.Is(err, errFinish) {
			w.finished = c.socket.SetReadDeadline(time.Now().Add(drainTime)) == nil && c.socket.CloseWrite() == nil
		}
		if err != nil {
			return
		}
	}
}
