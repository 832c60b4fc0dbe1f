package apnstest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// StallHandshakes accepts new TCP connections, but does not answer their TLS handshakes until it is turned off. Then they go on.
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

// SetMaxConcurrentStreams announces another limit on every open connection, and on later ones; 0 allows no streams. With
// OneUntilAuthenticated, a connection keeps its limit of one until it is authenticated. It returns when every client has
// acknowledged the limit or gone away. From then on, streams above the limit are refused.
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
	// The service's own context: a connection that goes away counts, too, so nothing else can be waited for.
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

// GoAway ends every open connection like a server that goes down for maintenance: it finishes requests that arrived, does not
// process later ones, and then closes the connection.
func (a *Service) GoAway() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.conns {
		c.goAway(c.newest)
	}
}

// Unregister makes the service answer pushes to the token with 410 Unregistered from now on. at is when the token became invalid; zero
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

// Await waits until the condition holds. The condition may call any method of the service. It is checked again whenever a connection, a
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
			return fmt.Errorf("APNs did not reach the awaited state: %w", ctx.Err())
		}
	}
}

// Connections returns how many connections were ever made, their TLS handshakes included.
func (a *Service) Connections() int { return locked(a, func() int { return a.connections }) }

// Open returns how many connections are open now.
func (a *Service) Open() int { return locked(a, func() int { return len(a.conns) }) }

// Streams returns how many streams are open now, on all connections together: requests that are under way or held.
func (a *Service) Streams() int {
	return locked(a, func() (n int) {
		for c := range a.conns {
			n += len(c.streams)
		}
		return n
	})
}

// Held returns how many complete requests wait for their answers, on all connections together.
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

// MaxStreams returns the most streams that were ever open at the same time on one connection.
func (a *Service) MaxStreams() int { return locked(a, func() int { return a.maxStreams }) }

// Refused returns how many streams were refused because their client opened more than the limit that it had acknowledged.
func (a *Service) Refused() int { return locked(a, func() int { return a.refused }) }

// ProviderTokens returns how many different valid provider tokens were accepted.
func (a *Service) ProviderTokens() int { return locked(a, func() int { return len(a.tokens) }) }

func locked[T any](a *Service, get func() T) T {
	a.mu.Lock()
	defer a.mu.Unlock()
	return get()
}
