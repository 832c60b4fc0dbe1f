package main

import (
	"slices"
	"time"
)

// spread is the median of numbers, with the least and the greatest.
type spread struct{ Median, Least, Greatest float64 }

// spreadOf returns the spread of numbers. Without numbers, it is zero.
func spreadOf(numbers []float64) spread {
	if len(numbers) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(numbers))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return spread{median, sorted[0], sorted[len(sorted)-1]}
}

// ratios returns the ratio of each pair. The two sides were measured one right after the other, so a machine that is slow for a while affects
// both. A pair with a divisor of 0 is left out.
func ratios(pairs [][2]float64) []float64 {
	var list []float64
	for _, p := range pairs {
		if p[1] > 0 {
			list = append(list, p[0]/p[1])
		}
	}
	return list
}

// metric is a number of a measurement.
type metric struct {
	name, unit string
	of         func(*measurement) float64
}

// The metrics that only a server of this program can report.
const (
	allocations = "allocations per notification"
	allocated   = "allocated per notification"
)

// metrics are the printed metrics, in this order.
var metrics = []metric{
	{"answered with 200", "/s", answered},
	{"delivered", "/s", func(m *measurement) float64 { return perSecond(m.Received.Pushes-m.Received.Refused, m.Delivered) }},
	{"pushes per 200", "", func(m *measurement) float64 { return share(m.Received.Pushes-m.Received.Refused, m.Answered) }},
	{"answered with 503", "%", refused},
	{"failed", "%", func(m *measurement) float64 { return 100 * share(m.Failed, m.all()) }},
	{"CPU per notification", "µs", processor},
	{allocations, "", func(m *measurement) float64 { return m.each(float64(m.After.Allocations - m.Before.Allocations)) }},
	{allocated, "KiB", func(m *measurement) float64 { return m.each(float64(m.After.Allocated-m.Before.Allocated)) / 1024 }},
	{"sent per push", "B", func(m *measurement) float64 { return share(m.Received.Bytes, m.Received.Pushes) }},
	{"connections to the push service", "", func(m *measurement) float64 { return float64(m.Received.Connections) }},
	{"peak memory", "MiB", func(m *measurement) float64 { return float64(m.After.Peak) / (1 << 20) }},
	{"latency, p50", "ms", quantile(50)},
	{"latency, p90", "ms", quantile(90)},
	{"latency, p99", "ms", quantile(99)},
	{"latency, p99.9", "ms", quantile(99.9)},
	{"latency, maximum", "ms", quantile(100)},
}

// answered returns how many notifications a second were answered with 200.
func answered(m *measurement) float64 { return perSecond(m.Answered, m.Elapsed) }

// refused returns the percentage that was answered with 503.
func refused(m *measurement) float64 { return 100 * share(m.Refused, m.all()) }

// processor returns the CPU time for each notification in microseconds.
func processor(m *measurement) float64 {
	return m.each(float64((m.After.CPU - m.Before.CPU).Nanoseconds())) / 1e3
}

// quantile returns a percentile of the latency in milliseconds.
func quantile(percent float64) func(*measurement) float64 {
	return func(m *measurement) float64 { return float64(m.Latency.ValueAtPercentile(percent)) / 1e3 }
}

// each divides a number by the notifications that were answered. Those answered with 503 count too, since they also take work.
func (m *measurement) each(total float64) float64 {
	if n := m.Answered + m.Refused; n > 0 {
		return total / float64(n)
	}
	return 0
}

func perSecond(n int64, in time.Duration) float64 {
	if in <= 0 {
		return 0
	}
	return float64(n) / in.Seconds()
}

func share(part, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}
