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

// ServeHTTP answers what is below /_matrix/push/, and passes on the rest.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !strings.HasPrefix(r.URL.Path, prefix) {
		return next.ServeHTTP(w, r)
	}
	w.Header().Set("Access-Control-Allow-Origin", "*") // a browser asks for the GET document
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// It may have had a length as well, of which net/http tells nobody. What follows would be a request that was smuggled past whoever
		// believed the length: RFC 9112 section 6.1 wants the connection to end. No homeserver sends chunks.
		w.Header().Set("Connection", "close")
	}
	switch {
	case !h.secure(r):
		w.Header().Set("Connection", "close") // without this, the server would read the body to keep the connection
		telemetry.Refused(h.refuse(w, h.errPlaintext()))
	case r.URL.Path != endpoint:
		fail(w, gateway.ErrUnrecognized(http.StatusNotFound))
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
		h.methodNotAllowed(w)
	}
	return nil
}

// notify serves POST: decode, deliver, answer. It returns the status.
func (h *Handler) notify(w http.ResponseWriter, r *http.Request) int {
	hand := h.app.gateway.Shared.Hand()
	defer hand.Close()
	body, err := h.read(w, r, hand)
	if err != nil {
		defer linger(w, r)
		return h.refuse(w, err)
	}
	if !hand.ForBody(len(body)) {
		return h.refuse(w, gateway.ErrBusy())
	}
	request, err := gateway.Decode(body, h.app.MaxDevices)
	if err != nil {
		return h.refuse(w, err)
	}
	if !h.app.ready(r.Context()) {
		return h.refuse(w, gateway.ErrStarting())
	}
	request.Span, request.Hand = trace.SpanFromContext(r.Context()), hand
	a := h.app.gateway.Notify(request, site(r), h.serves)
	telemetry.AccessLog(r.Context(), len(request.Devices), a.Results)
	status := http.StatusOK
	if a.Err != nil {
		h.app.observer.RequestRefused(a.Err)
		status = a.Err.Status
		retryAfter(w, a.RetryAfter)
	}
	write(w, status, a.Body())
	return status
}

// refuse answers a request that nothing was done for, and returns the status.
func (h *Handler) refuse(w http.ResponseWriter, err *gateway.Error) int {
	h.app.observer.RequestRefused(err)
	if err.RetryAfter > 0 {
		retryAfter(w, err.RetryAfter)
	}
	return fail(w, err)
}

func retryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
}

// read reads the body, if it is no longer than it may be. What a client has sent of a large one is in hand while the rest is waited for; a
// small one is when it is there.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, hand *gateway.Hand) ([]byte, *gateway.Error) {
	limit := h.app.MaxBody
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // nobody reads the rest
		return nil, gateway.ErrTooLarge(limit)
	}
	limited := limitReading(w, r)
	body, err := readAll(http.MaxBytesReader(w, r.Body, limit), r.ContentLength, hand)
	if limited {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // what is read from now on is the next request
	}
	var tooLarge *http.MaxBytesError
	var refused *gateway.Error
	var handler caddyhttp.HandlerError // of Caddy's own request_body directive
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooLarge), errors.As(err, &handler) && handler.StatusCode == http.StatusRequestEntityTooLarge:
		// http.MaxBytesReader would see to this, but cannot through Caddy's response writer: the server would wait for the rest.
		w.Header().Set("Connection", "close")
		return nil, gateway.ErrTooLarge(limit)
	default:
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close") // what follows is the rest of the body, and no request
		}
		if errors.As(err, &refused) {
			return nil, refused
		}
		return nil, gateway.ErrIncomplete()
	}
}

// bodyTime is how long a client may take to send the body. Homeservers send it at once, and give up waiting for its answer after at most a
// minute. Caddy has no limit of its own, unless the operator sets read_body.
const bodyTime = 30 * time.Second

// limitReading lets the reading of the body fail when it takes too long, if it can: a client that stops in the middle of it would hold its
// connection, and what was read, for as long as it likes. The operator's own limit counts if it is shorter.
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

// linger takes in for a moment what a client goes on sending after it was answered. A connection that is closed with something unread is
// reset, and the answer may be lost with it. (net/http does that by itself, but not where Caddy has wrapped the body.)
func linger(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	if r.ProtoMajor != 1 || c.Flush() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, lingerBytes)
}

// mostBodies is how large nearly all bodies are at most.
const mostBodies = 16 << 10

// readAll is io.ReadAll with the room that the request says it needs, if that is not much: whoever announces more has to send it first.
func readAll(r io.Reader, length int64, hand *gateway.Hand) ([]byte, error) {
	if length < 0 || length > mostBodies {
		return io.ReadAll(hand.Reader(r))
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return body, err
}

func (h *Handler) methodNotAllowed(w http.ResponseWriter) {
	w.Header().Set("Allow", methods)
	fail(w, gateway.ErrUnrecognized(http.StatusMethodNotAllowed))
}

// fail answers with an error, and returns its status.
func fail(w http.ResponseWriter, err *gateway.Error) int {
	body, _ := json.Marshal(err)
	write(w, err.Status, body)
	return err.Status
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
