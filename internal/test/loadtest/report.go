package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// printPairs prints the median, least and greatest of each metric, and of the ratios of the pairs.
func printPairs(out io.Writer, o *options, pairs []pair) error {
	fmt.Fprintf(out, "median of %d pair(s) (least to greatest)\n\n", len(pairs))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\t%s\t%s\tratio\n", o.Gateway.Name, o.Against.Name)
	for _, m := range metrics {
		if o.URL != nil && (m.name == allocations || m.name == allocated) {
			continue
		}
		both := numbers(pairs, m.of)
		gateway, against := spreads(both)
		name := m.name
		if m.unit != "" {
			name += ", " + m.unit
		}
		ratio := "-"
		if list := ratios(both); len(list) > 0 {
			ratio = spreadOf(list).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, gateway, against, ratio)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if o.Records > 0 {
		printReady(out, o, pairs)
	}
	if o.URL != nil {
		printLost(out, o, pairs)
	}
	_, err := fmt.Fprintf(out, "\nthe p99 of the %s is %s ms longer\n", o.Gateway.Name, spreadOf(added(pairs)))
	return err
}

// printLost prints how many pushes arrived, if a gateway did not deliver as many as it answered with 200.
func printLost(out io.Writer, o *options, pairs []pair) {
	for side, name := range []string{o.Gateway.Name, o.Against.Name} {
		var answered, delivered int64
		for _, p := range pairs {
			answered += p[side].Answered
			delivered += p[side].Received.Pushes - p[side].Received.Refused
		}
		if wanted := answered * int64(o.Devices); wanted != delivered {
			fmt.Fprintf(out, "\nnote: the %s answered notifications for %d device(s) with 200, but %d push(es) were delivered\n", name, wanted, delivered)
		}
	}
}

// printReady prints the times from the servers' starts to their first answers.
func printReady(out io.Writer, o *options, pairs []pair) {
	gateway, against := spreads(numbers(pairs, func(m *measurement) float64 { return float64(m.Ready.Microseconds()) / 1e3 }))
	fmt.Fprintf(out, "\nthe first notification was answered %s ms after the start of the %s with %d records, and %s ms after that of the %s\n",
		gateway, o.Gateway.Name, o.Records, against, o.Against.Name)
}

// spreads returns the spreads of both sides.
func spreads(both [][2]float64) (gateway, against spread) {
	var sides [2][]float64
	for _, p := range both {
		sides[0], sides[1] = append(sides[0], p[0]), append(sides[1], p[1])
	}
	return spreadOf(sides[0]), spreadOf(sides[1])
}

// numbers returns a metric's numbers for each pair.
func numbers(pairs []pair, of func(*measurement) float64) [][2]float64 {
	both := make([][2]float64, len(pairs))
	for i, p := range pairs {
		both[i] = [2]float64{of(p[0]), of(p[1])}
	}
	return both
}

// String returns the median, with the least and the greatest.
func (s spread) String() string {
	median, least, greatest := short(s.Median), short(s.Least), short(s.Greatest)
	if least == greatest {
		return median
	}
	return fmt.Sprintf("%s (%s to %s)", median, least, greatest)
}

// short formats a number with only its significant digits.
func short(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n >= 100:
		return fmt.Sprintf("%.0f", n)
	case n >= 10:
		return fmt.Sprintf("%.1f", n)
	default:
		return fmt.Sprintf("%.2f", n)
	}
}
