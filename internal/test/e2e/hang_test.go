package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// hangTime returns how long push services hang. E2E_HANG changes it, for example to 75s.
func hangTime() time.Duration { return envTime("E2E_HANG", 20*time.Second) }

const (
	// beat is the time between two requests for a service that hangs.
	beat = 300 * time.Millisecond
	// noticed is how long the gateway may take to notice it. From then on, every request takes less than prompt.
	noticed = 15 * time.Second
	prompt  = 1200 * time.Millisecond
	// recovery is how long the first delivery may take once the service works again.
	recovery = 15 * time.Second
)

// A review of the gateway found that 116 of 116 requests in 75 s waited for the whole `wait`. Here, all of this happens at the same time:
// FCM hangs, with an outbox and without. One UnifiedPush host hangs, and one never shakes hands, beside fifty that work. And one takes 8 s
// for everything, at 20 pushes a second.
func TestServicesThatHangAreNoticedAndLoseNothing(t *testing.T) {
	t.Parallel()
	const good, withoutOutbox = 50, "FCM hangs, without an outbox"
	fcm, poor, lazy, up := newGoogle(t), newGoogle(t), newGoogle(t), newMany(t, good+1)
	lazy.Answer("", providertest.Answer{Delay: 8 * time.Second, Times: -1})
	silent := newDeafServer(t, "127.0.0.1:0")
	gateway := startGateway(t, durable+fcm.app("org.example.android", "", "wait 2s")+up.app("org.example.up", "wait 2s")+
		lazy.app("org.example.lazy", "", "wait 0"), "matrix_push")
	without := startGateway(t, poor.app("org.example.android", "", "wait 2s"), "matrix_push")
	hs, poorHS := gateway.homeserver(), without.homeserver()

	fcm.Answer("", providertest.Answer{Hang: true, Times: -1})
	poor.Answer("", providertest.Answer{Hang: true, Times: -1})
	up.hangs.Store(true)
	over := time.Now().Add(hangTime())
	var scenes sync.WaitGroup
	run := func(name string, beat time.Duration, send func(i int) reply) *pace {
		p := &pace{t: t, name: name, kept: name != withoutOutbox}
		scenes.Go(func() { p.keep(over, beat, send) })
		return p
	}
	var mu sync.Mutex
	var served, hung []device
	androids := run("FCM hangs", beat, func(i int) reply { return hs.notify(alert("$e", android(fmt.Sprint("a", i)))) })
	poors := run(withoutOutbox, beat, func(i int) reply { return poorHS.notify(alert("$e", android(fmt.Sprint("a", i)))) })
	silents := run("a host never shakes hands", beat, func(i int) reply {
		d := upDevice(fmt.Sprintf("https://127.0.0.1:%s/up/%d", silent.port, i))
		return hs.notify(alert("$e", d))
	})
	hangs := run("a host hangs", beat, func(i int) reply {
		d := up.device("org.example.up", 0, i)
		mu.Lock()
		hung = append(hung, d)
		mu.Unlock()
		return hs.notify(alert("$e", d))
	})
	goods := run("fifty good hosts", 50*time.Millisecond, func(i int) reply {
		d := up.device("org.example.up", 1+i%good, i)
		mu.Lock()
		served = append(served, d)
		mu.Unlock()
		return hs.notify(alert("$e", d))
	})
	slows := run("a service takes 8 s for everything", 50*time.Millisecond, func(i int) reply {
		return hs.notify(alert("$e", androidOf("org.example.lazy", fmt.Sprint("slow", i))))
	})
	scenes.Wait()

	for _, p := range []*pace{androids, silents, hangs, goods, slows} {
		p.check(http.StatusOK, prompt)
	}
	poors.check(http.StatusServiceUnavailable, prompt)
	if goods.slowest > time.Second {
		t.Errorf("a request for a good host took %s", goods.slowest)
	}
	up.once(t, served)
	lazy.once(t, len(slows.replies))
	for _, p := range []*process{gateway, without} { // no breaker opens for the service that is only slow
		if n := strings.Count(p.log.String(), "breaker opened: push service failing"); n != 1 {
			t.Errorf("the opening of a breaker was logged %d times", n)
		}
	}

	recovered := time.Now()
	up.hangs.Store(false)
	fcm.Answer("")
	poor.Answer("")
	messages := fcm.once(t, len(androids.replies))
	first := slices.MinFunc(messages, func(a, b fcmtest.Message) int { return a.Time.Compare(b.Time) })
	if took := first.Time.Sub(recovered); took > recovery {
		t.Errorf("the first delivery came %s after the recovery", took)
	} else {
		t.Logf("the first delivery came %s after the recovery", took)
	}
	up.once(t, hung)
	if took := up.firstOf(hung).Sub(recovered); took > recovery {
		t.Errorf("the first delivery to the host came %s after the recovery", took)
	}
	wantBody(t, poorHS.repeat(alert("$e", android("a0"))), nothingRejected)
}
