package main

import (
	"os"
	"testing"
)

// TestMain lets the test binary play the servers, as main does.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleKey); role != "" {
		exit(play(role))
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // otherwise each server takes a second to end with the race detector
	os.Exit(m.Run())
}
