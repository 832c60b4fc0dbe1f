package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// distinctApps returns how many unknown app_ids are sent: E2E_APPS, or as many as take a few seconds. A million take a minute.
func distinctApps() int { return envNumber("E2E_APPS", 100_000) }

// strangers returns a request for devices of unknown apps, from the nth on. The devices share pushkeys that are too short to be secrets:
// otherwise, the run would search all logs for a million of them.
func strangers(first, count int) string {
	var b strings.Builder
	b.WriteString(`{"notification":{"event_id":"$1","room_id":"!r","devices":[`)
	for i := range count {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"app_id":"org.stranger.app%d","pushkey":"key%d"}`, first+i, i%10)
	}
	b.WriteString(`]}}`)
	return b.String()
}

const perRequest = 100 // the default of max_devices

// strangersFrom sends that many devices of unknown apps, and counts the answers by their status.
func (p *process) strangersFrom(t *testing.T, apps int, right func(status int, body string) bool) {
	t.Helper()
	var next, wrong atomic.Int64
	var senders sync.WaitGroup
	for range 4 {
		client := &http.Client{Transport: p.client(true).Transport.(noting).Transport, Timeout: patience} // notes nothing
		senders.Go(func() {
			for {
				first := int(next.Add(perRequest)) - perRequest
				if first >= apps || wrong.Load() > 0 {
					return
				}
				resp, err := client.Post(p.url(), "application/json", strings.NewReader(strangers(first, perRequest)))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || !right(resp.StatusCode, string(body)) {
					wrong.Add(1)
					t.Errorf("app %d is answered %s %.200s, %v", first, resp.Status, body, err)
				}
			}
		})
	}
	senders.Wait()
}

// Made-up app_ids fill neither the gateway's memory nor its metrics, and don't disturb existing apps.
func TestAMillionMadeUpAppsTakeNoMemory(t *testing.T) {
	t.Parallel()
	apps := distinctApps()
	for _, test := range []struct {
		name, fuse string
		right      func(status int, body string) bool
	}{
		{"they are rejected", "fuse off", func(status int, body string) bool {
			return status == http.StatusOK && strings.Count(body, `"key`) == 10 // each pushkey once
		}},
		// After the fuse has tripped, the answer is 503: a gateway that lost its apps' configuration would see just as many.
		{"the fuse takes them for a mistake", "fuse 50% 10m", func(status int, body string) bool {
			return status == http.StatusServiceUnavailable && strings.Contains(body, "M_UNKNOWN") || status == http.StatusOK && strings.Contains(body, `"key`)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := newPushServer(t)
			gateway := startGateway(t, service.global("rejected memory\n"+test.fuse), "matrix_push")
			hs, endpoint := gateway.homeserver(), service.Endpoint("phone")
			wantBody(t, hs.notify(alert("$before", upDevice(endpoint))), nothingRejected)
			gateway.strangersFrom(t, 10_000, test.right) // allocates what is allocated once
			threads := gateway.footprint()
			before, seriesBefore := gateway.heap()

			gateway.strangersFrom(t, apps, test.right)
			after, series := gateway.heap()
			t.Logf("%d apps: from %.1f to %.1f MiB, from %d to %d series", apps, before/(1<<20), after/(1<<20), seriesBefore, series)
			if after > before+16<<20 { // a hash of each of a million would be as much
				t.Errorf("%d apps take %.1f MiB", apps, (after-before)/(1<<20))
			}
			if series > seriesBefore+20 {
				t.Errorf("%d apps make %d series of metrics out of %d", apps, series, seriesBefore)
			}
			wantBody(t, hs.notify(alert("$after", upDevice(endpoint))), nothingRejected)
			if n := len(service.Messages(endpoint)); n != 2 {
				t.Errorf("%d pushes arrived, want 2", n)
			}
			gateway.returnsTo(threads)
		})
	}
}
