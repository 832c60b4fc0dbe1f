package main

import (
	"slices"
	"time"
)

// spread is the median of some numbers, and the least and greatest of them.
type spread struct{ Median, Least, Greatest float64 }

// spreadOf is zero of no numbers.
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

// ratios are those of each pair. What is compared was measured one right after the other, so that a machine that is slower for a while
// is so for both. A pair with nothing to divide by is left out.
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

// metrics are what is printed, in this order.
var metrics = []metric{
	{"answered with 200", "/s", answered},
	{"delivered", "/s", func(m *measurement) float64 { return perSecond(m.Received.Pushes-m.Received.Refused, m.Delivered) }},
	{"pushes for each 200", "", func(m *measurement) float64 { return share(m.Received.Pushes-m.Received.Refused, m.Answered) }},
	{"answered with 503", "%", refused},
	{"failed", "%", func(m *measurement) float64 { return 100 * share(m.Failed, m.all()) }},
	{"CPU for each", "µs", processor},
	{"allocations for each", "", func(m *measurement) float64 { return m.each(float64(m.After.Allocations - m.Before.Allocations)) }},
	{"allocated for each", "KiB", func(m *measurement) float64 { return m.each(float64(m.After.Allocated-m.Before.Allocated)) / 1024 }},
	{"sent for each push", "B", func(m *measurement) float64 { return share(m.Received.Bytes, m.Received.Pushes) }},
	{"connections to the push service", "", func(m *measurement) float64 { return float64(m.Received.Connections) }},
	{"memory at its peak", "MiB", func(m *measurement) float64 { return float64(m.After.Peak) / (1 << 20) }},
	{"latency, p50", "ms", quantile(50)},
	{"latency, p90", "ms", quantile(90)},
	{"latency, p99", "ms", quantile(99)},
	{"latency, p99.9", "ms", quantile(99.9)},
	{"latency, longest", "ms", quantile(100)},
}

// answered is how many notifications were answered with 200 a second.
func answered(m *measurement) float64 { return perSecond(m.Answered, m.Elapsed) }

// refused is how many of a hundred were answered with 503.
func refused(m *measurement) float64 { return 100 * share(m.Refused, m.all()) }

// processor is the CPU time for each notification in microseconds.
func processor(m *measurement) float64 {
	return m.each(float64((m.After.CPU - m.Before.CPU).Nanoseconds())) / 1e3
}

// quantile is a percentile of the latency in milliseconds.
func quantile(percent float64) func(*measurement) float64 {
	return func(m *measurement) float64 { return float64(m.Latency.ValueAtPercentile(percent)) / 1e3 }
}

// each is a number for each notification that was answered, if only with 503: that takes work, too.
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
