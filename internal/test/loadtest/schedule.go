package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// arrivals returns random times within the duration, with a number of arrivals a second on average. Many independent homeservers make a Poisson
// process. The same seed gives the same times, so both sides of a pair get the same load.
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

// inTurn measures pairs of the gateway and what it is compared with. The two are measured one right after the other, so other work of the machine
// affects both. Each side starts every other pair, so effects of the first on the second (a warm cache, a hot CPU) even out.
func inTurn[M any](o *options, measure func(variant) (M, error)) ([][2]M, error) {
	variants, pairs := [2]variant{o.Gateway, o.Against}, make([][2]M, o.Pairs)
	for i := range pairs {
		for _, side := range [2]int{i % 2, 1 - i%2} {
			m, err := measure(variants[side])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", variants[side].Name, err)
			}
			pairs[i][side] = m
		}
	}
	return pairs, nil
}
