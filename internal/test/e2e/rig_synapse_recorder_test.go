package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// recorder is in place of a gateway. It keeps what Synapse sends about events, and accepts it.
type recorder struct {
	t        *testing.T
	url      string
	arriving chan recorded
	arrived  []recorded
}

// recorded is a notification with its only device.
type recorded struct {
	notification, device map[string]any
}

func newRecorder(t *testing.T, hs *synapse) *recorder {
	t.Helper()
	r := &recorder{t: t, arriving: make(chan recorded, 1000)}
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{hs.ca.Certificate(t, "localhost")}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.url = "https://localhost:" + port + "/_matrix/push/v1/notify"
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var body struct{ Notification map[string]any }
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
		r.t.Errorf("Synapse sends no JSON: %v", err)
	}
	devices, _ := body.Notification["devices"].([]any)
	if len(devices) == 1 && body.Notification["event_id"] != nil { // the others are badge updates
		device, _ := devices[0].(map[string]any)
		r.arriving <- recorded{body.Notification, device}
	}
	_, _ = io.WriteString(w, `{"rejected":[]}`)
}

// pusher registers a pusher of the user with the recorder.
func (r *recorder) pusher(u *matrixUser, appID string, data map[string]any) {
	r.t.Helper()
	u.push(device{AppID: appID, Pushkey: "https://push.example.org/" + rand.Text(), Data: data}, r.url)
}

// about waits for the notification of a device about an event.
func (r *recorder) about(appID, eventID string) recorded {
	r.t.Helper()
	late := time.After(patience)
	for n := 0; ; n++ {
		if n == len(r.arrived) {
			select {
			case next := <-r.arriving:
				r.arrived = append(r.arrived, next)
			case <-late:
				r.t.Fatalf("Synapse sends nothing to %s about an event", appID)
			}
		}
		if got := r.arrived[n]; got.device["app_id"] == appID && got.notification["event_id"] == eventID {
			return got
		}
	}
}
