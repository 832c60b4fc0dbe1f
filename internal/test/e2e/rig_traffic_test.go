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

// traffic is a homeserver with many users. Each client sends one notification after another to its own device, and repeats each until it is
// answered with 200, as Synapse does. It records the answers, and the checker compares them with what arrived.
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
	// failed has the requests without an answer.
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

// while sends notifications with all clients until during has returned, and at least one with each.
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
			tr.up.RLock() // waits until a gateway can answer
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

// failures returns the requests without an answer.
func (tr *traffic) failures() (failed []error, answered int) {
	for _, c := range tr.clients {
		failed = append(failed, c.failed...)
	}
	return failed, tr.report().Accepted
}

// check lets the checker compare the homeserver's log with what arrived by now. If a process ended within two seconds after a delivery, it
// may not have recorded it, so the push may have arrived twice.
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
