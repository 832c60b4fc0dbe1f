package gateway

import (
	"sync/atomic"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// App is one configured app: a pattern of app_ids, the provider that serves them, and the policy for them.
type App struct {
	// Pattern is the pattern as configured. Logs and metrics call the app by it.
	Pattern string
	// ProviderName is the provider's module name, such as "webpush".
	ProviderName string
	// Provider is called only by the methods in guest.go.
	Provider providers.Provider
	// Panicked is called for the first panic of the provider.
	Panicked func(*App, Panic)
	// Wait is how long a request waits for a verdict.
	Wait time.Duration
	// TTL is how long a notification is worth delivering.
	TTL     time.Duration
	Content providers.Content
	// Badges says which counts are delivered. The provider's default is already resolved.
	Badges providers.Badges
	// Elsewhere means that notifications for the app also come in another way than through a site, such as from XMPP servers.
	Elsewhere bool
	// Limit bounds the pushes in flight.
	Limit *limit.Fair

	// hosts, fuse and history are shared by all configurations that have the app; load is the number of this configuration, and key names
	// the app among the devices that were delivered to. New sets them.
	hosts   *hosts
	fuse    *fuse
	history *history
	load    int64
	key     rejected.Key

	// proven means that the provider has delivered a push with the app's current settings.
	proven   atomic.Bool
	panicked atomic.Bool
	// overdue counts the calls of the provider's Push that have not returned in time.
	overdue atomic.Int64
	// movedUntil is when to stop looking for queues of an earlier version, in nanoseconds of Unix time.
	movedUntil atomic.Int64
}

// workers returns how many of the app's pushes may come from the outbox at a time. The rest of the limit is left for new pushes.
func (a *App) workers() int64 { return max(1, int64(a.Limit.Size()/2)) }
