package redis

import (
	"reflect"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestAnEntryComesBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	sample := outbox.Entry{
		ID: "3fa1", App: "org.example.*", Device: device("a"), PushkeyTS: 1_772_366_400_123, Push: []byte("{\n\"text\":\"<&>\"}\n"),
		Accepted: time.UnixMilli(1_772_366_400_456), Expires: time.UnixMilli(1_772_366_500_000),
	}
	unknown, badge := sample, sample
	unknown.Accepted, badge.Replace = time.Time{}, outbox.ReplaceBadge
	for name, e := range map[string]outbox.Entry{"an alert": sample, "a badge update": badge, "one accepted nobody knows when": unknown} {
		value, err := encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(string(value)); err != nil || !reflect.DeepEqual(*got, e) {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", name, got, err, e)
		}
	}
	for _, garbage := range []string{"", "x", "{}", "\n{}", "{}\n{}", `{"device":"AAAAAAAAAAA="}` + "\n{}"} {
		if e, err := decode(garbage); err == nil {
			t.Errorf("%q was read as %+v", garbage, e)
		}
	}
}
