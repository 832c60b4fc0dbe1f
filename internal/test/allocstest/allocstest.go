// Package allocstest compares what code allocates with its budget.
package allocstest

import (
	"math"
	"testing"
)

// Within fails a test if a call of f allocates more often than its budget allows, on average. As allocations of the whole process count,
// the test must not be parallel. With -race, a sync.Pool drops a quarter of its items at random. What is allowed then is half as much again,
// and CI counts without -race too.
func Within(t testing.TB, budget float64, f func()) {
	t.Helper()
	if raceDetector {
		budget += math.Ceil(budget / 2)
	}
	if got := testing.AllocsPerRun(500, f); got > budget {
		t.Errorf("%v allocations, want at most %v", got, budget)
	}
}
