package main

import (
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	store "github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/file"
)

func TestRecordsAreMadeOnceAndNeverExpire(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var out strings.Builder
	path, err := makeRecords(t.Context(), folder, 300, &out)
	if err != nil {
		t.Fatal(err)
	}
	made, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := makeRecords(t.Context(), folder, 300, &out); err != nil || again != path {
		t.Errorf("the second time it is %s: %v", again, err)
	}
	if info, err := os.Stat(path); err != nil || !os.SameFile(made, info) || !info.ModTime().Equal(made.ModTime()) {
		t.Errorf("it was made again: %v", err)
	}
	if other, err := makeRecords(t.Context(), folder, 200, &out); err != nil || other == path {
		t.Errorf("with fewer records it is %s: %v", other, err)
	}
	scope, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	s := &file.Store{Path: path}
	defer func() { _ = s.Cleanup() }()
	if err := s.Provision(scope); err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context()); err != nil || s.Len() != 300 {
		t.Fatalf("%d records: %v", s.Len(), err)
	}
	for i, want := range map[int]bool{0: true, 299: true, 300: false} {
		marks := make([]store.Mark, 1)
		err := s.Lookup(t.Context(), []store.Key{store.KeyOf(appID, apnsPushkey(i))}, marks)
		if got := marks[0].Rejects(pushkeyTS*1000, rejectedAt); err != nil || got != want {
			t.Errorf("the device %d is rejected: %v, want %v; %v", i, got, want, err)
		}
	}
}

func TestTheFirstNotificationIsAnsweredFromTheRecords(t *testing.T) {
	t.Parallel()
	o := small(t, "-provider rejected -records 60") // more records than devices
	o.RecordsFolder = t.TempDir()
	var out strings.Builder
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "after the start of the gateway with 60 records") {
		t.Errorf("the time of the first answer is missing in\n%s", &out)
	}
	b := startBench(t, o, o.Gateway)
	var got received
	if err := b.sink.ask(askReceived, &got); err != nil || got.Pushes != 0 || b.ready <= 0 {
		t.Errorf("%d pushes, and the first answer after %v: %v", got.Pushes, b.ready, err)
	}
}
