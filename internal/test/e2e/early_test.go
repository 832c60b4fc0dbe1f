package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// With apns' default wait, 0, an undecodable token was once rejected in 0 of 30 answers.
func TestAnUndecodableTokenIsNamedInEachAnswer(t *testing.T) {
	t.Parallel()
	a := newApple(t)
	app := a.app("org.example.ios", "", "wait 0")
	gateway := startGateway(t, durable+app, "matrix_push")
	hs := gateway.homeserver()
	bad, good := device{AppID: "org.example.ios", Pushkey: "not!base64", PushkeyTS: at(1)}, iPhones("org.example.ios", 1)[0]
	for i := range 30 {
		r := hs.notify(alert(fmt.Sprint("$", i), bad, good))
		if r.Status != http.StatusOK || !slices.Equal(r.Rejected, []string{bad.Pushkey}) {
			t.Errorf("answer %d is %d %s", i, r.Status, r.Body)
		}
	}
	a.await(t, func() bool { return len(a.Pushes()) == 30 })
	if _, answer := gateway.adminDo(http.MethodGet, "/matrix_push/rejected", ""); strings.Contains(answer, "pushkey_hash") {
		t.Errorf("the records are %s", answer)
	}
}

// If a failure depends on the gateway's configuration, nobody is rejected. Examples are the quick start's own endpoint, names that are
// not on the internet, and private addresses.
func TestEndpointsThatTheConfigurationDoesNotAllowRejectNobody(t *testing.T) {
	t.Parallel()
	u := newUnreliable(t)
	for _, allow := range []string{"", "allow_private 127.0.0.0/8"} {
		t.Run(allow, func(t *testing.T) {
			t.Parallel()
			gateway := startGateway(t, durable+"app org.example.up {\nunifiedpush {\ntrusted_ca "+u.CAFile+"\nproxy none\n"+allow+"\n}\nwait 2s\n}\n", "matrix_push")
			hs := gateway.homeserver()
			for _, endpoint := range []string{
				"https://localhost:8443/up/demo", "https://ntfy.local/up1", "https://push.internal/up1", "https://ntfy/up1", "https://10.0.0.5/up1",
				"https://[fd00::1]/up1", "https://abcdefghijklmnop.onion/up1", "https://push.home.arpa/up1", "https://127.0.0.1:1/up1", "https://printer.test/up1",
			} {
				accepted(t, hs.notify(alert("$e", upDevice(endpoint))))
			}
			r := hs.notify(alert("$e", upDevice("https://push.invalid/up1"), upDevice("ftp://push.example.org/up1")))
			if len(r.Rejected) != 2 {
				t.Errorf("an unreachable endpoint is answered %s", r.Body)
			}
			if status, answer := gateway.adminDo(http.MethodGet, "/matrix_push/rejected", ""); status != http.StatusOK || strings.Contains(answer, "pushkey_hash") {
				t.Errorf("the records are %s", answer)
			}
		})
	}
}

// A reload without allow_private once dropped all pending pushes.
func TestAReloadThatForgetsAllowPrivateLosesNothing(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	a, b := s.phoneOf("org.example.soon", "a"), s.phoneOf("org.example.soon", "b")
	accepted(t, s.notify("$before", a))
	s.awaitTaken(a, "$before")
	s.set(behaviour{status: http.StatusServiceUnavailable}, a, b)
	accepted(t, s.notify("$pending", b))
	right := s.config
	s.config = strings.ReplaceAll(s.config, "allow_private 127.0.0.0/8\n", "")
	s.reload()
	s.set(behaviour{}, a, b)
	accepted(t, s.notify("$meanwhile", a))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if !s.gateway.log.wait(ctx, `"reason":"blocked"`) {
		t.Error("nothing was blocked")
	}
	s.config = right
	s.reload()
	s.awaitTaken(a, "$before", "$meanwhile")
	s.awaitTaken(b, "$pending")
}

// A suspicion survives a kill, and is shown.
func TestASuspicionOutlivesAKill(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	d := s.phoneOf("org.example.soon", "d")
	s.set(behaviour{status: http.StatusNotFound}, d)
	accepted(t, s.notify("$1", d))
	first := s.suspicion(d)
	if first.Looks != 1 || first.Since == "" {
		t.Fatalf("the suspicion is %+v", first)
	}
	s.killAndStart()
	if again := s.suspicion(d); again.Since != first.Since {
		t.Errorf("after the kill it is %+v, and was %+v", again, first)
	}
	accepted(t, s.notify("$2", d)) // pending, behind the first
	if printed := s.gateway.running("", "rejected", "explain", "--app-id", d.AppID, "--pushkey", d.Pushkey); !strings.Contains(printed.out, "suspected") {
		t.Errorf("explain prints %s", printed.out)
	}
	if printed := s.gateway.running("", "status"); !strings.Contains(printed.out, "suspected") {
		t.Errorf("status prints %s", printed.out)
	}
	s.set(behaviour{}, d)
	s.reload() // all pending pushes are retried at once
	s.awaitTaken(d, "$1", "$2")
	for deadline := time.Now().Add(patience); s.suspicion(d).Since != ""; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the suspicion is %+v after a delivery", s.suspicion(d))
		}
	}
}

type suspicion struct {
	Since  string `json:"since"`
	Looks  int    `json:"looks"`
	LookAt string `json:"look_at"`
}

// suspicion returns the suspicion that is on record for a device.
func (s *safeScene) suspicion(d device) suspicion {
	s.t.Helper()
	_, answer := s.gateway.adminDo(http.MethodPost, "/matrix_push/rejected/explain", fmt.Sprintf(`{"app_id":%q,"pushkey":%q}`, d.AppID, d.Pushkey))
	var explained struct {
		Record struct{ Suspicion suspicion }
	}
	if err := json.Unmarshal([]byte(answer), &explained); err != nil {
		s.t.Fatalf("%v: %s", err, answer)
	}
	return explained.Record.Suspicion
}
