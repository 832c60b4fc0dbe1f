package redis

import (
	"encoding/json"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// stored is the JSON of a record in Redis. Times are in milliseconds. Records of earlier versions have no app.
type stored struct {
	App       string `json:"app,omitempty"`
	Reason    string `json:"reason"`
	Condemned int64  `json:"condemned,omitempty"`
	Since     int64  `json:"since,omitempty"`
	FirstSeen int64  `json:"first_seen"`
	LastSeen  int64  `json:"last_seen"`
	ProbeAt   int64  `json:"probe_at"`
	Verdicts  int    `json:"verdicts"`
	// Suspicion is unknown to earlier versions, which ignore a record without a verdict.
	Suspicion *suspicion `json:"suspicion,omitempty"`
}

type suspicion struct {
	Since  int64 `json:"since"`
	Looks  int   `json:"looks"`
	LookAt int64 `json:"look_at"`
}

func encode(r rejected.Record) (string, error) {
	s := stored{
		App: r.App, Reason: r.Reason, Condemned: r.Condemned, Since: r.Since, FirstSeen: r.FirstSeen.UnixMilli(),
		LastSeen: r.LastSeen.UnixMilli(), Verdicts: r.Verdicts,
	}
	if r.Verdicts > 0 {
		s.ProbeAt = r.ProbeAt.UnixMilli()
	}
	if r.Suspicion.Suspected() {
		s.Suspicion = &suspicion{Since: r.Suspicion.Since.UnixMilli(), Looks: r.Suspicion.Looks, LookAt: r.Suspicion.LookAt.UnixMilli()}
	}
	b, err := json.Marshal(s)
	return string(b), err
}

// decode reports whether the value is a record. Any other value, such as one of a newer version, condemns nothing.
func decode(value string) (rejected.Record, bool) {
	var s stored
	if json.Unmarshal([]byte(value), &s) != nil || s.Verdicts < 0 || s.Verdicts == 0 && !s.Suspicion.valid() {
		return rejected.Record{}, false
	}
	r := rejected.Record{App: s.App, Reason: s.Reason, FirstSeen: time.UnixMilli(s.FirstSeen), LastSeen: time.UnixMilli(s.LastSeen)}
	if s.Verdicts > 0 {
		r.Condemned, r.Since, r.ProbeAt, r.Verdicts = s.Condemned, s.Since, time.UnixMilli(s.ProbeAt), s.Verdicts
	}
	if s.Suspicion.valid() {
		r.Suspicion = rejected.Suspicion{
			Since: time.UnixMilli(s.Suspicion.Since), Looks: s.Suspicion.Looks, LookAt: time.UnixMilli(s.Suspicion.LookAt),
		}
	}
	return r, true
}

// valid reports whether it is a suspicion; nil is not one.
func (s *suspicion) valid() bool { return s != nil && s.Since > 0 && s.Looks > 0 && s.LookAt > 0 }
