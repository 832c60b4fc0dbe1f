package gateway

import (
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sony/gobreaker/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// A breaker opens when of the attempts in breakerWindow, at least breakerMin, more than breakerShare failed.
	breakerWindow = 30 * time.Second
	breakerMin    = 10
	breakerShare  = 0.6
	// breakerPause is how long it stays open before one attempt is let through.
	breakerPause = 10 * time.Second
	// maxBreakers bounds those that are kept: strangers choose the hosts of some apps.
	maxBreakers = 4096
)

// breaker keeps attempts off a push service that is down, so that none waits for it. It rejects nobody: what it keeps off is for later.
type breaker = gobreaker.TwoStepCircuitBreaker[struct{}]

// breakers has one for each app and host that its pushes go to.
type breakers struct {
	cache *lru.Cache[breakerKey, *breaker]
}

// breakerKey is an app's pattern and a host, which is empty where all pushes of the app go to the same service.
type breakerKey struct{ app, host string }

func newBreakers() breakers {
	cache, err := lru.New[breakerKey, *breaker](maxBreakers)
	if err != nil {
		panic(err) // the size is not positive
	}
	return breakers{cache}
}

func (b breakers) of(k breakerKey) *breaker {
	if found, ok := b.cache.Get(k); ok {
		return found
	}
	made := gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval:     breakerWindow,
		BucketPeriod: breakerWindow / 6,
		Timeout:      breakerPause,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= breakerMin && float64(c.TotalFailures) > breakerShare*float64(c.Requests)
		},
	})
	if earlier, ok, _ := b.cache.PeekOrAdd(k, made); ok {
		return earlier
	}
	return made
}

// state is that of an app's breaker; open is how many of an app's hosts are left alone, where devices choose the host.
func (b breakers) state(app *App) (state string, open int) {
	if _, ok := app.Provider.(providers.Hoster); !ok {
		found, ok := b.cache.Peek(breakerKey{app: app.Pattern})
		if !ok {
			return gobreaker.StateClosed.String(), 0
		}
		return found.State().String(), 0
	}
	for _, k := range b.cache.Keys() {
		if k.app != app.Pattern {
			continue
		}
		if found, ok := b.cache.Peek(k); ok && found.State() == gobreaker.StateOpen {
			open++
		}
	}
	return "", open
}

var errFault = errors.New("the push service is at fault")

// fault is an error if an outcome says that the push service is out of order. A dead pushkey, one that has to wait, a push that it
// does not like, and credentials that it refuses are none.
func fault(o providers.Outcome) error {
	if o.Kind == providers.KindRetry && !o.Limited {
		return errFault
	}
	return nil
}

// broken is the outcome of a push that the breaker kept off.
func broken() providers.Outcome { return providers.Retry("breaker_open", breakerPause, nil) }
