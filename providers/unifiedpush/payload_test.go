package unifiedpush

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestPayloads(t *testing.T) {
	t.Parallel()
	low := badge().Reduced()
	low.Prio = providers.PrioLow
	encrypted := alert()
	encrypted.Encrypted = providers.Encrypted{Ciphertext: "c", Ephemeral: "e", MAC: "m"}
	tests := []struct {
		name string
		n    *providers.Notification
	}{
		{"full", alert()},
		{"reduced", alert().Reduced()},
		{"reduced_msc3013", encrypted.Reduced()},
		{"full_without_counts", alert().WithoutCounts()},
		{"badge", badge()},
		{"badge_low_reduced", low},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			golden(t, test.name, slices.Collect(bodies(test.n, test.n.Members(), new(providers.Device), false))[0])
		})
	}
}

// Guards against the faults of ntfy and common-proxies with long notifications: they fail, or send what distributors refuse.
func TestEachFormIsSmallerAndNoneHasDevicesOrLacksTheIDs(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, 5_000, 60_000} {
		for _, encrypted := range []bool{false, true} {
			n := long(size)
			all := slices.Collect(bodies(n, n.Members(), new(providers.Device), encrypted))
			if len(all) < 4 {
				t.Fatalf("there are %d forms", len(all))
			}
			for i, b := range all {
				if i > 0 && len(b) >= len(all[i-1]) {
					t.Errorf("form %d of %d bytes is not smaller than the one before", i, size)
				}
				wantIDs(t, b)
				wantNothingOf(t, b, `"devices"`)
			}
		}
	}
}

// long returns an alert whose content has about size bytes.
func long(size int) *providers.Notification {
	n := alert()
	n.Body = bytes.Replace(n.Body, []byte("a < b"), []byte(strings.Repeat("x", size)), 1)
	return n
}

// wantIDs fails the test unless the message has all that a client needs.
func wantIDs(t *testing.T, body []byte) {
	t.Helper()
	var got struct {
		Notification struct {
			EventID string           `json:"event_id"`
			RoomID  string           `json:"room_id"`
			Prio    string           `json:"prio"`
			Counts  map[string]int64 `json:"counts"`
		} `json:"notification"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	n := got.Notification
	if n.EventID != "$event" || n.RoomID != "!room:example.org" || n.Prio != "high" || fmt.Sprint(n.Counts) != "map[missed_calls:1 unread:2]" {
		t.Errorf("the message lacks ids, counts or priority: %.300s", body)
	}
}
