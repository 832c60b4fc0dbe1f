package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// watchedWriter notices whether a handler begins an answer. It changes nothing else.
type watchedWriter struct {
	caddyhttp.ResponseWriterWrapper
	answered bool
}

// WriteHeader notices an answer. A status below 200 announces the answer, except 101, which ends HTTP on the connection.
func (w *watchedWriter) WriteHeader(status int) {
	w.answered = w.answered || status >= http.StatusOK || status == http.StatusSwitchingProtocols
	w.ResponseWriterWrapper.WriteHeader(status)
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	w.answered = true
	return w.ResponseWriterWrapper.Write(p)
}

// ReadFrom keeps the server's fast path for files.
func (w *watchedWriter) ReadFrom(r io.Reader) (int64, error) {
	w.answered = true
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError exists because a flush sends the header.
func (w *watchedWriter) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.answered = w.answered || err == nil
	return err
}

// Hijack notices that a handler takes over the connection.
func (w *watchedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.answered = w.answered || err == nil
	return conn, rw, err
}

// Interface guards
var (
	_ http.ResponseWriter = (*watchedWriter)(nil)
	_ http.Hijacker       = (*watchedWriter)(nil)
	_ http.Pusher         = (*watchedWriter)(nil)
	_ io.ReaderFrom       = (*watchedWriter)(nil)
)
