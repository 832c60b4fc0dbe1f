package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// idle prints the memory that an idle connection takes. Homeservers keep their connections open.
func idle(ctx context.Context, o *options, out io.Writer) error {
	fmt.Fprintf(out, "memory of each of %d idle connections: median of %d pair(s) (least to greatest)\n\n", o.Idle, o.Pairs)
	pairs, err := inTurn(o, func(v variant) (memory, error) {
		before, after, err := holdIdle(ctx, o, v)
		kib := 1024 * float64(o.Idle)
		return memory{
			resident: (float64(after.Resident) - float64(before.Resident)) / kib,
			live:     (float64(after.Live) - float64(before.Live)) / kib,
		}, err
	})
	if err != nil {
		return err
	}
	o.progress.clear()
	var resident, live [2][]float64
	for _, p := range pairs {
		for side, m := range p {
			resident[side], live[side] = append(resident[side], m.resident), append(live[side], m.live)
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\t%s\t%s\n", o.Gateway.Name, o.Against.Name)
	fmt.Fprintf(table, "heap and stacks, KiB\t%s\t%s\n", spreadOf(live[0]), spreadOf(live[1]))
	fmt.Fprintf(table, "resident memory, KiB\t%s\t%s\n", spreadOf(resident[0]), spreadOf(resident[1]))
	return table.Flush()
}

// memory is the memory of each connection, in KiB.
type memory struct{ resident, live float64 }

// nobody is a notification for no device. It is answered, and causes no push.
var nobody = []byte(`{"notification":{"devices":[]}}`)

// holdIdle returns the server's usage before and after the connections were opened. Each had one request.
func holdIdle(ctx context.Context, o *options, v variant) (before, after usage, err error) {
	o.progress.next(v.Name)
	b, err := newBench(ctx, o, v)
	if err != nil {
		return before, after, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	connections := b.dialer.connect(o.Idle+1, o.HTTP2)
	defer func() {
		for _, c := range connections {
			c.close()
		}
	}()
	for i, c := range connections {
		status, err := c.post(ctx, nobody)
		if err != nil || status != 200 {
			return before, after, fmt.Errorf("connection %d was answered %d: %w", i, status, err)
		}
		if i == 0 { // the first request has made all that it makes only once
			if err := b.server.ask(askSettled, &before); err != nil {
				return before, after, err
			}
		}
		if ctx.Err() != nil {
			return before, after, ctx.Err()
		}
	}
	err = b.server.ask(askSettled, &after)
	return before, after, err
}
