package telemetry

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

const (
	// maxRefusals bounds the reasons and sites that are kept. Only reloads that rename sites can reach it.
	maxRefusals = 256
	// refusalsFor is how long a refusal is shown.
	refusalsFor = time.Hour
)

// refusals are kept once for the process, like the metrics.
var refusals refusalLog

// Refusal is how often a site refused notifications for a reason.
type Refusal struct {
	Reason string `json:"reason"`
	// Site is the site as configured.
	Site string `json:"site"`
	// Count is how many notifications were refused since the process began, or since an hour without any.
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
	// Error is the text of the latest answer. Hint is what to do.
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

type refusalLog struct {
	mu   sync.Mutex
	kept map[[2]string]Refusal // by reason and site
}

// Refusals returns what was refused within the last hour, latest first.
func Refusals() []Refusal { return refusals.list(time.Now()) }

func (l *refusalLog) note(err *gateway.Error, site string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := [2]string{err.Reason, site}
	l.forget(now)
	if l.kept == nil {
		l.kept = make(map[[2]string]Refusal)
	}
	if _, ok := l.kept[key]; !ok && len(l.kept) >= maxRefusals {
		return
	}
	l.kept[key] = Refusal{Reason: err.Reason, Site: site, Count: l.kept[key].Count + 1, Last: now, Error: err.Message, Hint: err.Hint}
}

func (l *refusalLog) forget(now time.Time) {
	for key, r := range l.kept {
		if now.Sub(r.Last) >= refusalsFor {
			delete(l.kept, key)
		}
	}
}

func (l *refusalLog) list(now time.Time) []Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now)
	list := []Refusal{}
	for _, r := range l.kept {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Refusal) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Site, b.Site))
	})
	return list
}
