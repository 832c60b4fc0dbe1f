package memory

import (
	"time"
	"unique"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// packed is a record in the table. A few apps and reasons are those of all records, which share them: each costs a pointer. The apps of
// a configuration that is gone are gone with the last record that names them.
type packed struct {
	app, reason                  unique.Handle[string]
	condemned, since             int64
	firstSeen, lastSeen, probeAt time.Time
	verdicts                     int
}

func pack(r rejected.Record) packed {
	return packed{
		app: unique.Make(r.App), reason: unique.Make(r.Reason), condemned: r.Condemned, since: r.Since,
		firstSeen: r.FirstSeen, lastSeen: r.LastSeen, probeAt: r.ProbeAt, verdicts: r.Verdicts,
	}
}

func (p packed) record() rejected.Record {
	return rejected.Record{
		App: p.app.Value(), Reason: p.reason.Value(), Condemned: p.condemned, Since: p.since,
		FirstSeen: p.firstSeen, LastSeen: p.lastSeen, ProbeAt: p.probeAt, Verdicts: p.verdicts,
	}
}
