package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// TestRandomSequences drives a Caddy process through random steps under traffic and checks after every step: nothing answered is lost,
// nothing arrives twice, order is kept, dead pushkeys stay dead, and living ones do not die. E2E_SEED repeats a run, and
// E2E_STEPS makes it longer.
func TestRandomSequences(t *testing.T) {
	seed := envSeed(t)
	length := envNumber("E2E_STEPS", 2*len(steps))
	w := newWorld(t, rand.New(rand.NewPCG(seed, 0)))
	for i := range length {
		name, step := w.choose()
		w.traffic.while(func() { step(w) })
		t.Logf("step %d: %s", i, name)
		w.check()
		if t.Failed() {
			t.Fatalf("after step %d, %s; E2E_SEED=%d repeats it; the log ends with\n%s", i, name, seed, tail(w.gateway.log.String()))
		}
	}
}

// world is a gateway with its homeserver, its push service, and the state that must stay true.
type world struct {
	t       *testing.T
	random  *rand.Rand
	service *pushServer
	gateway *process
	traffic *traffic

	// config is the configuration that a new process starts with.
	config string
	events int
	// deck has the next steps.
	deck []int
	// dead are the pushkeys that were rejected, and alive is one that was not.
	dead  []device
	alive device
}

func newWorld(t *testing.T, random *rand.Rand) *world {
	w := &world{t: t, random: random, service: newPushServer(t), gateway: newProcess(t)}
	w.config = gatewayConfig(w.service.global("rejected file {dir}/rejected.db"), "matrix_push")
	w.alive = upDevice(w.service.Endpoint("alive"))
	w.gateway.start(w.config)
	client := func() *http.Client { return w.gateway.client(false) }
	w.traffic = newTraffic(t, w.service, w.gateway.url(), client, 8)
	return w
}

var steps = []struct {
	name string
	run  func(*world)
}{
	{"nothing but traffic", func(*world) {}},
	{"a load of a changed configuration", (*world).changedLoad},
	{"a load that is refused", (*world).badLoad},
	{"a load in which another app fails to start", (*world).failedStart},
	{"a change of one value", (*world).oneValue},
	{"a push service that fails for a while", (*world).outage},
	{"a pushkey that dies", (*world).death},
	{"SIGTERM and a new process", func(w *world) { w.restart(w.gateway.terminate) }},
	{"kill and a new process", func(w *world) { w.restart(w.gateway.kill) }},
}

// choose deals the steps like cards, so each comes up once in every round.
func (w *world) choose() (string, func(*world)) {
	if len(w.deck) == 0 {
		w.deck = w.random.Perm(len(steps))
	}
	s := steps[w.deck[0]]
	w.deck = w.deck[1:]
	return s.name, s.run
}

func (w *world) changedLoad() {
	w.config = strings.Replace(w.config, "matrix_push {\n", fmt.Sprintf("matrix_push {\n#%d\n", w.random.Int()), 1)
	waits := []string{"wait 18s", "wait 19s", "wait 20s"}
	for _, old := range waits {
		w.config = strings.ReplaceAll(w.config, old, waits[w.random.IntN(len(waits))])
	}
	if err := w.gateway.load(w.config); err != nil {
		w.t.Errorf("the load fails: %v", err)
	}
}

func (w *world) badLoad() {
	if w.gateway.load(strings.Replace(w.config, "vapid_subject mailto:ops@example.org", "vapid_subject nobody", 1)) == nil {
		w.t.Error("the load succeeds")
	}
}

// failedStart binds the HTTP app to an address that this machine does not have.
func (w *world) failedStart() {
	bad := w.config + "https://other.test:{port2} {\n bind 192.0.2.1\n" + certificate + "\nrespond 200\n}\n"
	if w.gateway.load(bad) == nil {
		w.t.Error("the load succeeds")
	}
}

func (w *world) oneValue() {
	value := fmt.Sprintf(`"%dm"`, 60+w.random.IntN(600))
	if err := w.gateway.set("apps/matrix_push/apps/org.example.up/ttl", value); err != nil {
		w.t.Errorf("the change fails: %v", err)
	}
}

func (w *world) outage() {
	for _, c := range w.traffic.clients {
		w.service.Answer(c.endpoint,
			providertest.Answer{Status: http.StatusServiceUnavailable, Times: 2},
			providertest.Answer{Status: hasToWait.status, Header: http.Header{"Retry-After": {hasToWait.retryAfter}}, Times: 1})
	}
}

func (w *world) death() {
	d := upDevice(w.service.Endpoint(fmt.Sprintf("dies-%d", w.events)))
	w.service.Answer(d.Pushkey, answerGone)
	w.events++
	if r := w.untilAnswered(alert(fmt.Sprintf("$death-%d", w.events), d)); len(r.Rejected) != 1 {
		w.t.Errorf("the dead pushkey was answered %d %s", r.Status, r.Body)
	}
	w.service.Answer(d.Pushkey) // the push service would accept it again: only the record makes it dead
	w.dead = append(w.dead, d)
}

func (w *world) restart(end func()) {
	w.traffic.up.Lock()
	defer w.traffic.up.Unlock()
	w.traffic.killed(end)
	w.gateway.start(w.config)
}

// check looks at everything that must be true after any step.
func (w *world) check() {
	w.traffic.check()
	w.events++
	r := w.untilAnswered(alert(fmt.Sprintf("$check-%d", w.events), append([]device{w.alive}, w.dead...)...))
	if len(r.Rejected) != len(w.dead) {
		w.t.Errorf("%d of %d dead pushkeys are rejected: %s", len(r.Rejected), len(w.dead), r.Body)
	}
	if f := w.gateway.footprint(); f.goroutines > 500 || f.descriptors > 300 {
		w.t.Errorf("the process still holds %+v", f)
	}
}

// untilAnswered sends a request again until it is answered with 200.
func (w *world) untilAnswered(body string) reply {
	hs := w.traffic.clients[0].hs
	for range 1000 {
		if r, err := hs.try(body); err == nil && r.Status != http.StatusServiceUnavailable {
			return r
		}
	}
	w.t.Error("no answer")
	return reply{}
}
