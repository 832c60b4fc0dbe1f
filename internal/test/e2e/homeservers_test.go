package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
)

// TestWhatHomeserversPostIsUnderstood replays the corpus to each provider, with the head that each homeserver makes, on connections as it
// keeps them. testdata/homeservers has what the push services got, one line for each target.
func TestWhatHomeserversPostIsUnderstood(t *testing.T) {
	t.Parallel()
	w := newPostal(t)
	for _, request := range corpus.Requests() {
		t.Run(request.Server+"/"+request.What, func(t *testing.T) {
			var got strings.Builder
			for _, to := range targets {
				name := to.deviceOf(t)
				wantBody(t, w.post(t, request.Server, request.For(to.appID, to.register(w, name))), nothingRejected)
				lines := to.got(t, w, name)
				if len(lines) > 1 {
					t.Errorf("%s: %d pushes arrived: %q", to.name, len(lines), lines)
				}
				fmt.Fprintf(&got, "%s: %s\n", to.name, strings.Join(append(lines, "nothing")[:1], ""))
			}
			wantGolden(t, filepath.Join("testdata/homeservers", request.Server, request.What+".golden"), got.String())
		})
	}
}

// TestADeadPushkeyIsToldAsEachHomeserverReadsIt answers each of the corpus's requests by rejecting its pushkey.
func TestADeadPushkeyIsToldAsEachHomeserverReadsIt(t *testing.T) {
	t.Parallel()
	w := newPostal(t)
	for _, request := range corpus.Requests() {
		t.Run(request.Server+"/"+request.What, func(t *testing.T) {
			for _, to := range targets {
				name := to.deviceOf(t)
				pushkey := to.register(w, name)
				to.condemn(w, name)
				r := w.post(t, request.Server, request.For(to.appID, pushkey))
				if len(to.got(t, w, name)) == 0 {
					wantBody(t, r, nothingRejected) // there was nothing to send, so no push service could reject it
					continue
				}
				for range 2 { // the provider's verdict, and the store's
					rejected, err := posters[request.Server].reads(r.Status, []byte(r.Body))
					if err != nil || !slices.Equal(rejected, []string{pushkey}) {
						t.Errorf("%s: %q is read from %d %s: %v", to.name, rejected, r.Status, r.Body, err)
					}
					r = w.post(t, request.Server, request.For(to.appID, pushkey))
				}
				if n := len(to.got(t, w, name)); n != 1 {
					t.Errorf("%s: the push service got %d pushes for a dead device", to.name, n)
				}
			}
		})
	}
}

// I04: the client asks for a push to itself and waits for it, twice.
func TestI04_ATroubleshooterGetsWhatItAskedForEachTime(t *testing.T) {
	t.Parallel()
	w := newPostal(t)
	for _, request := range corpus.Requests() {
		if request.What != "troubleshoot" {
			continue
		}
		t.Run(request.Server, func(t *testing.T) {
			for _, to := range targets {
				name := to.deviceOf(t)
				pushkey := to.register(w, name)
				for n := range 2 {
					wantBody(t, w.post(t, request.Server, request.For(to.appID, pushkey)), nothingRejected)
					lines := to.got(t, w, name)
					if len(lines) != n+1 {
						t.Fatalf("%s: %d pushes arrived, want %d", to.name, len(lines), n+1)
					}
					if !strings.Contains(lines[n], `"event_id":"$THIS_IS_A_FAKE_EVENT_ID"`) {
						t.Errorf("%s: the push does not show which test it is for: %s", to.name, lines[n])
					}
					// The member that only this client sends, and that it compares: https://github.com/element-hq/element-x-android, TestPush.
					if secret := `"cs":"A_FAKE_SECRET"`; request.Server == "element_x_android" && !strings.HasPrefix(to.name, "unifiedpush") &&
						!strings.Contains(lines[n], secret) {
						t.Errorf("%s: %s is not in %s", to.name, secret, lines[n])
					}
				}
				to.condemn(w, name)
				r := w.post(t, request.Server, request.For(to.appID, pushkey))
				if r.Body != rejecting(pushkey) || r.Status != http.StatusOK {
					t.Errorf("%s: it shows %d %s", to.name, r.Status, r.Body)
				}
			}
		})
	}
}
