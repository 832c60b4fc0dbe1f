package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// checkBurst checks the flags of a burst, and sets those that depend on its size.
func (o *options) checkBurst(f *flag.FlagSet) error {
	if o.Burst < 0 {
		return errors.New("-burst is negative")
	}
	if o.Burst == 0 {
		return nil
	}
	var errs []error
	f.Visit(func(set *flag.Flag) {
		switch set.Name {
		case "concurrency", "rate", "warmup", "duration", "sweep", "plot", "idle", "records", "xmpp":
			errs = append(errs, errors.New("-burst excludes -"+set.Name))
		}
	})
	o.Concurrency = o.Burst
	return errors.Join(errs...)
}

// atOnce sends a burst.
func (b *bench) atOnce(ctx context.Context) *tally {
	return b.load.open(ctx, make([]time.Duration, b.options.Burst))
}

// parallelHandshakes is how many connections are opened at the same time. More would wait for the CPUs until they time out.
const parallelHandshakes = 32

// openConnections opens each connection of the homeservers with a request that causes no push.
func (b *bench) openConnections(ctx context.Context) error {
	opened := make(map[connection]bool)
	var all errgroup.Group
	all.SetLimit(parallelHandshakes)
	for _, connections := range b.load.writers {
		for _, c := range connections {
			if opened[c] {
				continue
			}
			opened[c] = true
			all.Go(func() error {
				if _, err := c.post(ctx, nobody); err != nil {
					return fmt.Errorf("opening the connections for the burst: %w", err)
				}
				return nil
			})
		}
	}
	return all.Wait()
}
