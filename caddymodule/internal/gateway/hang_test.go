package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// hanging is a provider whose service accepts requests and never answers, until it recovers: then it answers new ones.
type hanging struct {
	*scripted
	recovered atomic.Bool
	first     atomic.Pointer[time.Time] // delivery
}

func newHanging(hangs func(*providers.Push) bool) *hanging {
	h := &hanging{}
	h.scripted = &scripted{script: func(ctx context.Context, p *providers.Push) providers.Outcome {
		if hangs(p) && !h.recovered.Load() {
			<-ctx.Done()
			return providers.Unreachable("timeout", ctx.Err())
		}
		if h.recovered.Load() {
			now := time.Now()
			h.first.CompareAndSwap(nil, &now)
		}
		return providers.Delivered()
	}}
	return h
}

// requests sends one request each 300 ms, each to another device. It returns when each began and how long it took.
func requests(r *rig, n int, name func(i int) string) (began, took []time.Duration, answers []string) {
	start := time.Now()
	began, took, answers = make([]time.Duration, n), make([]time.Duration, n), make([]string, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			at := time.Now()
			answers[i] = r.notify(event(fmt.Sprint("$", i), device(name(i))))
			began[i], took[i] = at.Sub(start), time.Since(at)
		})
		time.Sleep(300 * time.Millisecond)
	}
	group.Wait()
	return began, took, answers
}

func everyPush(*providers.Push) bool { return true }

// From a review: 116 of 116 requests within 75 s took the whole wait.
func TestAServiceThatNeverAnswersIsLeftAloneAfterAFewSeconds(t *testing.T) {
	t.Parallel()
	for name, keeps := range map[string]bool{"with an outbox": true, "without one": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newHanging(everyPush)
				app := appFor("app", p)
				app.Wait = 2 * time.Second
				r := newRig(t, app)
				if keeps {
					r, _ = keeping(t, app)
				}
				began, took, answers := requests(r, 250, func(i int) string { return fmt.Sprint("key", i) })
				for i := range took {
					if limit := app.Wait + time.Second; took[i] > limit {
						t.Errorf("request %d took %s", i, took[i])
					}
					if began[i] >= 15*time.Second && took[i] > 1200*time.Millisecond {
						t.Errorf("the request %s after the beginning took %s", began[i], took[i])
					}
					if accepted := answers[i] == "[]"; accepted != keeps {
						t.Errorf("request %d was answered %s", i, answers[i])
					}
				}
				if !slices.Equal(r.saw.seen(), []string{"breaker opened: app ", "app fails: app timeout "}) {
					t.Errorf("the observer saw %q", r.saw.seen())
				}
				recovered := time.Now()
				p.recovered.Store(true)
				if !keeps { // the homeserver sends them again
					time.Sleep(breakerPause)
					wantLine(t, r.notify(event("$0", device("key0"))), `[]`)
					return
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if first := p.first.Load(); first == nil || first.Sub(recovered) > 15*time.Second {
					t.Errorf("the first delivery came at %v, and the service recovered at %v", first, recovered)
				}
				for i := range 250 {
					if got := p.delivered(fmt.Sprint("key", i)); got != 1 {
						t.Errorf("key%d was delivered to %d times", i, got)
					}
				}
			})
		})
	}
}

// delivered returns how often a device was delivered to after the service recovered. Before, everything hung.
func (h *hanging) delivered(pushkey string) (n int) {
	first := h.first.Load()
	for _, p := range h.asked() {
		if p.Device.Pushkey == pushkey && first != nil && !h.began(p).Before(*first) {
			n++
		}
	}
	return n
}

func TestAHostThatNeverAnswersCostsTheOthersNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newHanging(func(p *providers.Push) bool { return strings.HasPrefix(p.Device.Pushkey, "bad") })
		app := appFor("app", byHost{p})
		app.Wait = 2 * time.Second
		r, _ := keeping(t, app)
		var slow atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 750 { // one each 100 ms
				at := time.Now()
				wantLine(t, r.notify(event(fmt.Sprint("$good", i), device(fmt.Sprintf("good%d/%d", i%50, i)))), `[]`)
				slow.Store(max(slow.Load(), int64(time.Since(at))))
				time.Sleep(100 * time.Millisecond)
			}
		}()
		began, took, _ := requests(r, 250, func(i int) string { return fmt.Sprint("bad/", i) })
		<-done
		for i := range took {
			if began[i] >= 15*time.Second && took[i] > 1200*time.Millisecond {
				t.Errorf("the request %s after the beginning took %s", began[i], took[i])
			}
		}
		if most := time.Duration(slow.Load()); most > 0 {
			t.Errorf("a request for another host took %s", most)
		}
		if s := r.Status(t.Context())[0]; s.Breaker != "" || s.OpenHosts != 1 || s.Failing != nil {
			t.Errorf("the status is %+v", s)
		}
		p.recovered.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if depths, _, _ := r.depths(t.Context()); len(depths) != 0 {
			t.Errorf("pending are %+v", depths)
		}
	})
}

// byHost is a provider whose devices' pushkeys begin with their hosts.
type byHost struct{ providers.Provider }

func (byHost) Host(d *providers.Device) string {
	host, _, _ := strings.Cut(d.Pushkey, "/")
	return host
}

func TestAServiceThatIsOnlySlowIsNotLeftAlone(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]string{"the app's": "", "a host of the devices'": "slow"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var p providers.Provider = after(8*time.Second, providers.Delivered())
				asked := p.(*scripted)
				if host != "" {
					p = byHost{p}
				}
				app := appFor("app", p)
				app.Wait = 0
				r, _ := keeping(t, app)
				const pushes = 5 * 60 // 5 a second: a host has 64 slots
				for i := range pushes {
					wantLine(t, r.notify(event(fmt.Sprint("$", i), device(fmt.Sprint(host, "/", i)))), `[]`)
					time.Sleep(200 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				wantPushes(t, asked, pushes)
				if len(r.saw.seen()) > 0 {
					t.Errorf("the observer saw %q", r.saw.seen())
				}
			})
		})
	}
}

// From a review: one trip was reported 40 times.
func TestATripIsReportedOnceHoweverManyAttemptsAreUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", after(time.Second, providers.Retry("unavailable", 0, nil))))
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() { r.notify(event("$e", device(fmt.Sprint(i)))) })
		}
		group.Wait()
		if !slices.Equal(r.saw.seen(), []string{"breaker opened: app "}) {
			t.Errorf("the observer saw %q", r.saw.seen())
		}
	})
}

// A trial that begins just before a service recovers hangs until its deadline. That must not delay the device for minutes, also if the
// delivery to another device has made the host known in the meantime.
func TestWhatHungUntilTheRecoveryIsTriedSoonAfter(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]string{"the app's": "", "a host of the devices'": "hangs"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newHanging(everyPush)
				app, soon := appFor("app", p), firstBackoff
				if host != "" {
					app, soon = appFor("app", byHost{p}), firstUnproven
				}
				app.Wait = time.Second
				r, _ := keeping(t, app)
				r.Jitter = func(d time.Duration) time.Duration { return d - 1 }
				const devices = 12
				for i := range devices {
					wantLine(t, r.notify(event("$e", device(fmt.Sprint(host, "/", i)))), `[]`)
				}
				time.Sleep(3 * time.Hour) // each device was tried often
				p.recovered.Store(true)
				time.Sleep(attemptTimeout + breakerPause + soon)
				synctest.Wait()
				for i := range devices {
					if n := p.delivered(fmt.Sprint(host, "/", i)); n != 1 {
						t.Errorf("device %d got %d pushes", i, n)
					}
				}
				if depths, _, _ := r.depths(t.Context()); len(depths) != 0 {
					t.Errorf("pending are %+v", depths)
				}
			})
		})
	}
}

func TestTimeOutsOfBeforeTheRecoveryDoNotOpenTheBreakerAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newHanging(everyPush)
		app := appFor("app", p)
		app.Limit = limit.NewFair(512, 512)
		r, _ := keeping(t, app)
		for i := range 100 { // all hang at once
			go r.notify(event("$hangs", device(fmt.Sprint("hangs", i))))
		}
		time.Sleep(11 * time.Second)
		r.notify(event("$opens", device("opens")))
		p.recovered.Store(true)
		time.Sleep(breakerPause + time.Second)
		synctest.Wait()
		for i := range 30 { // the hundred time out in the meantime
			wantLine(t, r.notify(event(fmt.Sprint("$", i), device("key"))), `[]`)
			time.Sleep(time.Second)
		}
		if want := []string{"breaker opened: app ", "breaker closed: app "}; !slices.Equal(r.saw.seen(), want) {
			t.Errorf("the observer saw %q, want %q", r.saw.seen(), want)
		}
	})
}
