// Package subscriber plays a device and its push service, for demonstrations: see [Server].
package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Options are the options of a Server.
type Options struct {
	// Listen is the address that Run listens on. The default is 127.0.0.1:8081.
	Listen string
	// Origin is where the gateway reaches the server: scheme://host[:port]. The default is the origin of each request.
	Origin string
	// CertFile and KeyFile are for HTTPS. Without them, the server speaks plain HTTP, and needs a proxy in front.
	CertFile, KeyFile string
	// RequireVAPID refuses a Web Push without a VAPID token.
	RequireVAPID bool
	// Out is where notifications are printed. The default is the standard output.
	Out io.Writer
}

// Server is a push service with two endpoints, the UnifiedPush endpoint /up/demo and the Web Push endpoint /webpush/demo, whose
// subscription has the public test keys of RFC 8291. It prints the pushes that arrive. It is an http.Handler, and is controlled over HTTP:
//
//	POST <endpoint>                                          a push
//	GET  <endpoint>                                          the last messages, as JSON
//	PUT  <endpoint>?answer=410[&times=1][&retry_after=30]    sets its answers: a status, hang, drop, or ok
//	GET  /                                                   what to register a pusher with
//
// A PUT also opens an endpoint of another name.
type Server struct {
	options Options
	service *providertest.PushService
	mux     *http.ServeMux
	webPush providertest.Subscription
	up      string

	printing sync.Mutex
}

// New returns a server that does not listen yet.
func New(o Options) *Server {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:8081"
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	s := &Server{options: o, mux: http.NewServeMux()}
	s.service = providertest.NewPushService(providertest.PushServiceOptions{
		Origin: o.Origin, RequireVAPID: o.RequireVAPID, Keep: 100, OnMessage: s.print,
	})
	s.webPush, s.up = s.service.SubscribeDemo("demo"), s.service.Endpoint("demo")
	s.mux.HandleFunc("GET /{$}", s.help)
	s.mux.HandleFunc("GET /{kind}/{name}", s.messages)
	s.mux.HandleFunc("PUT /{kind}/{name}", s.control)
	s.mux.Handle("/", s.service)
	return s
}

// WebPush returns the demo subscription.
func (s *Server) WebPush() providertest.Subscription { return s.webPush }

// UnifiedPush returns the demo endpoint's URL.
func (s *Server) UnifiedPush() string { return s.up }

// Service returns the push service, for programs that run the server in-process. They can wait for messages or set answers.
func (s *Server) Service() *providertest.PushService { return s.service }

// ServeHTTP takes pushes and control requests.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Run listens and serves until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	return s.Serve(ctx, listener)
}

// Serve serves on the listener until ctx is done, and closes it. When it returns, nothing is running any more.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() {
		if s.options.CertFile != "" {
			failed <- server.ServeTLS(listener, s.options.CertFile, s.options.KeyFile)
			return
		}
		failed <- server.Serve(listener)
	}()
	s.write("listening on " + listener.Addr().String() + "\n\n" + s.introduction())

	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", errors.Join(err, server.Close()))
	case <-ctx.Done():
	}
	s.service.Close()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	<-failed
	if err != nil {
		return fmt.Errorf("shutting down: %w", errors.Join(err, server.Close()))
	}
	return nil
}
