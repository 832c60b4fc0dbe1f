package telemetry

import (
	"fmt"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

func TestRefusalsAreCountedForAnHour(t *testing.T) {
	t.Parallel()
	var l refusalLog
	now := time.Unix(1_800_000_000, 0)
	plaintext, wrong := gateway.ErrPlaintext("", ""), gateway.ErrWrongPath()
	for i := range 3 {
		l.note(plaintext, "push.example.org", now.Add(time.Duration(i)*time.Minute))
	}
	l.note(wrong, "push.example.org", now.Add(30*time.Minute))
	list := l.list(now.Add(59 * time.Minute))
	if len(list) != 2 || list[0].Reason != "wrong_path" || list[1].Count != 3 || !list[1].Last.Equal(now.Add(2*time.Minute)) || list[1].Error == "" {
		t.Errorf("got %+v", list)
	}
	if list := l.list(now.Add(62 * time.Minute)); len(list) != 1 || list[0].Reason != "wrong_path" {
		t.Errorf("an hour later: %+v", list)
	}
	if l.note(plaintext, "push.example.org", now.Add(2*time.Hour)); l.list(now.Add(2 * time.Hour))[0].Count != 1 {
		t.Error("refusals from hours ago count")
	}
}

func TestTheRefusalsThatAreKeptAreBounded(t *testing.T) {
	t.Parallel()
	var l refusalLog
	for i := range 2 * maxRefusals {
		l.note(gateway.ErrPlaintext("", ""), fmt.Sprint("site", i), time.Unix(1_800_000_000, 0))
	}
	if n := len(l.kept); n != maxRefusals {
		t.Errorf("%d are kept", n)
	}
}
