package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// traffic is a homeserver with many users: each client sends one notification after another to a device of its own, and repeats
// one until it is answered with 200, as Synapse does. It logs what was answered, to be held against what arrived.
type traffic struct {
	t       *testing.T
	service *pushServer
	clients []*trafficClient

	// up is held for writing while nothing can answer.
	up sync.RWMutex
	// generation counts the processes that answered.
	generation atomic.Int64
}

type trafficClient struct {
	hs       *homeserver
	endpoint string
	sent     int

	mu     sync.Mutex
	events map[string]*event
}

// event is the homeserver's log of one notification.
type event struct {
	answered bool
	// failures are the requests that got no answer, and cut counts those of them after which another process answered.
	failures []error
	cut      int
}

func newTraffic(t *testing.T, service *pushServer, url string, newClient func() *http.Client, clients int) *traffic {
	tr := &traffic{t: t, service: service}
	for i := range clients {
		tr.clients = append(tr.clients, &trafficClient{
			hs:       &homeserver{t: t, client: newClient(), url: url},
			endpoint: service.Endpoint(fmt.Sprintf("client-%d", i)),
			events:   make(map[string]*event),
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
	e := &event{}
	c.mu.Lock()
	c.events[id] = e
	c.mu.Unlock()
	body := alert(id, upDevice(c.endpoint))
	for range 10_000 {
		generation := tr.generation.Load()
		r, err := c.hs.try(body)
		switch {
		case err != nil:
			if !errors.Is(err, errNotConnected) {
				e.failures = append(e.failures, err)
			}
			tr.up.RLock() // nothing to do until something can answer
			if tr.generation.Load() != generation {
				e.cut++
			}
			tr.up.RUnlock()
		case r.Status == http.StatusOK:
			e.answered = true
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
		for _, e := range c.events {
			failed = append(failed, e.failures...)
			if e.answered {
				answered++
			}
		}
	}
	return failed, answered
}

// check holds the log against what arrived: every answered notification arrived; none twice, but for one whose request was cut off
// by the end of a process, which nothing could know of; and each client's in order.
func (tr *traffic) check() {
	tr.t.Helper()
	for _, c := range tr.clients {
		arrived := make(map[string]int)
		last := 0
		for _, m := range tr.service.Messages(c.endpoint) {
			if m.Status != http.StatusCreated {
				continue // the push service did not take it
			}
			var push struct {
				Notification struct {
					EventID string `json:"event_id"`
				} `json:"notification"`
			}
			if err := json.Unmarshal(m.Body, &push); err != nil {
				tr.t.Fatalf("what arrived is not JSON: %v", err)
			}
			id := push.Notification.EventID
			var client, n int
			if _, err := fmt.Sscanf(id, "$%d-%d", &client, &n); err != nil {
				tr.t.Fatalf("what arrived has the event_id %q", id)
			}
			if arrived[id]++; n < last {
				tr.t.Errorf("%s arrived after number %d", id, last)
			}
			last = n
		}
		for id, e := range c.events {
			switch n := arrived[id]; {
			case n == 0 && e.answered:
				tr.t.Errorf("%s was answered with 200 and is lost", id)
			case n > 1+e.cut:
				tr.t.Errorf("%s arrived %d times; its request was cut off %d times by the end of a process", id, n, e.cut)
			}
		}
	}
}
