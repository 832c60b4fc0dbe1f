package fcm

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
)

// FuzzDefaultPayload merges a default_payload into the data of a message, and compares the result with its definition: every member that
// FCM accepts as a string, unless the message sets it or only the homeserver may set it.
func FuzzDefaultPayload(f *testing.F) {
	for _, request := range corpus.Requests() {
		var data struct {
			Default json.RawMessage `json:"default_payload"`
		}
		if _ = json.Unmarshal(request.Device().Data, &data); data.Default != nil {
			f.Add(string(data.Default), false, 0)
			f.Add(string(data.Default), true, 300)
		}
	}
	for _, seed := range []string{
		`null`, `[]`, `{}`, `{"":"x","from":"x","google.x":1,"gcm":2,"message_type":3}`, `{"event_id":"$other","room_id":1,"unread":"9","prio":null}`,
		`{"devices":[],"counts":{},"content":"x","content_body":"x","type":"x","EVENT_ID":"$x"}`, `{"a":{"b":[1.0,null,"\ud800"]},"c":true,"d":null}`,
		`{"a":"\u0000<&>\u2028","a":7,"\ud800":1}`, `{"0":""}`,
	} {
		f.Add(seed, false, 0)
		f.Add(seed, true, 100)
	}
	f.Fuzz(func(t *testing.T, defaults string, hedwig bool, less int) {
		if !json.Valid([]byte(defaults)) || !utf8.ValidString(defaults) {
			t.Skip() // decoded as a part of a request, it is both
		}
		const enough = 1 << 20
		n := messagetest.Alert()
		d := &providers.Device{AppID: "a", Pushkey: "token"}
		reserved := []string{"event_id", "room_id", "prio", "unread", "missed_calls", "ciphertext", "ephemeral", "mac"}
		if hedwig {
			d.AppID = "a.data_message"
			reserved = append(reserved, "counts", "content", "devices", "user_is_target")
		}
		own, err := data(n, d, enough, nil)
		if err != nil {
			t.Fatal(err)
		}
		d.Data = json.RawMessage(`{"default_payload":` + defaults + `}`)
		got, err := data(n, d, enough, nil)
		var members map[string]any
		_ = json.Unmarshal([]byte(defaults), &members) // anything but an object adds nothing
		if err != nil {
			t.Fatalf("%s: %v", defaults, err)
		}
		for name, value := range members {
			if _, ours := own[name]; ours || value == nil || slices.Contains(reserved, name) || forbidden(name) {
				delete(members, name)
			}
		}
		for name, value := range got {
			if said, ours := own[name]; ours && said == value {
				continue
			}
			want, ok := members[name]
			if !ok || !sameValue(value, want) {
				t.Errorf("%s puts %q under %q", defaults, value, name)
			}
			delete(members, name)
		}
		if names := slices.Collect(maps.Keys(members)); len(names) > 0 || !isSubset(own, got) {
			t.Errorf("%s: %q are missing in %v", defaults, names, got)
		}
		limit := 200 + int(uint(less)%fcmLimit)
		if smaller, err := data(n, d, limit, nil); err != nil {
			t.Errorf("%s: %v of %d bytes", defaults, err, limit)
		} else {
			checkData(t, smaller, n, limit)
		}
	})
}

// forbidden reports whether the documentation forbids data of this name.
func forbidden(name string) bool {
	return name == "" || name == "from" || name == "message_type" || strings.HasPrefix(name, "google") || strings.HasPrefix(name, "gcm")
}

// sameValue reports whether a string of the message is the default_payload's value.
func sameValue(text string, want any) bool {
	if s, ok := want.(string); ok {
		return text == s
	}
	var value any
	return json.Unmarshal([]byte(text), &value) == nil && reflect.DeepEqual(value, want)
}

func isSubset(part, whole map[string]string) bool {
	for name, value := range part {
		if whole[name] != value {
			return false
		}
	}
	return true
}
