package caddymodule

import (
	"context"
	"testing"
)

func TestARequestWaitsUntilTheAppHasStarted(t *testing.T) {
	t.Parallel()
	a := &App{started: make(chan struct{})}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if a.ready(impatient) {
		t.Error("it is ready before it started")
	}
	waited := make(chan bool)
	go func() { waited <- a.ready(context.Background()) }()
	close(a.started)
	if !<-waited || !a.ready(impatient) {
		t.Error("it is not ready though it started")
	}
}
