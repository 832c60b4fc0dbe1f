package redis

import (
	"encoding/json"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// stored is a record in Redis, as JSON. Times are in milliseconds. Those of earlier versions have no app.
type stored struct {
	App       string `json:"app,omitempty"`
	Reason    string `json:"reason"`
	Condemned int64  `json:"condemned,omitempty"`
	Since     int64  `json:"since,omitempty"`
	FirstSeen int64  `json:"first_seen"`
	LastSeen  int64  `json:"last_seen"`
	ProbeAt   int64  `json:"probe_at"`
	Verdicts  int    `json:"verdicts"`
}

func encode(r rejected.Record) (string, error) {
	b, err := json.Marshal(stored{
		App: r.App, Reason: r.Reason, Condemned: r.Condemned, Since: r.Since, FirstSeen: r.FirstSeen.UnixMilli(),
		LastSeen: r.LastSeen.UnixMilli(), ProbeAt: r.ProbeAt.UnixMilli(), Verdicts: r.Verdicts,
	})
	return string(b), err
}

// decode says whether the value is a record. What is none, such as that of a newer version, condemns nothing.
func decode(value string) (rejected.Record, bool) {
	var s stored
	if json.Unmarshal([]byte(value), &s) != nil || s.Verdicts < 1 {
		return rejected.Record{}, false
	}
	return rejected.Record{
		App: s.App, Reason: s.Reason, Condemned: s.Condemned, Since: s.Since, FirstSeen: time.UnixMilli(s.FirstSeen),
		LastSeen: time.UnixMilli(s.LastSeen), ProbeAt: time.UnixMilli(s.ProbeAt), Verdicts: s.Verdicts,
	}, true
}
