package pushrules_test

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// BenchmarkEvaluate compares an evaluation with decoding the same event. It should cost less than three times as much. The event only
// matches the last rule but one, so nearly all rules are tried.
func BenchmarkEvaluate(b *testing.B) {
	raw := []byte(`{"type":"m.room.message","event_id":"$143273582443PhrSn:example.org","room_id":"!636q39766251:example.org",
		"sender":"@bob:example.org","origin_server_ts":1432735824653,"unsigned":{"age":1234},
		"content":{"msgtype":"m.text","body":"This is an example text message","format":"org.matrix.custom.html",
		"formatted_body":"<b>This is an example text message</b>","m.mentions":{}}}`)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			event(b, raw)
		}
	})
	e, power := event(b, raw), int64(0)
	viewer := &pushrules.Viewer{UserID: "@alice:example.org", DisplayName: "Alice", Members: 5, SenderPower: &power}
	for _, age := range []string{"v1.17", pushrules.SynapseAge} {
		rules, err := pushrules.Defaults(age, viewer.UserID)
		if err != nil {
			b.Fatal(err)
		}
		options := pushrules.Options{Reading: pushrules.Spec}
		if age == pushrules.SynapseAge {
			options.Reading = pushrules.Synapse
		}
		b.Run("evaluate/"+age, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pushrules.Evaluate(b.Context(), rules, e, viewer, options); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
