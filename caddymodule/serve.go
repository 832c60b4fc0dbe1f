package caddymodule

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

const (
	prefix   = "/_matrix/push/"
	endpoint = prefix + "v1/notify"

	methods = "POST, GET, HEAD, OPTIONS"
)

// ServeHTTP answers requests below /_matrix/push/ and passes on all others.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !strings.HasPrefix(r.URL.Path, prefix) {
		return h.passOn(w, r, next)
	}
	w.Header().Set("Access-Control-Allow-Origin", "*") // for browsers that get the document
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// The request may also have had a Content-Length, which net/http hides. Then the bytes that follow could be a request smuggled past
		// a proxy that used the length: RFC 9112 section 6.1 requires closing the connection. No homeserver sends chunks.
		w.Header().Set("Connection", "close")
	}
	if err := h.errPlaintext(r); err != nil {
		w.Header().Set("Connection", "close") // otherwise the server reads the body to keep the connection
		telemetry.Refused(h.refuse(w, r, err))
		return nil
	}
	switch {
	case r.URL.Path != endpoint && r.Method == http.MethodPost:
		h.refuse(w, r, gateway.ErrWrongPath())
	case r.URL.Path != endpoint:
		fail(w, gateway.ErrWrongPath())
	case r.Method == http.MethodPost:
		telemetry.Began()
		defer telemetry.Ended()
		start := time.Now()
		telemetry.Answered(h.notify(w, r), time.Since(start))
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		h.describe(w, r)
	case r.Method == http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Methods", methods)
		w.Header().Set("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", methods)
		h.refuse(w, r, gateway.ErrWrongMethod())
	}
	return nil
}

// notify serves POST: it decodes, delivers and answers. It returns the status.
func (h *Handler) notify(w http.ResponseWriter, r *http.Request) int {
	hand := h.app.gateway.Shared.Hand()
	defer hand.Close()
	body, err := h.read(w, r, hand)
	if err != nil {
		defer linger(w, r)
		return h.refuse(w, r, err)
	}
	if !hand.ForBody(len(body)) {
		return h.refuse(w, r, gateway.ErrBusy())
	}
	request, err := gateway.Decode(body, h.app.MaxDevices)
	if err != nil {
		return h.refuse(w, r, err)
	}
	if !h.app.ready(r.Context()) {
		return h.refuse(w, r, gateway.ErrStarting())
	}
	request.Span, request.Hand = trace.SpanFromContext(r.Context()), hand
	if request.HasProbe() {
		request.Arrived = h.sighting(r)
	}
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	log := telemetry.AccessLogOf(r.Context(), server)
	a := h.app.gateway.Notify(request, site(r, server), h.serves)
	log.Answered(len(request.Devices), a.Results)
	status := http.StatusOK
	if a.Err != nil {
		h.app.observer.RequestRefused(a.Err, h.seen(r, r.URL.Path))
		status = a.Err.Status
		retryAfter(w, a.RetryAfter)
	}
	write(w, status, a.Body())
	return status
}

func retryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
}

// read reads the body, up to the size limit. The hand counts a large body as it arrives, and a small one when it is complete.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, hand *gateway.Hand) ([]byte, *gateway.Error) {
	limit := h.app.MaxBody
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // the rest is not read
		return nil, gateway.ErrTooLarge(limit)
	}
	limited := limitReading(w, r)
	body, err := readAll(w, r, limit, hand)
	if limited {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the next read is for the next request
	}
	if err != nil {
		return nil, errUnread(w, r, err, limit)
	}
	return body, nil
}

// errUnread is the answer to a request whose body was not read to its end. (It is not part of read, where its variables would be allocated
// for each request.)
func errUnread(w http.ResponseWriter, r *http.Request, err error, limit int64) *gateway.Error {
	var tooLarge *http.MaxBytesError
	var refused *gateway.Error
	var handler caddyhttp.HandlerError // of Caddy's own request_body directive
	switch {
	case errors.As(err, &tooLarge), errors.As(err, &handler) && handler.StatusCode == http.StatusRequestEntityTooLarge:
		// http.MaxBytesReader can't do this through Caddy's response writer, and the server would wait for the rest.
		w.Header().Set("Connection", "close")
		return gateway.ErrTooLarge(limit)
	case r.ProtoMajor == 1:
		w.Header().Set("Connection", "close") // the rest of the body follows, not a request
	}
	if errors.As(err, &refused) {
		return refused
	}
	return gateway.ErrIncomplete()
}

// bodyTime is how long a client may take to send the body. Homeservers send it at once, and wait at most a minute for the answer. Caddy
// limits only how long a client pauses, by default to a minute, unless the operator sets read_body.
const bodyTime = 30 * time.Second

// limitReading sets a deadline for reading the body, and reports whether it did. Without it, a client that stops halfway could hold its
// connection, and the memory, for any time. If the operator's limit is shorter, it applies instead.
func limitReading(w http.ResponseWriter, r *http.Request) bool {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && server.ReadTimeout > 0 && server.ReadTimeout < bodyTime {
		return false
	}
	return http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) == nil
}

const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// linger reads briefly what a client still sends after the answer. If a connection is closed with unread data, it is reset, and the answer
// may be lost. (net/http does this by itself, but not if Caddy has wrapped the body.)
func linger(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	if r.ProtoMajor != 1 || c.Flush() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, lingerBytes)
}

// mostBodies is a size that nearly all bodies stay below.
const mostBodies = 16 << 10

// readAll reads a body up to the limit. It allocates a small announced length, which is within the limit, at once. Memory for a larger body
// is allocated as it arrives.
func readAll(w http.ResponseWriter, r *http.Request, limit int64, hand *gateway.Hand) ([]byte, error) {
	if r.ContentLength < 0 || r.ContentLength > mostBodies {
		return io.ReadAll(hand.Reader(http.MaxBytesReader(w, r.Body, limit)))
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

// fail answers with an error, and returns its status.
func fail(w http.ResponseWriter, err *gateway.Error) int {
	body, _ := json.Marshal(err)
	write(w, err.Status, body)
	return err.Status
}

func write(w http.ResponseWriter, status int, body []byte) {
	// One allocation for both values. Requests don't share them, because Caddy's directive header may replace a header's value in place.
	values := []string{"application/json", strconv.Itoa(len(body))}
	header := w.Header()
	header["Content-Type"], header["Content-Length"] = values[:1:1], values[1:]
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
