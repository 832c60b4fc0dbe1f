package e2e

import (
	"crypto/rand"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

func TestI02_WhatSynapseWasAnswered503IsSentAgainAndArrivesOnce(t *testing.T) {
	t.Parallel()
	s := newSynapseScene(t, func(p pushServices) string { return stateless + p.apps("", "wait 20s") })
	room := s.alice.room("", s.bob)
	devices := s.handsets("", "event_id_only")
	s.register(devices...)
	for _, h := range devices {
		h.fail()
	}
	first := s.alice.says(room, "The first message")
	for _, h := range devices {
		h.wantEvents(first)
		h.wantAsked(2)
	}
	second := s.alice.says(room, "The second message")
	for _, h := range devices {
		h.wantEvents(first, second)
		h.wantAsked(3)
		s.bob.wantPusher(h.device)
	}
	s.wantStatuses(map[string]int{"503": len(devices), "200": 2 * len(devices)})
}

// The push service took the push only after Synapse had its answer. It must not get the push again.
func TestWhatSynapseWasAnsweredTooEarlyArrivesOnce(t *testing.T) {
	t.Parallel()
	s := newSynapseScene(t, func(p pushServices) string { return stateless + p.apns.app("org.example.ios", "", "wait 500ms") })
	room := s.alice.room("", s.bob)
	h := s.ofAPNs(iPhone(rand.Text()))
	s.register(h)
	release := make(chan struct{})
	s.apns.Answer(h.path(), apnstest.Answer{Until: release})
	first := s.alice.says(room, "The first message")
	s.waitForLog(func(log string) bool { return statuses(log)["503"] > 0 })
	close(release)
	h.wantEvents(first)
	second := s.alice.says(room, "The second message")
	h.wantEvents(first, second)
	h.wantAsked(2)
	s.waitForLog(func(log string) bool { return statuses(log)["200"] == 2 })
	s.bob.wantPusher(h.device)
}
