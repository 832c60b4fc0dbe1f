package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// http1 is the service's side of a connection with HTTP/1.1: one request after another.
type http1 struct {
	*front
	conn net.Conn
	raw  *brittle

	mu      sync.Mutex
	busy    bool // with a request
	retired bool // the connection ends after this request
}

func (h *http1) run() {
	if age := h.raw.plan.goAway; age > 0 {
		defer time.AfterFunc(age, h.retire).Stop()
	}
	reader := bufio.NewReader(h.conn)
	for n := 1; ; n++ {
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		h.set(true)
		body, err := io.ReadAll(r.Body)
		if err != nil || !h.answer(r, body, n) || h.set(false) {
			return
		}
	}
}

// retire ends the connection after the current request.
func (h *http1) retire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retired = true
	if !h.busy {
		_ = h.raw.Close()
	}
}

func (h *http1) set(busy bool) (retired bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy = busy
	return h.retired
}

// answer passes a request to the service and sends its answer. It returns false if the connection is over.
func (h *http1) answer(r *http.Request, body []byte, n int) bool {
	p := h.raw.plan
	answer, push := h.ask(p, h.raw.befell, r, body)
	if p.slow > 0 {
		h.raw.befell()
		h.raw.wait(p.slow)
	}
	if n == p.cutAfter && push != nil && push.Taken {
		h.raw.befell()
		h.raw.breakAfter(0)
		h.became(push, false)
		return false
	}
	resp := answer.Result()
	resp.ContentLength = int64(answer.Body.Len())
	h.mu.Lock()
	resp.Close = h.retired
	h.mu.Unlock()
	var text bytes.Buffer
	if err := resp.Write(&text); err != nil {
		h.t.Error(err)
	}
	_, err := h.conn.Write(text.Bytes())
	h.became(push, err == nil)
	if err == nil && resp.Close {
		h.raw.part()
	}
	return err == nil && !resp.Close
}
