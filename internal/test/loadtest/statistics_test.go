package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedianAndSpread(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		numbers []float64
		want    spread
		text    string
	}{
		{"of none", nil, spread{}, "0"},
		{"of one", []float64{3}, spread{3, 3, 3}, "3.00"},
		{"of an odd number, in no order", []float64{500, 1, 20}, spread{20, 1, 500}, "20.0 (1.00 to 500)"},
		{"of numbers that differ in nothing that is shown", []float64{277.1, 277.2, 277.3}, spread{277.2, 277.1, 277.3}, "277"},
		{"of an even number", []float64{4, 1, 2, 100}, spread{3, 1, 100}, "3.00 (1.00 to 100)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := spreadOf(test.numbers); got != test.want || got.String() != test.text {
				t.Errorf("it is %+v, written %s", got, got)
			}
		})
	}
}

func TestARatioIsOfWhatWasMeasuredTogether(t *testing.T) {
	t.Parallel()
	// The machine was three times slower in the second pair. The ratio of the medians would be 20.
	got := ratios([][2]float64{{2, 1}, {60, 30}, {20, 10}, {1, 0}})
	if !slices.Equal(got, []float64{2, 2, 2}) {
		t.Errorf("the ratios are %v", got)
	}
}

// example is a measurement with known results.
func example() *measurement {
	m := &measurement{tally: newTally()}
	for ms := range 100 {
		m.add(http.StatusOK, nil, time.Duration(ms+1)*time.Millisecond)
	}
	for range 60 {
		m.add(http.StatusServiceUnavailable, nil, time.Hour)
	}
	for range 40 {
		m.add(0, errors.New("lost"), time.Hour)
	}
	m.Elapsed, m.Delivered = 2*time.Second, 4*time.Second
	m.Before = usage{CPU: time.Second, Allocations: 1000, Allocated: 1 << 20, Resident: 1, Peak: 1}
	m.After = usage{CPU: 1016 * time.Millisecond, Allocations: 17000, Allocated: 1<<20 + 160<<10, Peak: 3 << 20}
	m.Received = received{Pushes: 90, Bytes: 18000, Refused: 10, Connections: 2}
	return m
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	want := map[string]float64{
		"answered with 200": 50, "delivered": 20, "pushes per 200": 0.8, "answered with 503": 30, "failed": 20,
		"CPU per notification": 100, "allocations per notification": 100, "allocated per notification": 1,
		"sent per push": 200, "connections to the push service": 2, "peak memory": 3,
		"latency, p50": 50, "latency, p90": 90, "latency, p99": 99, "latency, p99.9": 100, "latency, maximum": 100,
	}
	for _, m := range metrics {
		got, expected := m.of(example()), want[m.name]
		if got < expected*0.999 || got > expected*1.001 { // an HdrHistogram keeps three digits
			t.Errorf("%s is %g, want %g", m.name, got, expected)
		}
	}
	if len(want) != len(metrics) {
		t.Errorf("there are %d metrics", len(metrics))
	}
}

func TestNothingMeasuredIsNoNumberLessThanNothing(t *testing.T) {
	t.Parallel()
	for _, m := range metrics {
		if got := m.of(&measurement{tally: newTally()}); got != 0 {
			t.Errorf("%s is %g", m.name, got)
		}
	}
}

func TestTheReportHasBothAndTheRatio(t *testing.T) {
	t.Parallel()
	o, err := parse(nil, &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	twice := example()
	twice.Received.Bytes *= 2
	if err := printPairs(&out, o, []pair{{twice, example()}, {twice, example()}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"median of 2 pair(s)", "the p99 of the gateway is 0 ms longer", "sent per push, B                 400       200       2.00\n"} {
		if !strings.Contains(strings.ReplaceAll(out.String(), " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("the report has no %q:\n%s", want, &out)
		}
	}
}

func TestMemoryIsReadFromWhatLinuxSays(t *testing.T) {
	t.Parallel()
	status := []byte("Name:\tloadtest\nVmHWM:\t   70000 kB\nVmRSS:\t     512 kB\n")
	if field(status, "VmRSS:") != 512<<10 || field(status, "VmHWM:") != 70000<<10 || field(nil, "VmRSS:") != 0 {
		t.Error("the field is read wrongly")
	}
}
