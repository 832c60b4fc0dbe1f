package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	killHomeservers = 4
	killClients     = 64
)

// weather gives half of the push servers a fault at any time.
type weather struct {
	*unreliable
	mu      sync.Mutex
	devices []device
	dying   map[string]bool // by pushkey
	some    func(random *rand.Rand, slot <-chan struct{}) behaviour
}

func newWeather(u *unreliable) *weather {
	return &weather{unreliable: u, dying: make(map[string]bool), some: someBehaviour}
}

// change changes the behaviour of each device's server from time to time, until over. Then all servers work.
func (w *weather) change(random *rand.Rand, over <-chan struct{}) {
	for {
		slot := make(chan struct{})
		w.mu.Lock()
		for _, d := range w.devices {
			if !w.dying[d.Pushkey] {
				w.set(w.some(random, slot), d)
			}
		}
		w.mu.Unlock()
		select {
		case <-time.After(100*time.Millisecond + rand.N(200*time.Millisecond)):
			close(slot)
		case <-over:
			w.mu.Lock()
			defer w.mu.Unlock()
			w.set(behaviour{}, w.devices...)
			clear(w.dying)
			close(slot)
			return
		}
	}
}

// begin lets users send in the weather, until the test ends it.
func (w *weather) begin(users []*user, seed uint64) (end func()) {
	var over atomic.Bool
	var running sync.WaitGroup
	for _, u := range users {
		running.Go(func() { u.live(&over) })
	}
	changing := make(chan struct{})
	running.Go(func() { w.change(rand.New(rand.NewPCG(seed, 1)), changing) })
	return func() {
		close(changing)
		over.Store(true)
		running.Wait()
	}
}

func someBehaviour(random *rand.Rand, slot <-chan struct{}) behaviour {
	switch n := random.IntN(100); {
	case n < 48:
		return behaviour{}
	case n < 50:
		return behaviour{cut: true}
	case n < 70:
		return behaviour{status: http.StatusServiceUnavailable}
	case n < 80:
		return hasToWait
	case n < 90:
		return behaviour{dropped: true}
	default:
		return behaviour{until: slot}
	}
}

// die makes a device's pushkey dead. revive makes it live again, as a new registration does.
func (w *weather) die(d device) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dying[d.Pushkey] = true
	w.set(behaviour{status: http.StatusGone}, d)
}

func (w *weather) revive(d device) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.dying, d.Pushkey)
	w.set(behaviour{}, d)
}

// user is a user with one or two devices. The homeserver sends one event after another, and repeats each until it is answered with 200. It
// drops a rejected pusher, and the client registers again.
type user struct {
	fate
	t       *testing.T
	number  int
	pause   time.Duration // between events, because people are slower than machines
	endures time.Duration // how long an event may stay without a 200
	hs      *homeserver
	devices []device
}

// fate is what happens to users' devices.
type fate interface {
	try(hs *homeserver, event, body string, devices ...device) (reply, error)
	die(d device)
	revive(d device)
}

func newUsers(w *weather, homeservers []*homeserver) (users []*user) {
	for _, hs := range homeservers {
		for range killClients / len(homeservers) {
			u := &user{fate: w, t: w.t, number: len(users), pause: 10 * time.Millisecond, endures: 2 * patience, hs: hs}
			apps := [][]string{{"org.example.soon"}, {"org.example.async"}, {"org.example.async"}, {"org.example.soon", "org.example.async"}}
			for i, appID := range apps[u.number%len(apps)] {
				u.devices = append(u.devices, w.phoneOf(appID, fmt.Sprintf("user%d-%d", u.number, i)))
			}
			w.devices = append(w.devices, u.devices...)
			users = append(users, u)
		}
	}
	return users
}

func (u *user) live(over *atomic.Bool) {
	for n := 1; !over.Load(); n++ {
		if u.number%3 == 0 && n%25 == u.number%25 {
			u.die(u.devices[0])
		}
		if !u.send(fmt.Sprintf("$%d-%d", u.number, n)) {
			return
		}
		<-time.After(u.pause)
	}
}

// send sends an event until it is answered with 200.
func (u *user) send(event string) bool {
	body := alert(event, u.devices...)
	pause := 30 * time.Millisecond
	for start, n := time.Now(), 0; time.Since(start) < u.endures; n++ {
		if n == 100 { // a long outage: repeat less often
			pause = 500 * time.Millisecond
		}
		r, err := u.try(u.hs, event, body, slices.Clone(u.devices)...)
		switch {
		case err != nil, r.Status == http.StatusServiceUnavailable:
			<-time.After(pause)
			continue
		case r.Status != http.StatusOK:
			u.t.Errorf("%s was answered %d %s", event, r.Status, r.Body)
			return false
		}
		for i, d := range u.devices {
			if slices.Contains(r.Rejected, d.Pushkey) {
				u.revive(d)
				u.devices[i] = registered(d, at(*d.PushkeyTS+1))
			}
		}
		return true
	}
	u.t.Errorf("%s was never answered with 200", event)
	return false
}
