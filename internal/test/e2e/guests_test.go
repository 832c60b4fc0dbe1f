package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A third party's panic in Host once ended the process, and with the push in the outbox, each process after it.
func TestAProviderThatPanicsTakesNothingElseDown(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "app org.example.volcanic {\nvolcanic\nwait 1s\n}\n")
	volcanic, fine := device{AppID: "org.example.volcanic", Pushkey: "key", PushkeyTS: at(1)}, s.phone("fine")
	accepted(t, s.notify("$1", volcanic, fine))
	s.awaitTaken(fine, "$1")
	s.killAndStart() // the outbox has the push that causes the panic
	accepted(t, s.notify("$2", volcanic, fine))
	s.awaitTaken(fine, "$1", "$2")
	for path, want := range map[string]int{"/matrix_push/apps": http.StatusOK, "/metrics": http.StatusOK} {
		if status, answer := s.gateway.adminDo(http.MethodGet, path, ""); status != want {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	s.gateway.wantLogged(`"provider panicked"`) // the log is read from a pipe
	log := s.gateway.log.String()
	if n := strings.Count(log, `"provider panicked"`); n != 1 {
		t.Errorf("the panic was logged %d times", n)
	}
	if !strings.Contains(log, "volcanic)") || strings.Contains(log, "magma") {
		t.Error("the log has no stack, or what it panicked with")
	}
}

// A Push that ignores its context delays the end of the process by the grace period at most, which is 10 s in these tests.
func TestAProviderThatNeverReturnsDoesNotKeepTheProcessAlive(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t, durable+"app org.example.stubborn {\nstubborn\nwait 100ms\n}\n", "matrix_push")
	accepted(t, gateway.homeserver().notify(alert("$1", device{AppID: "org.example.stubborn", Pushkey: "key", PushkeyTS: at(1)})))
	start := time.Now()
	gateway.terminate() // which waits for the end of the process, and otherwise fails the test
	if took := time.Since(start); took < 5*time.Second || took > 20*time.Second {
		t.Errorf("it ended after %s, and the grace period is 10 s", took)
	}
}
