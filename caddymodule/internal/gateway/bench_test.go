package gateway

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// BenchmarkNotify compares the path of a request through the engine to a provider with merely reading its JSON.
func BenchmarkNotify(b *testing.B) {
	body := []byte(synapseBody)
	b.Run("gateway", func(b *testing.B) {
		r := newRig(b, appFor("org.example.app.ios.*", always(providers.Delivered())))
		d := mustDecode(b, synapseBody).Devices[0]
		if err := r.store.Reject(b.Context(), rejected.KeyOf(d.AppID, d.Pushkey), rejected.Verdict{PushkeyTS: d.PushkeyTS, At: time.Now()}); err != nil {
			b.Fatal(err)
		}
		want := `{"rejected":["` + d.Pushkey + `"]}`
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			request, err := Decode(body, 100)
			if err != nil {
				b.Fatal(err)
			}
			if got := r.Notify(request, providers.Site{}, everything).Body(); string(got) != want {
				b.Fatalf("answered %s", got)
			}
		}
	})
	b.Run("unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			var w wireRequest
			if err := json.Unmarshal(body, &w); err != nil {
				b.Fatal(err)
			}
		}
	})
}
