package redis

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// FuzzDecode expects that a value from Redis is either not an entry, or one that comes back unchanged.
func FuzzDecode(f *testing.F) {
	good, err := encode(&outbox.Entry{
		ID: "3fa1", App: "org.example.*", Device: device("a"), Replace: outbox.ReplaceBadge, PushkeyTS: 1_772_366_400_123, Push: []byte("{\n\"text\":\"<&>\"}\n"),
		Accepted: time.UnixMilli(1_772_366_400_456), Expires: time.UnixMilli(1_772_366_500_000),
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(good), "", "\n", "{}\n{}", `{"device":"AAAAAAAAAAA="}` + "\n{}", `{"device":"AAAAAAAAAAAAAAAAAAAAAA==","expires":9223372036854775807}` + "\n",
		`{"device":"AAAAAAAAAAAAAAAAAAAAAA==","accepted":-62135596800000,"DEVICE":"AAAAAAAAAAAAAAAAAAAAAA=="}` + "\n\x00\xff",
		strings.Repeat("[", 20_000) + "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		e, err := decode(value)
		if err != nil {
			if strings.Contains(value, err.Error()) && len(value) < 20 && value != "" {
				t.Errorf("the error quotes %q", value)
			}
			return
		}
		if head, push, _ := strings.Cut(value, "\n"); string(e.Push) != push {
			t.Errorf("the push of %q is %q", value, e.Push)
		} else if listed, err := decodeHead(head); err != nil || listed.ID != e.ID || listed.Device != e.Device {
			t.Errorf("%q is listed as %+v, %v", value, listed, err)
		}
		encoded, err := encode(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(string(encoded))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%+v came back as %+v, %v", e, again, err)
		}
	})
}
