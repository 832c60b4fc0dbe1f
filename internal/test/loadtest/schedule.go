package main

import (
	"fmt"
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

// inTurn measures pairs of the gateway and what it is compared with, one right after the other, so that whatever else the machine does
// meets both. Each side begins every other pair: what the first leaves behind for the second (a warm cache, a hot CPU) evens out.
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
