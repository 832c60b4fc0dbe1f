package apnstest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Push is what a request to APNs asks for.
type Push struct {
	// Time is when its headers arrived.
	Time time.Time
	// Connection is the number of the connection that it came on, from 1.
	Connection int
	// Token is the device token as it stands in the path.
	Token string
	// Topic, PushType, ID and CollapseID are the headers apns-topic, apns-push-type, apns-id and apns-collapse-id; empty if there
	// is none.
	Topic, PushType, ID, CollapseID string
	// Priority is apns-priority; 10 if there is none.
	Priority int
	// Expiration is apns-expiration in seconds since 1970; -1 if there is none.
	Expiration int64
	// Header are all headers but HTTP/2's own.
	Header http.Header
	// Payload is the body, up to what is looked at.
	Payload []byte
}

// Request is one request to APNs, accepted or not.
type Request struct {
	Push
	// Method and Path are HTTP/2's own headers of these names.
	Method, Path string
	// Status is what it was answered. It is 0 if it got no answer, because it was told to get none, the client took it back, or its stream
	// was over the limit.
	Status int
	// Reason is the answer's; empty if it has none.
	Reason string
	// Violations are the rules of Apple's that the request breaks.
	Violations []string
}

// Pushes are those that APNs took, oldest first.
func (a *Service) Pushes() []Push {
	return locked(a, func() []Push { return slices.Clone(a.pushes) })
}

// Requests are all requests that are done with, the refused ones included, oldest first. One that is held is not among them yet.
func (a *Service) Requests() []Request {
	return locked(a, func() []Request { return slices.Clone(a.requests) })
}

// Violations are what was wrong with any request, each with its status and reason.
func (a *Service) Violations() (violations []string) {
	for _, r := range a.Requests() {
		for _, v := range r.Violations {
			violations = append(violations, fmt.Sprintf("%d %s: %s", r.Status, r.Reason, v))
		}
	}
	return violations
}

// Wait returns the next push that APNs took: each once, in order, whether it is there already or still to come.
func (a *Service) Wait(ctx context.Context) (push Push, err error) {
	err = a.Await(ctx, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.waited == len(a.pushes) {
			return false
		}
		push = a.pushes[a.waited]
		a.waited++
		return true
	})
	if err != nil {
		return Push{}, fmt.Errorf("no push arrived: %w", ctx.Err())
	}
	return push, nil
}

// take records a push. The lock is held.
func (a *Service) take(p Push) {
	a.pushes = append(a.pushes, p)
	a.announce()
}

// record records what became of a request. The lock is held.
func (a *Service) record(r *Request) {
	a.requests = append(a.requests, *r)
	a.announce()
}
