package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// TestTwoGatewaysOnOneRedisLoseNothing lets 64 users of four homeservers send one event after another to two gateways. Each push server
// behind them is down half of the time. One gateway is killed for good. The other one delivers what both had accepted, and after a while
// also what the dead one had in hand. The checker verifies that nothing is lost. A push may arrive twice only if the dead gateway had no
// time to write it down, or if its answer was cut off. E2E_SEED repeats the moment.
func TestTwoGatewaysOnOneRedisLoseNothing(t *testing.T) {
	t.Parallel()
	seed := envSeed(t)
	s := newSharedScene(t, 2, unhurried, "max_per_device 40")
	dying, other := s.gateways[0], s.gateways[1]
	w := newWeather(s.unreliable)
	users := newUsers(w, []*homeserver{s.homeserver(dying, other), s.homeserver(other, dying), s.balanced(), s.balanced()})

	end := w.begin(users, seed)

	// At any moment, the dying gateway has in hand pushes that it accepted, and one that it has not answered for yet. There is one of each
	// app. So once the push server knows that these are cut off, it knows that all the gateway's connections are.
	unanswered := s.phone("unanswered")
	inHand := []device{s.phoneOf("org.example.soon", "soon"), s.phoneOf("org.example.async", "async"), unanswered}
	release := s.hold(inHand...)
	for _, d := range inHand[:2] {
		accepted(t, s.alert(dying.homeserver(), "$in-hand", d))
	}
	var sending sync.WaitGroup
	sending.Go(func() { s.user(s.homeserver(dying, other), unanswered).send("$in-hand") })
	for _, d := range inHand {
		s.arrived(d)
	}
	moment := 500 + rand.New(rand.NewPCG(seed, 0)).IntN(1500)
	<-time.After(time.Duration(moment) * time.Millisecond) // the moment is random
	s.killed(dying.kill)
	killed := time.Now()
	s.killed(func() { // pushes that had arrived by then may still be taken
		for _, d := range inHand {
			s.await("the push server knows that one gateway is gone", func() bool { return s.tried(d) > 0 })
		}
		s.finish()
	})
	release()
	<-time.After(time.Second)
	end()
	sending.Wait()
	report := s.drainedWithin(outbox.LeaseTime + patience)
	logReport(t, report)
	t.Logf("all had arrived %s after one was killed", time.Since(killed).Round(time.Second))
	for _, d := range inHand {
		s.awaitTaken(d, "$in-hand")
	}
	if least := 2 * killClients; report.Taken < least {
		t.Errorf("%d events arrived, want at least %d", report.Taken, least)
	}
}

// While one gateway has an event in hand, the other one lets the homeserver ask again. By then it knows that the event was delivered.
func TestAnEventThatAnotherGatewayHasInHandIsNotDelivered(t *testing.T) {
	t.Parallel()
	s := newSharedScene(t, 2, unhurried, "")
	for i, d := range []device{s.phone("up"), s.phoneOf("org.example.soon", "soon"), s.phoneOf("org.example.async", "async")} {
		release := s.hold(d)
		first, second := s.gateways[i%2].homeserver(), s.gateways[(i+1)%2].homeserver()
		answers := make(chan reply, 1)
		go func() {
			r, _ := s.try(first, "$1", alert("$1", d), d)
			answers <- r
		}()
		s.arrived(d)
		if r := s.alert(second, "$1", d); d.AppID == "org.example.up" {
			wantUnavailable(t, r) // it may be known by now that the others were accepted
		}
		release()
		accepted(t, <-answers)
		s.await("the other gateway knows", func() bool { return s.alert(second, "$1", d).Status == http.StatusOK })
		s.awaitTaken(d, "$1")
	}
	s.drained()
}

func TestTheSameEventForTwoGatewaysAtTheSameMomentIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	const events, phones = 25, 4
	s := newSharedScene(t, 2, unhurried, "")
	var running sync.WaitGroup
	for i := range phones {
		d := s.phone(fmt.Sprint("phone", i))
		running.Go(func() {
			users := []*user{s.user(s.gateways[0].homeserver(), d), s.user(s.gateways[1].homeserver(), d)}
			for n := range events {
				now := make(chan struct{})
				var both sync.WaitGroup
				for _, u := range users {
					both.Go(func() {
						<-now
						u.send(fmt.Sprint("$", n))
					})
				}
				close(now)
				both.Wait()
			}
		})
	}
	running.Wait()
	report := s.drained()
	logReport(t, report)
	if report.Taken != events*phones || report.Pushes != events*phones {
		t.Errorf("%d of %d events arrived, with %d pushes", report.Taken, events*phones, report.Pushes)
	}
	if report.Refused == 0 {
		t.Error("two requests were never there at the same moment")
	}
}

func TestARejectionIsKnownToTheOtherGateway(t *testing.T) {
	t.Parallel()
	s := newSharedScene(t, 2, unhurried, "")
	first, second := s.gateways[0], s.gateways[1]
	for n := range 10 {
		d := s.phone(fmt.Sprint("phone", n))
		s.set(behaviour{status: http.StatusGone}, d)
		wantBody(t, s.alert(first.homeserver(), "$1", d), rejecting(d.Pushkey))
		wantBody(t, s.alert(second.homeserver(), "$2", d), rejecting(d.Pushkey))
		if strings.Contains(second.log.String(), "looking up rejections") && s.tried(d) == 2 {
			t.Log("the machine is too busy: the gateway did not wait for Redis") // once more
			continue
		}
		if n := s.tried(d); n != 1 {
			t.Errorf("the push service was asked %d times", n)
		}
		s.set(behaviour{}, d)
		again := registered(d, at(*d.PushkeyTS+1))
		accepted(t, s.alert(second.homeserver(), "$3", again))
		s.awaitTaken(again, "$3")
		s.drained()
		return
	}
	t.Error("the other gateway never got an answer from Redis")
}

// soonEnough is how long a request may take when Redis is gone.
const soonEnough = 5 * time.Second

// TestRedisGoneInTheMiddle kills Redis while some users' pushes are taken at once, and those of others are pending in it.
func TestRedisGoneInTheMiddle(t *testing.T) {
	t.Parallel()
	const each, sent = 4, 5
	s := newSharedScene(t, 1, "", "")
	hs := s.gateways[0].homeserver()
	var healthy, waiting []device
	for i := range each {
		healthy = append(healthy, s.phone(fmt.Sprint("healthy", i)))
		waiting = append(waiting, s.phoneOf("org.example.soon", fmt.Sprint("soon", i)), s.phoneOf("org.example.async", fmt.Sprint("async", i)))
	}
	s.set(hasToWait, waiting...)
	var over atomic.Bool
	var running sync.WaitGroup
	for _, d := range append(append([]device(nil), healthy...), waiting...) {
		u := s.user(hs, d)
		running.Go(func() {
			for n := 1; !over.Load() && u.send(fmt.Sprint("$", n)); n++ {
				<-time.After(50 * time.Millisecond) // people are slower
			}
		})
	}
	all := func(devices []device, status int, after time.Time) func() bool {
		return func() bool {
			for _, d := range devices {
				if s.answered(d, status, after) < sent {
					return false
				}
			}
			return true
		}
	}
	s.await("the users have sent some events", all(healthy, http.StatusOK, time.Time{}))
	s.await("some events wait", all(waiting, http.StatusOK, time.Time{}))

	s.redis.Kill()
	gone := time.Now()
	s.await("what is taken is answered without Redis", all(healthy, http.StatusOK, gone))
	s.await("what is not taken is refused without Redis", all(waiting, http.StatusServiceUnavailable, gone))
	slow := s.phoneOf("org.example.soon", "slow")
	release := s.hold(slow)
	wantUnavailable(t, s.alert(hs, "$slow", slow))
	release()
	s.user(hs, slow).send("$slow")
	back := time.Now()
	s.redis.Restart()
	s.await("what is taken is answered", all(healthy, http.StatusOK, time.Now()))
	s.await("what is not taken is accepted again", all(waiting, http.StatusOK, back))
	over.Store(true)
	running.Wait()
	s.set(behaviour{}, waiting...)
	report := s.drainedWithin(outbox.LeaseTime + patience)
	logReport(t, report)
	t.Logf("all had arrived %s after Redis was back", time.Since(back).Round(time.Second))
	if report.Taken != report.Events {
		t.Errorf("%d of %d events arrived", report.Taken, report.Events)
	}
	s.judgeWithoutRedis(gone, back, healthy, waiting)
}

// judgeWithoutRedis wants each request answered soon, and nobody rejected. Between two times, requests for the healthy must be answered
// with 200, and requests whose pushes would be pending with 503.
func (s *sharedScene) judgeWithoutRedis(gone, back time.Time, healthy, waiting []device) {
	s.t.Helper()
	wanted := make(map[string]int)
	for _, d := range healthy {
		wanted[d.Pushkey] = http.StatusOK
	}
	for _, d := range waiting {
		wanted[d.Pushkey] = http.StatusServiceUnavailable
	}
	s.evidence.mu.Lock()
	defer s.evidence.mu.Unlock()
	for _, q := range s.requests {
		took := q.Answered.Sub(q.Sent)
		switch name := q.Devices[0].Name; {
		case q.Status == 0:
			s.t.Errorf("%s for %s was not answered", q.Event, name)
		case len(q.Rejected) > 0:
			s.t.Errorf("%s for %s was rejected", q.Event, name)
		case took > soonEnough:
			s.t.Errorf("%s for %s was answered after %s", q.Event, name, took)
		case q.Sent.Before(gone) || q.Answered.After(back):
		case wanted[name] != 0 && q.Status != wanted[name]:
			s.t.Errorf("without Redis, %s for %s was answered %d, want %d", q.Event, name, q.Status, wanted[name])
		}
	}
}

// stalls returns how often Redis stalls. E2E_STALLS changes it.
func stalls() int { return envNumber("E2E_STALLS", 2) }

// TestRedisThatStallsLosesAndDoublesNothing stops Redis again and again for longer than any call may take, with its connections open. So
// the gateway's calls have their effect late. Every other time, the gateway is killed when a stall begins. Each push server is down half of
// the time. Users send one event after another, and send it again if the answer is not 200.
func TestRedisThatStallsLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	s := newSharedScene(t, 1, "", "max_per_device 40")
	gateway := s.gateways[0]
	w := newWeather(s.unreliable)
	var devices []device
	for i := range 16 {
		devices = append(devices, s.phoneOf([]string{"org.example.soon", "org.example.async"}[i%2], fmt.Sprint("phone", i)))
	}
	w.devices = devices
	var over atomic.Bool
	var running sync.WaitGroup
	hs := gateway.homeserver()
	for _, d := range devices {
		u := &user{fate: w, t: t, pause: 50 * time.Millisecond, endures: 4 * patience, hs: hs, devices: []device{d}}
		running.Go(func() {
			for n := 1; !over.Load() && u.send(fmt.Sprint("$", n)); n++ {
				<-time.After(u.pause)
			}
		})
	}
	changing := make(chan struct{})
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	running.Go(func() { w.change(random, changing) })
	for i := range stalls() {
		kills := i%2 == 1
		calm, before := time.Second, 3*time.Second
		if kills {
			// While Redis stalls, the gateway cannot write down what it delivered, and a kill loses that. So the kill comes when the stall
			// before is over and this one has just begun: within the checker's window.
			calm, before = 5*time.Second, 500*time.Millisecond
		}
		<-time.After(calm)
		resume := s.redis.Pause()
		<-time.After(before)
		if kills {
			s.killed(func() {
				gateway.kill()
				s.hangUp()
			})
		}
		<-time.After(outbox.WriteTime + time.Second - before)
		resume()
		if kills {
			gateway.start(s.config)
		}
	}
	<-time.After(2 * time.Second)
	close(changing)
	over.Store(true)
	running.Wait()
	s.set(behaviour{}, devices...)
	// If nobody knows whether earlier pushes of a device are pending, a push may overtake them, because otherwise it might not arrive.
	report := s.drainedWithin(outbox.LeaseTime+patience, checker.Reordered)
	logReport(t, report)
	if least := len(devices) * stalls(); report.Taken < least {
		t.Errorf("%d events arrived, want at least %d", report.Taken, least)
	}
	s.evidence.mu.Lock()
	defer s.evidence.mu.Unlock()
	for _, q := range s.requests {
		if took := q.Answered.Sub(q.Sent); q.Status != 0 && took > 500*time.Millisecond+time.Second+generous {
			t.Errorf("a request took %s", took)
		}
		if len(q.Rejected) > 0 {
			t.Errorf("%s was rejected", q.Devices[0].Name)
		}
	}
}

func TestAGatewayStartsAndReloadsWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	redis, service := redistest.Start(t), newPushServer(t)
	redis.Kill()
	config := func(option string) string {
		return gatewayConfig(service.global("rejected redis "+redis.URL+"\noutbox redis "+redis.URL+"\n"+option), "matrix_push")
	}
	gateway := newProcess(t)
	gateway.start(config(""))
	hs := gateway.homeserver()
	wantBody(t, hs.notify(alert("$down", upDevice(service.Endpoint("a")))), nothingRejected)
	if err := gateway.load(config("max_devices 10")); err != nil {
		t.Fatalf("the reload: %v", err)
	}
	wantBody(t, hs.insist(alert("$reloaded", upDevice(service.Endpoint("a")))), nothingRejected)
	gateway.wantLogged("redis cannot be reached")
	redis.Restart()
	service.Answer("/up/a", answerGone)
	until(t, "the rejection is on record", func() bool { // the client of Redis dials again after a second
		hs.notify(alert("$up", upDevice(service.Endpoint("a"))))
		return strings.Contains(gateway.running("", "rejected", "list").out, "dead")
	})
}
