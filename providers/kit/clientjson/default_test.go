package clientjson_test

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

func TestADefaultPayloadIsAnObjectOrLeftOutAndReported(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, data string
		members    int
		reported   bool
	}{
		{"no data", ``, 0, false},
		{"none", `{"format": "event_id_only"}`, 0, false},
		{"a mention of it", `{"brand": "default_payload"}`, 0, false},
		{"an object", `{"default_payload": {"aps": {}, "cs": "s"}}`, 2, false},
		{"an object whose name is escaped", `{"default\u005fpayload": {"cs": "s"}}`, 1, false},
		{"an object with a member twice", `{"default_payload": {"cs": 1, "cs": "s"}}`, 1, false},
		{"the last of two", `{"default_payload": 1, "default_payload": {"cs": "s"}}`, 1, false},
		{"an empty object", `{"default_payload": {}}`, 0, false},
		{"an object under a name in other capitals", `{"Default_Payload": {"cs": "s"}}`, 0, false},
		{"a string under a name in other capitals", `{"default_payload": {"cs": "s"}, "DEFAULT_PAYLOAD": "x"}`, 1, false},
		{"null", `{"default_payload": null}`, 0, false},
		{"a string", `{"default_payload": "x"}`, 0, true},
		{"a list", `{"default_payload": [{}]}`, 0, true},
		{"a number, behind which data go on", `{"default_payload": 1, "format": "event_id_only"}`, 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			faults, reported := messagetest.Faults()
			field := ""
			if test.reported {
				field = "data.default_payload"
			}
			for range 3 {
				d := &providers.Device{AppID: "org.example", Pushkey: "secret", Data: []byte(test.data)}
				if members := clientjson.DefaultPayload(d, faults); len(members) != test.members {
					t.Errorf("got %v", members)
				}
			}
			messagetest.WantReported(t, reported, field)
		})
	}
}

func TestNobodyHasToWantReports(t *testing.T) {
	t.Parallel()
	d := &providers.Device{Data: []byte(`{"default_payload": 1}`)}
	for _, faults := range []*clientjson.Faults{nil, {}, clientjson.NewFaults(nil)} {
		if members := clientjson.DefaultPayload(d, faults); members != nil {
			t.Errorf("got %v", members)
		}
	}
}

func TestNoDeviceHasNoDefaultPayload(t *testing.T) {
	t.Parallel()
	faults, reported := messagetest.Faults()
	if members := clientjson.DefaultPayload(nil, faults); members != nil {
		t.Errorf("got %v", members)
	}
	if members := clientjson.DefaultPayloadIn([]byte(`1`), nil, faults); members != nil {
		t.Errorf("in a value: got %v", members)
	}
	messagetest.WantReported(t, reported, "")
}
