package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"
)

// measurement is the result of one run of one server.
type measurement struct {
	*tally
	// Before and After are the server's usage before and after the run.
	Before, After usage
	// Received is what the push service got in the run, until nothing more arrived.
	Received received
	// Delivered is how long the deliveries took.
	Delivered time.Duration
	// Ready is the time from the server's start to its first answer; 0 if it was not measured.
	Ready time.Duration
}

// bench is a server under test with the push service and the homeservers around it.
type bench struct {
	options *options
	variant variant
	dir     string
	sink    *child
	server  *child
	dialer  *dialer
	xmpp    *component // nil if pushes come by HTTP
	load    *load
	// taken counts the notifications that were answered with 200.
	taken int64
	// base is what the push service had received before, if it is older than the bench.
	base  received
	ready time.Duration
}

// newBench starts everything. The caller must close the bench.
func newBench(ctx context.Context, o *options, v variant) (b *bench, err error) {
	b = &bench{options: o, variant: v}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if v.Other {
		return b, o.peer.join(b)
	}
	if b.dir, err = os.MkdirTemp("", "loadtest"); err != nil {
		return b, err
	}
	if err := writeKeys(b.dir); err != nil {
		return b, err
	}
	s := newSetup(o)
	if b.sink, err = s.startSink(ctx, b.dir); err != nil {
		return b, err
	}
	if err := b.serve(ctx, s); err != nil {
		return b, err
	}
	if err := b.connect(s.Origins); err != nil {
		return b, err
	}
	if o.Records > 0 {
		if err := b.first(ctx); err != nil {
			return b, err
		}
	}
	return b, b.prime(ctx)
}

// connect makes what sends notifications to the server: connections of homeservers, or the component's stream.
func (b *bench) connect(origins []string) error {
	o := b.options
	if b.xmpp != nil {
		b.load = newLoad([]connection{b.xmpp}, o.Concurrency, newPublishes(o, origins))
		return b.xmpp.accept()
	}
	made, err := newBodies(o, origins)
	if err != nil {
		return err
	}
	b.load = newLoad(b.dialer.connect(o.Connections, o.HTTP2), o.Concurrency, made)
	return nil
}

// serve starts the server under test.
func (b *bench) serve(ctx context.Context, s *setup) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	if b.variant.XMPP {
		if b.xmpp, err = listen(); err != nil {
			return err
		}
		s.XMPPServer = b.xmpp.listener.Addr().String()
	}
	err = errors.Join(writeAccount(b.dir, s.Origins[0]), s.write(b.dir), s.writeConfig(b.dir, b.variant, port))
	if err != nil {
		return err
	}
	roots, err := trusted(b.dir)
	if err != nil {
		return err
	}
	at, err := url.Parse(b.variant.at(port) + notifyPath)
	if err != nil {
		return err
	}
	b.dialer = &dialer{at, net.JoinHostPort("127.0.0.1", at.Port()), roots}
	b.server, err = start(ctx, roleServer, b.dir, b.variant, new(any))
	return err
}

// first sends the server its first notification.
func (b *bench) first(ctx context.Context) error {
	t := b.load.open(ctx, make([]time.Duration, 1))
	if b.ready = time.Since(b.server.started); t.Answered == 0 {
		return errors.New("the first notification was not answered with 200")
	}
	b.taken++
	return nil
}

// prime lets the gateway learn that the pushkeys are dead, if rejections are measured.
func (b *bench) prime(ctx context.Context) error {
	if b.options.Provider != rejected || b.variant.Floor {
		return nil
	}
	n := (b.options.Population + b.options.Devices - 1) / b.options.Devices
	if t := b.load.open(ctx, make([]time.Duration, n)); t.Answered < int64(n) {
		return fmt.Errorf("priming: of %d notifications, %d were answered with 200", n, t.Answered)
	}
	return nil
}

// measure measures with a number of notifications a second. 0 means a closed loop. A burst has neither.
func (b *bench) measure(ctx context.Context, perSecond float64) (*measurement, error) {
	once := func(duration time.Duration, seed uint64) *tally {
		var t *tally
		switch {
		case b.options.Burst > 0:
			t = b.atOnce(ctx)
		case perSecond == 0:
			t = b.load.closed(ctx, duration)
		default:
			t = b.load.open(ctx, arrivals(perSecond, duration, seed))
		}
		b.taken += t.Answered
		return t
	}
	if b.options.Burst > 0 {
		if err := b.openConnections(ctx); err != nil {
			return nil, err
		}
	} else if t := once(b.options.Warmup, 1); t.Failed > 0 && t.Failed == t.all() {
		return nil, errors.New("no notification was answered with 200 or 503")
	}
	if _, err := b.drain(ctx); err != nil {
		return nil, err
	}
	before, used, err := b.look()
	if err != nil {
		return nil, err
	}
	m := measurement{Before: used, Ready: b.ready}
	begin := time.Now()
	m.tally = once(b.options.Duration, 2)
	last, err := b.drain(ctx)
	if err != nil {
		return nil, err
	}
	m.Delivered = max(last.Sub(begin), m.Elapsed)
	m.Received, m.After, err = b.look()
	m.Received.Pushes -= before.Pushes
	m.Received.Bytes -= before.Bytes
	m.Received.Refused -= before.Refused
	return &m, errors.Join(err, ctx.Err())
}

// look returns what the push service has received since the bench began, and what the server has used.
func (b *bench) look() (r received, u usage, err error) {
	if r, err = b.received(); err != nil {
		return r, u, err
	}
	if b.variant.Other {
		u, err = b.options.peer.process.used()
		return r, u, err
	}
	err = b.server.ask(askUsage, &u)
	return r, u, err
}

// received returns what the push service has received since the bench began. A connection that was open then counts as well.
func (b *bench) received() (r received, err error) {
	err = b.sink.ask(askReceived, &r)
	r.Pushes -= b.base.Pushes
	r.Bytes -= b.base.Bytes
	r.Refused -= b.base.Refused
	r.Connections -= b.base.Closed
	return r, err
}

// drain waits until a gateway has pushed all that it answered with 200, since pushes without a verdict in time are in the outbox. It returns when
// it saw the last push. Some are never pushed, such as a badge update that a newer one replaced, so drain stops after a quiet time.
func (b *bench) drain(ctx context.Context) (last time.Time, err error) {
	last = time.Now()
	if b.variant.Floor || b.variant.Outbox == "off" || b.options.Provider == rejected {
		return last, nil
	}
	ctx, cancel := context.WithTimeout(ctx, longestDrain)
	defer cancel()
	for seen := int64(-1); time.Since(last) < b.options.Latency+quiet; until(ctx, time.Now().Add(10*time.Millisecond)) {
		now, err := b.received()
		if err != nil {
			return last, err
		}
		if delivered := now.Pushes - now.Refused; delivered != seen {
			seen, last = delivered, time.Now()
		}
		if seen >= b.taken*int64(b.options.Devices) || ctx.Err() != nil {
			break
		}
	}
	return last, nil
}

const (
	// quiet is how long nothing arrives at the end of a measurement.
	quiet = 3 * time.Second
	// longestDrain is the longest time that drain waits.
	longestDrain = time.Minute
)

// close stops the servers and removes their files, but not those of another gateway.
func (b *bench) close() error {
	if b.load != nil {
		b.load.close()
	}
	if b.xmpp != nil {
		b.xmpp.close()
	}
	if b.variant.Other {
		return nil
	}
	var errs []error
	for _, c := range []*child{b.server, b.sink} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// freePort returns a port that no process listens on.
func freePort() (int, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
