package e2e

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// envNumber returns the number in an environment variable, or the default.
func envNumber(name string, usual int) int {
	return env(name, usual, strconv.Atoi)
}

// envTime returns the duration in an environment variable, or the default.
func envTime(name string, usual time.Duration) time.Duration {
	return env(name, usual, time.ParseDuration)
}

// envSeed returns E2E_SEED, or a random seed. It logs the seed, so a run can be repeated.
func envSeed(t *testing.T) uint64 {
	t.Helper()
	seed := env("E2E_SEED", uint64(time.Now().UnixNano()), func(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) })
	t.Logf("E2E_SEED=%d", seed)
	return seed
}

func env[T any](name string, usual T, parse func(string) (T, error)) T {
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	value, err := parse(text)
	if err != nil {
		panic(name + ": " + err.Error())
	}
	return value
}
