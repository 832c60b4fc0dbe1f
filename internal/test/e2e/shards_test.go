package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestM40_TheNumberOfShardsIsChangedWhilePushesArePending does what docs/redis.md says. Before that, a gateway dies while its pushes are
// pending in several shards.
func TestM40_TheNumberOfShardsIsChangedWhilePushesArePending(t *testing.T) {
	t.Parallel()
	const phones = 8
	s := newSharedScene(t, 2, unhurried, "shards 5")
	dying, other := s.gateways[0], s.gateways[1]
	devices := make([]device, phones)
	for n := range devices {
		devices[n] = s.phoneOf("org.example.async", fmt.Sprint("phone", n))
	}
	down := behaviour{status: http.StatusConflict, retryAfter: "3600"} // until a gateway is asked to retry, or has a new configuration
	pending := func(first, last int) {
		t.Helper()
		for n := first; n <= last; n++ {
			for i, d := range devices {
				accepted(t, s.alert(s.gateways[(n+i)%2].homeserver(), fmt.Sprint("$", n), d))
			}
		}
		s.waitIdle(other, "org.example.async", phones*(last-first+1))
	}

	s.set(down, devices...)
	pending(1, 3)
	s.killed(dying.kill)
	s.set(behaviour{}, devices...)
	other.running("", "outbox", "retry", "--app", "org.example.async").want(t, 0)
	for _, d := range devices {
		s.awaitTaken(d, "$1", "$2", "$3")
	}

	dying.start(s.config)
	s.set(down, devices...)
	pending(4, 5)
	config := strings.Replace(s.config, "shards 5", "shards 3", 1)
	const sentence = "shards: pushes are pending in 5 shards, and the configuration has 3: " +
		"run caddy matrix-push outbox move-shards with the new configuration, and then load it"
	if err := other.load(config); err == nil || !strings.Contains(err.Error(), sentence) {
		t.Errorf("loading another number of shards: %v", err)
	}
	file := filepath.Join(other.dir, "new.Caddyfile")
	if err := os.WriteFile(file, []byte(other.expand(config)), 0o600); err != nil {
		t.Fatal(err)
	}
	other.ask("", "outbox", "move-shards", "--config", file).want(t, 0, " pushes moved. Load the configuration on all gateways now.")

	// The gateways still have the old number. They deliver, and refuse what they cannot deliver in time.
	well := s.phone("well")
	for n, p := range s.gateways {
		accepted(t, s.alert(p.homeserver(), fmt.Sprint("$", n), well))
		wantUnavailable(t, s.alert(p.homeserver(), "$6", devices[0]))
	}
	s.awaitTaken(well, "$0", "$1")

	s.set(behaviour{}, devices...)
	for _, p := range s.gateways {
		if err := p.load(config); err != nil {
			t.Fatal(err)
		}
	}
	for i, d := range devices {
		s.user(s.gateways[i%2].homeserver(), d).send("$6")
	}
	for _, d := range devices {
		s.awaitTaken(d, "$1", "$2", "$3", "$4", "$5", "$6")
	}
	logReport(t, s.drained())
}
