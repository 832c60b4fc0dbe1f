package gateway

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestARecordIsShownWithWhatItHas(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	verdict := rejected.Verdict{App: "app", Reason: "gone", PushkeyTS: noon.UnixMilli(), At: noon}
	look := rejected.Verdict{App: "app", Reason: "not_found", PushkeyTS: noon.UnixMilli(), At: noon.Add(time.Hour)}
	const hash = `{"pushkey_hash":"01000000000000000000000000000000","app":"app",`
	for _, tt := range []struct {
		name string
		r    rejected.Record
		dead bool
		want string
	}{
		{
			"a verdict", rejected.Record{}.Add(verdict), true,
			hash + `"reason":"gone","first_seen":"2026-03-01T12:00:00Z","last_seen":"2026-03-01T12:00:00Z","verdicts":1,` +
				`"condemned_until":"2026-03-01T12:00:00Z","probe_at":"2026-03-01T13:00:00Z"}`,
		},
		{
			"a suspicion, which has no time of a probe", rejected.Record{}.Suspect(look), false,
			hash + `"reason":"not_found","first_seen":"2026-03-01T13:00:00Z","last_seen":"2026-03-01T13:00:00Z","verdicts":0,` +
				`"suspicion":{"since":"2026-03-01T13:00:00Z","looks":1,"look_at":"2026-03-01T13:01:00Z"}}`,
		},
		{
			"both", rejected.Record{}.Add(verdict).Suspect(look), true,
			hash + `"reason":"gone","first_seen":"2026-03-01T12:00:00Z","last_seen":"2026-03-01T13:00:00Z","verdicts":1,` +
				`"condemned_until":"2026-03-01T12:00:00Z","probe_at":"2026-03-01T13:00:00Z",` +
				`"suspicion":{"since":"2026-03-01T13:00:00Z","looks":1,"look_at":"2026-03-01T13:01:00Z"}}`,
		},
	} {
		s := NewRecordStatus(rejected.Key{1}, tt.r)
		if s.CondemnedUntil != nil {
			*s.CondemnedUntil = s.CondemnedUntil.UTC()
		}
		got, err := json.Marshal(s)
		if err != nil || string(got) != tt.want || s.Dead() != tt.dead {
			t.Errorf("%s: %s, %v\nwant %s", tt.name, got, err, tt.want)
		}
	}
}
