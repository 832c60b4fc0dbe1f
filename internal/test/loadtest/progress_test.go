package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestTheRunTellsHowLongItTakes(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                           "10 measurements, which take about 1m20s in all\n",
		"-pairs 15 -duration 8s":     "30 measurements, which take about 5m30s in all\n",
		"-rate 50%":                  "11 measurements, which take about 1m28s in all\n",
		"-rate 500":                  "10 measurements, which take about 1m20s in all\n",
		"-sweep":                     "71 measurements, which take about 9m28s in all\n",
		"-plot latency.svg -pairs 1": "15 measurements, which take about 2m0s in all\n",
		"-burst 2000 -latency 1s":    "10 measurements, which take about 1m0s in all\n",
		"-provider rejected -idle 10000 -pairs 3": "6 measurements, which take about 2m6s in all\n",
	} {
		o, err := parse(strings.Fields(args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if newProgress(o, &out, nil).next("gateway"); out.String() != want {
			t.Errorf("%s prints %q, want %q", args, &out, want)
		}
	}
}

func TestATerminalShowsHowFarTheRunIs(t *testing.T) {
	t.Parallel()
	var terminal strings.Builder
	now := time.Now()
	p := &progress{terminal: &terminal, total: 10, each: 9 * time.Second, now: func() time.Time { return now }}
	p.next("gateway")
	now = now.Add(12 * time.Second)
	p.next("floor")
	p.clear()
	want := "\r\x1b[Kmeasurement 1 of 10 (gateway), about 1m30s left\r\x1b[Kmeasurement 2 of 10 (floor), about 1m48s left\r\x1b[K"
	if terminal.String() != want {
		t.Errorf("it shows %q, want %q", &terminal, want)
	}
	(*progress)(nil).next("gateway")
	(*progress)(nil).clear()
}
