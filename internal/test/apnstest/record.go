package apnstest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Push is a push as a request to APNs describes it.
type Push struct {
	// Time is when its headers arrived.
	Time time.Time
	// Connection is the number of the connection that it came on, from 1.
	Connection int
	// Token is the device token as it is in the path.
	Token string
	// Topic, PushType, ID and CollapseID are the headers apns-topic, apns-push-type, apns-id and apns-collapse-id; empty without the
	// header.
	Topic, PushType, ID, CollapseID string
	// Priority is apns-priority; 10 without the header.
	Priority int
	// Expiration is apns-expiration in seconds since 1970; -1 without the header.
	Expiration int64
	// Header has all headers except HTTP/2's own.
	Header http.Header
	// Payload is the body, up to maxBodyKept.
	Payload []byte
}

// Request is one request to APNs, accepted or not.
type Request struct {
	Push
	// Method and Path are HTTP/2's own headers of these names.
	Method, Path string
	// Status is the answer's. It is 0 without an answer: none was programmed, the client took the request back, or its stream was over the
	// limit.
	Status int
	// Reason is the answer's; empty if it has none.
	Reason string
	// Violations are Apple's rules that the request breaks.
	Violations []string
}

// Pushes returns the pushes that APNs accepted, oldest first.
func (a *Service) Pushes() []Push {
	return locked(a, func() []Push { return slices.Clone(a.pushes) })
}

// Requests returns all finished requests, including refused ones, oldest first. It does not include held ones.
func (a *Service) Requests() []Request {
	return locked(a, func() []Request { return slices.Clone(a.requests) })
}

// Violations returns the violations of all requests, each with the request's status and reason.
func (a *Service) Violations() (violations []string) {
	for _, r := range a.Requests() {
		for _, v := range r.Violations {
			violations = append(violations, fmt.Sprintf("%d %s: %s", r.Status, r.Reason, v))
		}
	}
	return violations
}

// Wait returns the next push that APNs accepts: each push once, in order, including those that arrived before the call.
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

// record records a request and its result. The lock is held.
func (a *Service) record(r *Request) {
	a.requests = append(a.requests, *r)
	a.announce()
}
