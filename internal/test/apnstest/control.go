package apnstest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// StallHandshakes lets new TCP connections be accepted and their TLS handshake get no answer, until it is turned off: then they go
// on.
func (a *Service) StallHandshakes(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if on && a.stalled == nil {
		a.stalled = make(chan struct{})
	} else if !on && a.stalled != nil {
		close(a.stalled)
		a.stalled = nil
	}
}

// SetMaxConcurrentStreams announces another limit on every open connection, and on those to come; 0 allows none. With
// OneUntilAuthenticated, a connection that is not authenticated keeps its limit of one until it is. It returns when every client
// acknowledged the limit or went away: from then on, what is over it is refused.
func (a *Service) SetMaxConcurrentStreams(n uint32) {
	a.mu.Lock()
	a.limit = n
	announced := map[*conn]int{}
	for c := range a.conns {
		if !c.unauthenticated {
			c.announceLimit(n)
			announced[c] = c.settingsSent
		}
	}
	a.mu.Unlock()
	// The service's own context: a connection that goes away counts too, so there is nothing else to wait for.
	_ = a.Await(a.ctx, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for c, sent := range announced {
			if _, open := a.conns[c]; open && c.settingsAcked < sent {
				return false
			}
		}
		return true
	})
}

// SetDeviceTopic changes the bundle id of the app that the device tokens were made for.
func (a *Service) SetDeviceTopic(topic string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.options.DeviceTopic = topic
}

// GoAway ends every open connection as a server does that goes down for maintenance: requests that arrived are finished, later
// ones are not processed, and then the connection is closed.
func (a *Service) GoAway() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.conns {
		c.goAway(c.newest)
	}
}

// Unregister makes pushes to the token be answered 410 Unregistered from now on, with at as when it ceased to be valid. A zero at
// registers the token again.
func (a *Service) Unregister(token string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if token = strings.ToLower(token); at.IsZero() {
		delete(a.unregistered, token)
	} else {
		a.unregistered[token] = at
	}
}

// Await waits until the condition holds. The condition may ask the service anything, and is asked again whenever a connection, a
// stream, a request or a push comes or goes.
func (a *Service) Await(ctx context.Context, condition func() bool) error {
	for {
		a.mu.Lock()
		changed := a.changed
		a.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("APNs was not in the state that was waited for: %w", ctx.Err())
		}
	}
}

// Connections is how many connections were ever made, their TLS handshakes included.
func (a *Service) Connections() int { return locked(a, func() int { return a.connections }) }

// Open is how many connections are open now.
func (a *Service) Open() int { return locked(a, func() int { return len(a.conns) }) }

// Streams is how many streams are open now, on all connections together: requests that are under way or held.
func (a *Service) Streams() int {
	return locked(a, func() (n int) {
		for c := range a.conns {
			n += len(c.streams)
		}
		return n
	})
}

// Held is how many requests are complete and have answers that wait, on all connections together.
func (a *Service) Held() int {
	return locked(a, func() (n int) {
		for c := range a.conns {
			for _, s := range c.streams {
				if s.held {
					n++
				}
			}
		}
		return n
	})
}

// MaxStreams is the most streams that were ever open at the same time on one connection.
func (a *Service) MaxStreams() int { return locked(a, func() int { return a.maxStreams }) }

// Refused is how many streams were refused because their client opened more than it had acknowledged to be allowed.
func (a *Service) Refused() int { return locked(a, func() int { return a.refused }) }

// ProviderTokens is how many different valid provider tokens were accepted.
func (a *Service) ProviderTokens() int { return locked(a, func() int { return len(a.tokens) }) }

func locked[T any](a *Service, get func() T) T {
	a.mu.Lock()
	defer a.mu.Unlock()
	return get()
}
