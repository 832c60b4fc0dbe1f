package messagetest

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// Faults returns the faults of a provider, and the log that they are reported to.
func Faults() (*clientjson.Faults, *observer.ObservedLogs) {
	core, logs := observer.New(zap.InfoLevel)
	return clientjson.NewFaults(zap.New(core)), logs
}

// WantReported checks for one warning about the field, with a hint, or for no line if the field is empty.
func WantReported(t testing.TB, logs *observer.ObservedLogs, field string) {
	t.Helper()
	entries := logs.All()
	if field == "" {
		if len(entries) != 0 {
			t.Errorf("reported: %v", entries)
		}
		return
	}
	if len(entries) != 1 || entries[0].Level != zap.WarnLevel {
		t.Fatalf("reported: %v, want one warning about %s", entries, field)
	}
	if fields := entries[0].ContextMap(); fields["field"] != field || fields["hint"] == "" || fields["app_id"] == "" {
		t.Errorf("reported: %v, want %s", fields, field)
	}
}
