package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// pair is one measurement of the gateway, and one of what it is compared with.
type pair = [2]*measurement

// run measures what the options ask for, and prints the results.
func run(ctx context.Context, o *options, out io.Writer) error {
	protocol := "HTTP/1.1"
	if o.HTTP2 {
		protocol = "HTTP/2"
	}
	fmt.Fprintf(out, "%s, body %s, %d device(s) of %d; push service: %v, %g %% errors; %d connection(s) with %s, at most %d in flight; %d CPU(s)\n",
		o.Provider, o.Body, o.Devices, o.Population, o.Latency, 100*o.Errors, o.Connections, protocol, o.Concurrency, runtime.NumCPU())
	if o.Gateway.XMPP {
		fmt.Fprintln(out, "the gateway gets the pushes as publishes of XEP-0357 over one component's stream")
	}
	if o.URL != nil || o.Against.Program != "" {
		folder, err := os.MkdirTemp("", "loadtest")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		prepare, flag := prepareBuilds, "-against"
		if o.URL != nil {
			prepare, flag = preparePeer, "-url"
		}
		if o, err = prepare(ctx, o, folder, out); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		defer o.peer.close()
	}
	if o.Records > 0 {
		var err error
		if o.RecordsFile, err = makeRecords(ctx, o.RecordsFolder, o.Records, out); err != nil {
			return err
		}
	}
	o.progress = newProgress(o, out, os.Stderr)
	defer o.progress.clear()
	switch {
	case o.Idle > 0:
		return idle(ctx, o, out)
	case o.Sweep:
		return sweep(ctx, o, steps, out)
	}
	perSecond, err := o.perSecond(ctx, out)
	if err != nil {
		return err
	}
	if perSecond > 0 {
		fmt.Fprintf(out, "%.0f notifications a second (open loop)\n", perSecond)
	}
	pairs, err := measurePairs(ctx, o, perSecond)
	if err != nil {
		return err
	}
	o.progress.clear()
	return printPairs(out, o, pairs)
}

// perSecond returns the rate of the options. A share requires a measurement first.
func (o *options) perSecond(ctx context.Context, out io.Writer) (float64, error) {
	if !o.Rate.Share {
		return o.Rate.Number, nil
	}
	saturation, err := saturate(ctx, o, out)
	return saturation * o.Rate.Number / 100, err
}

// enough is how many notifications in flight show the maximum throughput. The gateway refuses those beyond its limits, and a closed loop would
// only repeat them.
const enough = 256

// saturate returns how many notifications a second the gateway answers with 200 in a closed loop.
func saturate(ctx context.Context, o *options, out io.Writer) (float64, error) {
	some := *o
	some.Concurrency = min(o.Concurrency, enough)
	some.Connections = min(o.Connections, some.Concurrency)
	m, err := measureOne(ctx, &some, o.Gateway, 0)
	if err != nil {
		return 0, err
	}
	o.progress.clear()
	saturation := answered(m)
	if saturation == 0 {
		return 0, fmt.Errorf("the %s answered no notification with 200", o.Gateway.Name)
	}
	fmt.Fprintf(out, "the %s reaches %.0f notifications a second (closed loop)\n", o.Gateway.Name, saturation)
	return saturation, nil
}

// measurePairs measures both in turn.
func measurePairs(ctx context.Context, o *options, perSecond float64) ([]pair, error) {
	return inTurn(o, func(v variant) (*measurement, error) { return measureOne(ctx, o, v, perSecond) })
}

// measureOne measures one server in new processes.
func measureOne(ctx context.Context, o *options, v variant, perSecond float64) (m *measurement, err error) {
	o.progress.next(v.Name)
	b, err := newBench(ctx, o, v)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return b.measure(ctx, perSecond)
}
