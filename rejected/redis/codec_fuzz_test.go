package redis

import (
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// FuzzDecode expects that a value from Redis either condemns nobody, or is a record that comes back unchanged.
func FuzzDecode(f *testing.F) {
	good, err := encode(rejected.Record{
		App: "org.example.*", Reason: "gone", Condemned: 1_772_366_400_000, Since: 1_772_366_300_000, FirstSeen: time.UnixMilli(1),
		LastSeen: time.UnixMilli(2), ProbeAt: time.UnixMilli(3), Verdicts: 3,
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		good, "", "null", "[]", "{}", `{"verdicts":0}`, `{"verdicts":-1}`, `{"verdicts":1.5}`, `{"verdicts":1,"condemned":9223372036854775807}`,
		`{"verdicts":1,"condemned":-1,"since":-1,"probe_at":-62135596800001}`, `{"verdicts":1,"verdicts":2,"VERDICTS":3}`, `{"verdicts":99999999999999999999}`,
		`{"verdicts":1,"reason":"\ud800"}`, good + good, `{"verdicts":0,"suspicion":{"since":1,"looks":1,"look_at":2}}`,
		`{"verdicts":1,"suspicion":{"since":-62135596800000,"looks":1,"look_at":9223372036854775807}}`, `{"verdicts":1,"suspicion":[]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r, ok := decode(value)
		if !ok {
			if r != (rejected.Record{}) {
				t.Errorf("%q is not a record, but gives %+v", value, r)
			}
			return
		}
		if r.Verdicts < 0 || r.Verdicts == 0 && !r.Suspicion.Suspected() {
			t.Errorf("%q is a record of %d verdicts", value, r.Verdicts)
		}
		if r.Verdicts == 0 && r.Mark().Rejects(0, time.Unix(1, 0)) {
			t.Errorf("%q rejects, but has no verdict", value)
		}
		encoded, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := decode(encoded); !ok || again != r {
			t.Errorf("%+v came back as %+v", r, again)
		}
		r.Mark().Rejects(0, time.Now())
	})
}
