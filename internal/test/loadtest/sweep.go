package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// steps are the rates of a sweep, in percent of the gateway's throughput in a closed loop.
var steps = []float64{10, 25, 50, 75, 90, 100, 120}

// series is one line of the plot: a latency for each rate.
type series struct {
	name   string
	points []point
}

// point is a rate in notifications a second, and a latency in milliseconds.
type point struct{ rate, latency float64 }

// sweep measures both sides at one rate after another, and prints and draws latency against load.
func sweep(ctx context.Context, o *options, steps []float64, out io.Writer) error {
	saturation, err := saturate(ctx, o, out)
	if err != nil {
		return err
	}
	lines := []series{
		{o.Gateway.Name + ", p50", nil}, {o.Gateway.Name + ", p99", nil}, {o.Against.Name + ", p50", nil}, {o.Against.Name + ", p99", nil},
	}
	fmt.Fprintf(out, "latencies are medians of %d pair(s), in milliseconds, from when a notification was due\n\n", o.Pairs)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "load\t/s\t%s: 200, /s\t503, %%\tp50\tp99\tp99.9\t%s: 200, /s\t503, %%\tp50\tp99\tp99.9\tadded p99\tCPU ratio\n", o.Gateway.Name, o.Against.Name)
	for _, step := range steps {
		rate := saturation * step / 100
		pairs, err := measurePairs(ctx, o, rate)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%g %%\t%.0f", step, rate)
		for side := range 2 {
			of := func(of func(*measurement) float64) float64 {
				var list []float64
				for _, p := range pairs {
					list = append(list, of(p[side]))
				}
				return spreadOf(list).Median
			}
			p50, p99 := of(quantile(50)), of(quantile(99))
			lines[2*side].points = append(lines[2*side].points, point{rate, p50})
			lines[2*side+1].points = append(lines[2*side+1].points, point{rate, p99})
			fmt.Fprintf(table, "\t%s\t%s\t%s\t%s\t%s", short(of(answered)), short(of(refused)), short(p50), short(p99), short(of(quantile(99.9))))
		}
		fmt.Fprintf(table, "\t%s\t%s\n", spreadOf(added(pairs)), spreadOf(ratios(numbers(pairs, processor))))
	}
	o.progress.clear()
	if err := table.Flush(); err != nil || o.Plot == "" {
		return err
	}
	if err := os.WriteFile(o.Plot, plot(o.Provider+": latency against load", lines), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nthe plot is in %s\n", o.Plot)
	return nil
}

// added returns by how many milliseconds the gateway's p99 is longer, for each pair.
func added(pairs []pair) []float64 {
	var list []float64
	for _, p := range numbers(pairs, quantile(99)) {
		list = append(list, p[0]-p[1])
	}
	return list
}
