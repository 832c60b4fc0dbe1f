package memory

import (
	"time"
	"unique"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// packed is a record in the table. There are few apps and reasons, so records share them and each costs a pointer. The apps of a past
// configuration disappear with the last record that names them.
type packed struct {
	app, reason                  unique.Handle[string]
	condemned, since             int64
	firstSeen, lastSeen, probeAt time.Time
	verdicts                     int
	suspicion                    *rejected.Suspicion // nil for most
}

func pack(r rejected.Record) packed {
	p := packed{
		app: unique.Make(r.App), reason: unique.Make(r.Reason), condemned: r.Condemned, since: r.Since,
		firstSeen: r.FirstSeen, lastSeen: r.LastSeen, probeAt: r.ProbeAt, verdicts: r.Verdicts,
	}
	if r.Suspicion.Suspected() {
		p.suspicion = &r.Suspicion
	}
	return p
}

func (p packed) record() rejected.Record {
	r := rejected.Record{
		App: p.app.Value(), Reason: p.reason.Value(), Condemned: p.condemned, Since: p.since,
		FirstSeen: p.firstSeen, LastSeen: p.lastSeen, ProbeAt: p.probeAt, Verdicts: p.verdicts,
	}
	if p.suspicion != nil {
		r.Suspicion = *p.suspicion
	}
	return r
}
