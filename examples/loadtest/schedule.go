package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// arrivals are random times of so many a second on average within the duration: many homeservers that know nothing of each other make
// a Poisson process. They are the same for the same seed, so that both of a pair get the same.
func arrivals(perSecond float64, duration time.Duration, seed uint64) []time.Duration {
	source := rand.NewPCG(seed, 0)
	var times []time.Duration
	for at := 0.0; ; {
		uniform := float64(source.Uint64()>>11) / (1 << 53)
		at -= math.Log(1-uniform) / perSecond // the time between two is exponentially distributed
		t := time.Duration(at * float64(time.Second))
		if t >= duration {
			return times
		}
		times = append(times, t)
	}
}
