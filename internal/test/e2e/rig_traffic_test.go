package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

// traffic is a homeserver with many users: each client sends one notification after another to a device of its own, and repeats
// one until it is answered with 200, as Synapse does. What was answered is evidence, for the checker to hold against what arrived.
type traffic struct {
	t       *testing.T
	service *pushServer
	clients []*trafficClient
	*evidence

	// up is held for writing while nothing can answer.
	up sync.RWMutex
}

type trafficClient struct {
	hs       *homeserver
	endpoint string
	sent     int
	// failed are the requests that got no answer.
	failed []error
}

func newTraffic(t *testing.T, service *pushServer, url string, newClient func() *http.Client, clients int) *traffic {
	tr := &traffic{t: t, service: service, evidence: newEvidence(t)}
	for i := range clients {
		tr.clients = append(tr.clients, &trafficClient{
			hs:       &homeserver{t: t, client: newClient(), url: url},
			endpoint: service.Endpoint(fmt.Sprintf("client-%d", i)),
		})
	}
	return tr
}

// while sends notifications on all clients until during has returned, and at least one on each.
func (tr *traffic) while(during func()) {
	var wg sync.WaitGroup
	var over atomic.Bool
	for i, c := range tr.clients {
		wg.Go(func() {
			for more := true; more; more = !over.Load() {
				tr.sendOne(i, c)
			}
		})
	}
	during()
	over.Store(true)
	wg.Wait()
}

// sendOne sends one notification until it is answered with 200.
func (tr *traffic) sendOne(i int, c *trafficClient) {
	c.sent++
	id := fmt.Sprintf("$%d-%d", i, c.sent)
	d := upDevice(c.endpoint)
	body := alert(id, d)
	for range 10_000 {
		r, err := tr.try(c.hs, id, body, d)
		switch {
		case err != nil:
			if !errors.Is(err, errNotConnected) {
				c.failed = append(c.failed, err)
			}
			tr.up.RLock() // nothing to do until something can answer
			tr.up.RUnlock()
		case r.Status == http.StatusOK:
			return
		case r.Status != http.StatusServiceUnavailable:
			tr.t.Errorf("%s was answered %d %s", id, r.Status, r.Body)
			return
		}
	}
	tr.t.Errorf("%s was never answered with 200", id)
}

// failures are the requests that got no answer.
func (tr *traffic) failures() (failed []error, answered int) {
	for _, c := range tr.clients {
		failed = append(failed, c.failed...)
	}
	return failed, tr.report().Accepted
}

// check has the checker hold the homeserver's log against what arrived by now. What a process had not time to remember may have
// arrived twice, if it ended within two seconds.
func (tr *traffic) check() {
	tr.t.Helper()
	tr.mu.Lock()
	tr.pushes = nil
	for _, c := range tr.clients {
		for _, m := range tr.service.Messages(c.endpoint) {
			id, _, err := pushBody(m.Body)
			if err != nil {
				tr.t.Fatalf("what arrived is not JSON: %v", err)
			}
			tr.pushes = append(tr.pushes, checker.Push{Time: m.Time, Device: c.endpoint, Event: id, Taken: m.Status == http.StatusCreated})
		}
	}
	tr.mu.Unlock()
	if r := tr.evidence.check(); r.Accepted == 0 || r.Taken == 0 {
		tr.t.Error("there was no traffic")
	}
}
