package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

// evidence has the logs of both sides of the gateway, for the checker. A device's name in them is its pushkey.
type evidence struct {
	t *testing.T

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at each change
	requests []checker.Request
	pushes   []checker.Push
	kills    []checker.Kill
}

func newEvidence(t *testing.T) *evidence { return &evidence{t: t, changed: make(chan struct{})} }

// announce wakes those who wait for changes. The lock must be held.
func (v *evidence) announce() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// try posts a body and records the answer. An empty event stands for a badge update.
func (v *evidence) try(hs *homeserver, event, body string, devices ...device) (reply, error) {
	q := checker.Request{Sent: time.Now(), Event: event}
	for _, d := range devices {
		noted := checker.Device{Name: d.Pushkey}
		if d.PushkeyTS != nil {
			noted.PushkeyTS = *d.PushkeyTS
		}
		q.Devices = append(q.Devices, noted)
	}
	r, err := hs.try(body)
	if err == nil {
		q.Answered, q.Status, q.Rejected = time.Now(), r.Status, r.Rejected
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.requests = append(v.requests, q)
	v.announce()
	return r, err
}

// alert sends an alert, and wants an answer.
func (v *evidence) alert(hs *homeserver, event string, devices ...device) reply {
	v.t.Helper()
	r, err := v.try(hs, event, alert(event, devices...), devices...)
	if err != nil {
		v.t.Fatalf("no answer: %v", err)
	}
	return r
}

// pushed records a push.
func (v *evidence) pushed(p checker.Push) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pushes = append(v.pushes, p)
	v.announce()
}

// killed records the end of the process, by end.
func (v *evidence) killed(end func()) {
	k := checker.Kill{Time: time.Now()}
	end()
	k.Ended = time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.kills = append(v.kills, k)
}

// taken returns the events that the push service took for a device, in order.
func (v *evidence) taken(d device) (events []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.pushes {
		if p.Device == d.Pushkey && p.Taken {
			events = append(events, p.Event)
		}
	}
	return events
}

// tried returns how many pushes arrived for a device, taken or not.
func (v *evidence) tried(d device) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.pushes {
		if p.Device == d.Pushkey {
			n++
		}
	}
	return n
}

// await waits until a condition holds. It checks the condition after each change.
func (v *evidence) await(what string, condition func() bool) {
	v.t.Helper()
	if !v.holds(patience, condition) {
		v.t.Fatalf("waited in vain until %s", what)
	}
}

func (v *evidence) holds(patience time.Duration, condition func() bool) bool {
	deadline := time.After(patience)
	for {
		v.mu.Lock()
		changed := v.changed
		v.mu.Unlock()
		if condition() {
			return true
		}
		select {
		case <-changed:
		case <-deadline:
			return false
		}
	}
}

// awaitTaken waits until the push service took exactly these events for a device, in this order.
func (v *evidence) awaitTaken(d device, events ...string) {
	v.t.Helper()
	var got []string
	v.await(d.Pushkey+" got "+strings.Join(events, ", "), func() bool {
		got = v.taken(d)
		return len(got) >= len(events)
	})
	if !slices.Equal(got, events) {
		v.t.Errorf("%q arrived, want %q", got, events)
	}
}

// report lets the checker judge the logs so far, as the files that its program reads. With E2E_LOGS, the files are kept in that folder.
func (v *evidence) report() checker.Report {
	v.t.Helper()
	dir := v.t.TempDir()
	if logs := os.Getenv("E2E_LOGS"); logs != "" {
		dir = filepath.Join(logs, v.t.Name())
		if err := os.MkdirAll(dir, 0o700); err != nil {
			v.t.Fatal(err)
		}
	}
	homeserver, pushes, kills := filepath.Join(dir, "homeserver.jsonl"), filepath.Join(dir, "pushes.jsonl"), filepath.Join(dir, "kills.jsonl")
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, err := range []error{
		checker.WriteFile(homeserver, v.requests), checker.WriteFile(pushes, v.pushes), checker.WriteFile(kills, v.kills),
	} {
		if err != nil {
			v.t.Fatal(err)
		}
	}
	r, err := checker.CheckFiles(homeserver, pushes, kills)
	if err != nil {
		v.t.Fatal(err)
	}
	return r
}

// check fails the test for each finding of the checker, except the excused kinds.
func (v *evidence) check(excused ...checker.Kind) checker.Report {
	v.t.Helper()
	r := v.report()
	r.Findings = slices.DeleteFunc(r.Findings, func(f checker.Finding) bool { return slices.Contains(excused, f.Kind) })
	const most = 20
	for i, f := range r.Findings {
		if i == most {
			v.t.Errorf("and %d more findings", len(r.Findings)-most)
			break
		}
		v.t.Error(f)
	}
	return r
}

// drained waits until all that was accepted has arrived, and checks everything.
func (v *evidence) drained() checker.Report {
	v.t.Helper()
	return v.drainedWithin(patience)
}

// drainedWithin is like drained, for tests that may take longer.
func (v *evidence) drainedWithin(patience time.Duration, excused ...checker.Kind) checker.Report {
	v.t.Helper()
	const pause = 50 * time.Millisecond // checking everything after each push would take most of the time
	_ = v.holds(patience, func() bool {
		<-time.After(pause)
		v.mu.Lock()
		r := checker.Check(slices.Clone(v.requests), slices.Clone(v.pushes), slices.Clone(v.kills))
		v.mu.Unlock()
		return r.Count(checker.Lost) == 0
	})
	return v.check(excused...) // reports what is lost, if anything still is
}

// pushBody is what the checker needs to know about a push in clear text: its event_id, which is empty for a badge update, and its unread
// count.
func pushBody(body []byte) (event string, unread int, err error) {
	var push struct {
		Notification struct {
			EventID string `json:"event_id"`
			Counts  struct {
				Unread int `json:"unread"`
			} `json:"counts"`
		} `json:"notification"`
	}
	err = json.Unmarshal(body, &push)
	return push.Notification.EventID, push.Notification.Counts.Unread, err
}

// wantStatus wants an answer with a status.
func wantStatus(t *testing.T, r reply, status int) {
	t.Helper()
	if r.Status != status {
		t.Errorf("answered %d %s, want %d", r.Status, r.Body, status)
	}
}

// accepted wants a 200 that rejects nothing.
func accepted(t *testing.T, r reply) {
	t.Helper()
	wantStatus(t, r, http.StatusOK)
	if len(r.Rejected) > 0 {
		t.Errorf("rejected: %q", r.Rejected)
	}
}
