package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

// A burst is sent at once, and nothing was pushed before it.
func TestABurstIsSentAtOnceToAServerThatHasSentNoPush(t *testing.T) {
	t.Parallel()
	const burst, latency = 40, 500 * time.Millisecond
	for _, args := range []string{"-provider apns", "-provider apns -http2"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			o, err := parse(strings.Fields("-burst 40 -pairs 1 -latency 500ms -population 50 "+args), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range []variant{o.Gateway, o.Against} {
				b := startBench(t, o, v)
				m, err := b.measure(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				if m.Answered != burst || m.all() != burst || m.Received.Pushes != burst || m.Received.Connections != 1 {
					t.Errorf("%s: of %d, %d were answered with 200, and there were %d pushes on %d connections",
						v.Name, m.all(), m.Answered, m.Received.Pushes, m.Received.Connections)
				}
				if writers := len(b.load.writers); writers != burst { // each sends one, and waits for no other
					t.Errorf("%s: %d writers send the burst", v.Name, writers)
				}
				if m.Elapsed < latency {
					t.Errorf("%s: the burst took %s", v.Name, m.Elapsed)
				}
				if r, err := b.received(); err != nil || r.Pushes != burst {
					t.Errorf("%s: in all, there were %d pushes: %v", v.Name, r.Pushes, err)
				}
			}
		})
	}
}
