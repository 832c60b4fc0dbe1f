package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// One request can make the gateway send and answer only a limited amount.

// requestsAt counts the requests at all of a push service's endpoints, and the bytes of their bodies.
func requestsAt(service *pushServer, endpoints []string) (requests, largest int) {
	for _, endpoint := range endpoints {
		messages := service.Messages(endpoint)
		requests += len(messages)
		for _, m := range messages {
			largest = max(largest, m.Size)
		}
	}
	return requests, largest
}

func TestOneRequestCausesAtMostOnePushForEachOfItsDevices(t *testing.T) {
	t.Parallel()
	const maxDevices = 20
	s := newScene(t, fmt.Sprintf("max_devices %d", maxDevices), "matrix_push")
	for i, tt := range []struct {
		name string
		// device returns the nth device of the request.
		device func(n int, endpoint string) device
		eventless,
		badge bool
		devices, endpoints, want int
	}{
		{"as many as there may be", func(_ int, endpoint string) device { return upDevice(endpoint) }, false, false, maxDevices, maxDevices, maxDevices},
		{"one too many", func(_ int, endpoint string) device { return upDevice(endpoint) }, false, false, maxDevices + 1, maxDevices + 1, 0},
		{"the same one again and again", func(_ int, endpoint string) device { return upDevice(endpoint) }, false, false, maxDevices, 1, 1},
		{"the same one again and again, and no event", func(_ int, endpoint string) device { return upDevice(endpoint) }, true, false, maxDevices, 1, 1},
		{"the same one again and again, and a badge", func(_ int, endpoint string) device { return upDevice(endpoint) }, true, true, maxDevices, 1, 1},
		{"the same one with other times", func(n int, endpoint string) device {
			d := upDevice(endpoint)
			d.PushkeyTS = at(int64(n))
			return d
		}, false, false, maxDevices, 1, 1},
		{"the same one with other tweaks", func(n int, endpoint string) device {
			d := upDevice(endpoint)
			d.Tweaks = map[string]any{"sound": fmt.Sprint(n)}
			return d
		}, false, false, maxDevices, 1, 1},
		{"the same one with other data", func(n int, endpoint string) device { // two accounts on one device
			d := upDevice(endpoint)
			d.Data = map[string]any{"n": n}
			return d
		}, false, false, maxDevices, 1, maxDevices},
	} {
		var endpoints []string
		for n := range tt.endpoints {
			endpoints = append(endpoints, s.service.Endpoint(fmt.Sprintf("%d-%d", i, n)))
		}
		var devices []device
		for n := range tt.devices {
			devices = append(devices, tt.device(n, endpoints[n%tt.endpoints]))
		}
		body := alert(fmt.Sprint("$", i), devices...)
		switch {
		case tt.badge:
			body = badge(1, devices...)
		case tt.eventless:
			body = compose(map[string]any{"room_id": "!room:hs.test"}, devices)
		}
		if r := s.hs.notify(body); (r.Status == http.StatusOK) != (tt.want > 0) {
			t.Errorf("%s: answered %d %s", tt.name, r.Status, r.Body)
		}
		if got, _ := requestsAt(s.service, endpoints); got != tt.want {
			t.Errorf("%s: %d pushes, want %d", tt.name, got, tt.want)
		}
	}
}

func TestAPushIsNoLargerThanPushServersTakeWhateverTheRequest(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	const most = 4096
	for _, name := range []string{"event_id", "room_id", "sender", "room_name", "type", "content", "ciphertext"} {
		for _, filler := range []string{"a", "\x01", "\U0001f680"} {
			for _, length := range []int{most - 200, 30_000} {
				long := strings.Repeat(filler, length/len(filler))
				notification := map[string]any{"event_id": "$1", "room_id": "!room:hs.test", name: long}
				if name == "content" {
					notification[name] = map[string]any{"body": long}
				}
				sub, keys := s.service.Subscribe(), s.service.Subscribe()
				encrypted := upDevice(keys.Endpoint)
				encrypted.Data = map[string]any{"p256dh": keys.P256dh, "auth": keys.Auth}
				endpoints := []string{s.service.Endpoint(fmt.Sprint(name, filler, length)), sub.Endpoint, keys.Endpoint}
				r := s.hs.notify(compose(notification, []device{upDevice(endpoints[0]), webPushDevice(sub), encrypted}))
				if requests, largest := requestsAt(s.service, endpoints); r.Status != http.StatusOK || requests > len(endpoints) || largest > most {
					t.Errorf("%s of %d times %q: %d, %d pushes, the largest of %d bytes", name, length, filler, r.Status, requests, largest)
				}
			}
		}
	}
}

// Nobody can make the gateway send a large answer to somebody else by giving that party's address as their own.
func TestTheAnswerIsNoLargerThanTheRequest(t *testing.T) {
	t.Parallel()
	s := newScene(t, "max_devices 100", "matrix_push")
	for _, filler := range []string{"a", "<", "&", "\u2028", "\u007f", "ü", `\"`, `\\`, `\/`, `\u0001`, `\ud800`, `\"<<<<<<<<<`, "\\n\u2028\u2029&>"} {
		for _, devices := range []int{1, 100} {
			var list []string
			for n := range devices {
				list = append(list, fmt.Sprintf(`{"app_id":"org.example.up","pushkey":"%d%s"}`, n, strings.Repeat(filler, 40_000/devices/len(filler))))
			}
			body := `{"notification":{"event_id":"$1","devices":[` + strings.Join(list, ",") + `]}}`
			r := s.hs.notify(body)
			if r.Status != http.StatusOK || len(r.Rejected) != devices || len(r.Body) > len(body) {
				t.Errorf("%d pushkeys of %q: %d, %d rejected, in %d bytes for the request's %d", devices, filler, r.Status, len(r.Rejected), len(r.Body), len(body))
			}
		}
	}
	for name, body := range map[string]string{
		"an event_id that is not a string": `{"notification":{"event_id":` + strings.Repeat("[", 50_000) + `}}`,
		"a type that is wrong":             `{"notification":{"devices":"` + strings.Repeat("x", 50_000) + `"}}`,
		"a long name":                      `{"notification":{"` + strings.Repeat("x", 50_000) + `":1,"devices":[{"app_id":1}]}}`,
		"invalid JSON":                     strings.Repeat("<", 50_000),
		"much too much":                    strings.Repeat(" ", 300<<10),
	} {
		if r := s.hs.notify(body); r.Status < 400 || len(r.Body) > 512 {
			t.Errorf("%s: answered %d with %d bytes", name, r.Status, len(r.Body))
		}
	}
}

// However often a push is retried, its time runs out at some point. So a notification costs a failing push server a limited number of
// requests. The breaker limits them for all pushes to a host together.
func TestANotificationIsTriedABoundedNumberOfTimes(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, "rejected memory\noutbox file\n"+service.moreUp("org.example.calls", "wait 0\nttl 4s"), "matrix_push")
	endpoint := service.Endpoint("phone")
	service.Answer(endpoint, providertest.Answer{Status: http.StatusInternalServerError})
	hs := gateway.homeserver()
	d := device{AppID: "org.example.calls", Pushkey: endpoint}
	const repetitions, most = 20, 10 // how many failures the breaker allows
	for range repetitions {          // by a homeserver, of the same event: they add nothing
		wantBody(t, hs.notify(alert("$1", d)), nothingRejected)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if !gateway.log.wait(ctx, `"reason":"expired"`) {
		t.Fatalf("the push is never given up:\n%s", gateway.log)
	}
	all, _ := gateway.scrape()
	if n := all.total("outbox_entries"); n != 0 {
		t.Errorf("%v entries are pending", n)
	}
	messages := service.Messages(endpoint)
	if n := len(messages); n == 0 || n > most {
		t.Errorf("%d requests, want at most %d", n, most)
	}
	for _, m := range messages {
		var body map[string]any
		if err := json.Unmarshal(m.Body, &body); err != nil || m.TTL > 4 {
			t.Errorf("the push has a TTL of %d, and is %s", m.TTL, m.Body)
		}
	}
	t.Logf("%d requests in 4 s", len(messages))
}
