package e2e

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(answering{})
	httpcaddyfile.RegisterHandlerDirective("e2e_answering", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return answering{}, nil
	})
}

// answering is a third party's handler. The request's query chooses how it answers.
type answering struct{}

func (answering) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.e2e_answering", New: func() caddy.Module { return new(answering) }}
}

// largeBody is the size of an answer that needs many writes.
const largeBody = 4 << 20

func (answering) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	rc := http.NewResponseController(w)
	for step := range strings.SplitSeq(r.URL.RawQuery, "+") {
		switch step {
		case "next":
			if err := next.ServeHTTP(w, r); err != nil {
				return err
			}
		case "nothing":
		case "early":
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
		case "200":
			w.WriteHeader(http.StatusOK)
		case "204":
			w.WriteHeader(http.StatusNoContent)
		case "write":
			_, _ = io.WriteString(w, "written")
		case "flush":
			if err := rc.Flush(); err != nil {
				return err
			}
		case "large": // io.Copy uses ReadFrom, as for a file
			_, _ = io.Copy(w, io.LimitReader(zeros{}, largeBody))
		case "trailer":
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "summed")
			w.Header().Set("X-Sum", "42")
		case "error":
			return caddyhttp.Error(http.StatusTeapot, errors.New("a teapot"))
		case "hijack":
			conn, rw, err := rc.Hijack()
			if err != nil {
				return err
			}
			defer conn.Close()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: e2e\r\n\r\n")
			_ = rw.Flush()
			line, _ := rw.ReadString('\n')
			_, _ = rw.WriteString("echo " + line)
			_ = rw.Flush()
		}
	}
	return nil
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
