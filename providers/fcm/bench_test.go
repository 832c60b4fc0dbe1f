package fcm

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

func BenchmarkData(b *testing.B) {
	large := messagetest.Alert()
	large.Content = clientjson.Marshal(map[string]string{"msgtype": "m.text", "body": strings.Repeat("x", 60_000)})
	// Dropping them one by one must not take quadratic time.
	members := make(map[string]string)
	for i := range 5_000 {
		members[strconv.Itoa(i)] = "x"
	}
	many := messagetest.Alert()
	many.Content = clientjson.Marshal(members)
	for _, bench := range []struct {
		name string
		n    *providers.Notification
		data string
	}{
		{"event_id_only", messagetest.Alert().Reduced(), elementXData},
		{"full", messagetest.Alert(), elementXData},
		{"large_body", large, elementXData},
		{"many_members", many, elementXData},
		{"data_message", messagetest.Alert().Reduced(), fluffyData},
		{"data_message_large_body", large, fluffyData},
	} {
		b.Run(bench.name, func(b *testing.B) {
			d := &providers.Device{AppID: "org.example", Pushkey: "token", Data: json.RawMessage(bench.data)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := data(bench.n, d, fcmLimit, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUsable measures what the gateway does first for each device: it must not allocate.
func BenchmarkUsable(b *testing.B) {
	p, d := new(Provider), providers.Device{Pushkey: strings.Repeat("dGVzdA1234567890abcdef:APA91bF_", 5)}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Usable(&d, providers.Site{}); err != nil {
			b.Fatal(err)
		}
	}
}
