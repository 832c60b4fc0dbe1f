package main

import (
	"os"
	"testing"
)

// TestMain makes the test's binary the servers, as main does.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleKey); role != "" {
		exit(play(role))
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // or each server takes a second to end with the race detector
	os.Exit(m.Run())
}
