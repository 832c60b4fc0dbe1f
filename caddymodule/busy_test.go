package caddymodule

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

// post sends a notification that is padded to a size. A chunked body does not announce its length.
func post(t *testing.T, h *Handler, event string, size int, chunked bool) *httptest.ResponseRecorder {
	t.Helper()
	body := strings.NewReplacer("PUSHKEY", "alive", "$event0000", event).Replace(notification)
	body += strings.Repeat(" ", max(0, size-len(body)))
	r := newNotifyRequest(t, bytes.NewReader([]byte(body)))
	if chunked {
		r.ContentLength = -1
	}
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// fill takes so much memory that no large request has room, until the test ends or the result is closed.
func fill(t *testing.T, h *Handler) (taken *gateway.Hand) {
	t.Helper()
	taken = h.app.gateway.Shared.Hand()
	for taken.Grow(1 << 20) {
		if other := h.app.gateway.Shared.Hand(); !other.Grow(100 << 10) {
			return taken
		} else {
			other.Close()
		}
	}
	t.Fatal("it cannot be filled")
	return nil
}

// refusedForMemory returns how many requests were refused for lack of memory.
func refusedForMemory(t *testing.T) (n int) {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := telemetry.Register(registry, liveGateway); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "caddy_matrix_push_notifications_refused_total" && m.GetLabel()[0].GetValue() == gateway.ReasonBusy {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// Not parallel, as the metric is for the whole process.
func TestARequestThatThereIsNoMemoryForIsRefusedAndComesAgain(t *testing.T) {
	h := newQuietHandler(t)
	core, logs := zapobserver.New(zapcore.WarnLevel)
	h.app.observer = telemetry.NewObserver(zap.New(core), nil)
	before := refusedForMemory(t)
	taken := fill(t, h)
	for i, chunked := range []bool{false, true, false} {
		w := post(t, h, "$large", 100<<10, chunked)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), `"errcode":"M_UNKNOWN"`) {
			t.Errorf("request %d is answered %d %v %s", i, w.Code, w.Header(), w.Body)
		}
	}
	if got := refusedForMemory(t) - before; got != 3 {
		t.Errorf("%d refusals are counted", got)
	}
	if logs.FilterMessage("requests refused: too much request data in memory").Len() != 1 || logs.Len() != 1 {
		t.Errorf("logged is %v", logs.All())
	}
	for _, size := range []int{0, 2000, mostBodies} {
		if w := post(t, h, "$small", size, false); w.Code != http.StatusOK {
			t.Errorf("a small request of %d bytes is answered %d %s", size, w.Code, w.Body)
		}
	}
	taken.Close()
	if w := post(t, h, "$large", 100<<10, false); w.Code != http.StatusOK {
		t.Errorf("when it comes again, it is answered %d %s", w.Code, w.Body)
	}
}

// A slowly sent body counts as in hand while the rest is awaited.
func TestWhatIsReadOfALargeBodyIsInHand(t *testing.T) {
	t.Parallel()
	h := newQuietHandler(t)
	fill(t, h)
	read := 0
	endless := reader(func(p []byte) (int, error) { read += len(p); return len(p), nil })
	r := newNotifyRequest(t, bytes.NewReader(nil))
	r.Body, r.ContentLength = io.NopCloser(endless), 200<<10
	if _, err := h.read(httptest.NewRecorder(), r, h.app.gateway.Shared.Hand()); err == nil || err.Reason != gateway.ReasonBusy {
		t.Errorf("the error is %v", err)
	}
	if read > 128<<10 {
		t.Errorf("%d bytes were read", read)
	}
}

type reader func(p []byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }
