package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// In a review, 20 requests caused 1000 log lines and 1000 events. Each had 50 devices, and every other one was alive. Then only such
// devices trip the fuse.
func TestMadeUpPushkeysCauseNoLinesNoEventsAndCallNobody(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := newProcess(t)
	gateway.start(subscribed(gatewayConfig(service.global("rejected memory\nfuse 50% 10m"), "matrix_push")))
	hs := gateway.homeserver()
	lines := func() int {
		n := 0
		for line := range strings.Lines(gateway.log.String()) {
			if strings.Contains(line, `"logger":"matrix_push"`) && !strings.Contains(line, `"level":"debug"`) {
				n++
			}
		}
		return n
	}
	gateway.wantLogged("opened the stores for rejections and pending pushes") // the last line of the start
	before := lines()
	n := 0
	post := func(requests, devices int, dead func(i int) bool) {
		for range requests {
			var list []device
			for i := range devices {
				d := upDevice(service.Endpoint(fmt.Sprint("made-up-", n)))
				if dead(i) {
					service.Answer(d.Pushkey, answerGone)
				}
				list = append(list, d)
				n++
			}
			if _, err := hs.try(alert("$1", list...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	post(20, 50, func(i int) bool { return i%2 == 1 })
	if caused := lines() - before; caused > 1 { // the fuse's warning, if more dead than living devices are counted first
		t.Errorf("the requests caused %d lines", caused)
	}
	post(20, 50, func(int) bool { return true })
	if f := gateway.fuses()["org.example.up"]; f.Tripped == nil {
		t.Fatalf("the fuse has %+v", f)
	}
	gateway.running("", "status", "--strict").want(t, 0, "tripped for 1 host", "The gateway is ready.")
	if caused := lines() - before; caused == 0 || caused > 2 {
		t.Errorf("with the trip, %d lines, want a warning", caused)
	}
	for _, event := range []string{"pushkey_rejected", "fuse_tripped"} {
		if strings.Contains(gateway.log.String(), `"event":"`+event) {
			t.Errorf("there was an event %s", event)
		}
	}
}
