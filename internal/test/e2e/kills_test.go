package e2e

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"
)

// kills returns how often the gateway is killed. E2E_KILLS changes it.
func kills() int { return envNumber("E2E_KILLS", 4) }

// TestKillsLoseNothing lets 64 users of four homeservers send one event after another to a gateway that is killed again and again. Each
// push server behind it is down half of the time. The checker verifies that nothing is lost, and that a push arrives twice only if the
// gateway could not know of its delivery. E2E_SEED repeats the moments of the kills, but not everything that happens then.
func TestKillsLoseNothing(t *testing.T) {
	seed := envSeed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newSafeScene(t, "rejected file {dir}/rejected.db\noutbox file {dir}/outbox.db {\nmax_per_device 40\n}\n")
	w := newWeather(s.unreliable)
	var homeservers []*homeserver
	for range killHomeservers {
		homeservers = append(homeservers, s.gateway.homeserver())
	}
	users := newUsers(w, homeservers)

	end := w.begin(users, seed)
	for range kills() {
		<-time.After(time.Duration(700+random.IntN(1300)) * time.Millisecond) // the moment is random
		s.kill()
		s.gateway.start(s.config)
	}
	<-time.After(time.Second)
	end()
	s.reload()
	report := s.drained()
	logReport(t, report)
	if least := killClients * kills() / 4; report.Taken < least || report.Kills != kills() {
		t.Errorf("%d events arrived, want at least %d", report.Taken, least)
	}
}

// If only a part of a request was kept or delivered, the answer is 503. Neither a kill nor the repetition doubles anything.
func TestOfARequestThatFailedInPartOnlyTheRestIsRepeatedAfterAKill(t *testing.T) {
	t.Parallel()
	for _, appID := range []string{"org.example.soon", "org.example.async"} {
		t.Run(appID, func(t *testing.T) {
			t.Parallel()
			s := newSafeScene(t, "rejected file {dir}/rejected.db\noutbox file {dir}/outbox.db {\nmax_per_device 1\n}\n")
			got, full, other := s.phoneOf(appID, "got"), s.phoneOf(appID, "full"), s.phoneOf("org.example.async", "other")
			s.set(behaviour{status: http.StatusServiceUnavailable}, full, other)
			accepted(t, s.notify("$0", full))
			wantUnavailable(t, s.notify("$1", got, full))
			// The next commit writes down that the push was delivered. It has happened once the outbox is empty. An accepted push is
			// written down before the request is answered.
			s.await("got has room", func() bool { return s.notify("$2", got).Status == http.StatusOK })
			s.await("$2 arrived", func() bool { return slices.Contains(s.taken(got), "$2") })
			accepted(t, s.notify("$other", other))

			s.killAndStart()
			s.set(behaviour{}, full, other)
			s.await("the rest is accepted", func() bool { return s.notify("$1", got, full).Status == http.StatusOK })
			s.awaitTaken(full, "$0", "$1")
			s.drained()
			if n := len(slices.DeleteFunc(s.taken(got), func(event string) bool { return event != "$1" })); n != 1 {
				t.Errorf("a push that was delivered before the kill arrived %d times", n)
			}
		})
	}
}
