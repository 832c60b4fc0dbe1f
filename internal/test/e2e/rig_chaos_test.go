package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// chaos is a gateway with the four push services, each behind a front.
type chaos struct {
	*evidence
	gateway  *process
	config   string
	apns     *apple
	fcm      *fcmtest.Service
	browsers *providertest.PushService
	phones   *providertest.PushService
	fronts   []*front
	tally    *tally

	mu    sync.Mutex
	names map[string]string                    // of devices, by the path of their pushes
	keys  map[string]providertest.Subscription // of browsers, by the path of their pushes
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	c := &chaos{
		evidence: newEvidence(t), tally: &tally{counts: make(map[string]int)},
		names: make(map[string]string), keys: make(map[string]providertest.Subscription),
	}
	open := func(http1 bool, push func(path string, body []byte) (device, event string)) *front {
		f := newFront(c.evidence, c.tally, deck{random: rand.New(rand.NewPCG(seed, uint64(len(c.fronts)))), http1: http1}, push)
		c.fronts = append(c.fronts, f)
		return f
	}

	toApple := open(false, c.readAPNs)
	c.apns = newApple(t)
	toApple.serve(forwarded(t, c.apns.URL, c.apns.CAFile))
	c.apns.URL, c.apns.CAFile = toApple.URL, toApple.CAFile

	toGoogle := open(false, c.readFCM)
	c.fcm = fcmtest.New(t, fcmtest.Options{})
	toGoogle.serve(c.fcm)
	c.fcm.URL, c.fcm.CAFile = toGoogle.URL, toGoogle.CAFile
	google := &google{c.fcm, c.fcm.ServiceAccount(t)}

	toBrowsers, toPhones := open(true, c.readEncrypted), open(true, c.readPlain)
	c.browsers = providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true, Origin: toBrowsers.URL})
	c.phones = providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true, Origin: toPhones.URL})
	toBrowsers.serve(received(c.browsers))
	toPhones.serve(received(c.phones))

	global := durable
	for name, wait := range map[string]string{"soon": "wait 500ms", "async": "wait 0"} {
		global += c.apns.app("org.example.ios."+name, "", wait) + google.app("org.example.android."+name, "", wait)
		for _, web := range []struct {
			name, options string
			front         *front
		}{{"web", "webpush {\nvapid_subject mailto:ops@example.org", toBrowsers}, {"up", "unifiedpush {", toPhones}} {
			global += "app org.example." + web.name + "." + name + " {\n" + web.options + "\ntrusted_ca " + web.front.CAFile +
				"\nallow_private 127.0.0.0/8\nproxy none\n}\n" + wait + "\n}\n"
		}
	}
	c.config = gatewayConfig(global, "matrix_push")
	c.gateway = newProcess(t)
	c.gateway.start(c.config)
	return c
}

// users are the users of four homeservers, with each provider and both kinds of app. Some of them have two devices.
func (c *chaos) users() (users []*user) {
	const number = 32
	var homeservers []*homeserver
	for i := range killHomeservers {
		homeservers = append(homeservers, &homeserver{t: c.t, client: c.gateway.client(i%2 == 1), url: c.gateway.url()})
	}
	kinds := []string{"ios.soon", "android.async", "web.soon", "up.async", "ios.async", "android.soon", "web.async", "up.soon"}
	for n := range number {
		u := &user{
			fate: c, t: c.t, number: n, pause: 50 * time.Millisecond, endures: chaosTime() + 2*patience, hs: homeservers[n%len(homeservers)],
		}
		for i := range 1 + n%4/3 {
			u.devices = append(u.devices, c.device(kinds[(n+3*i)%len(kinds)], fmt.Sprintf("user%d-%d", n, i)))
		}
		users = append(users, u)
	}
	return users
}

// device returns a new device with an app of a kind.
func (c *chaos) device(kind, name string) (d device) {
	appID := "org.example." + kind
	c.mu.Lock()
	defer c.mu.Unlock()
	switch provider, _, _ := strings.Cut(kind, "."); provider {
	case "ios":
		d = iPhoneOf(appID, name)
		c.names["/3/device/"+d.path()] = d.Pushkey
	case "android":
		d = androidOf(appID, name)
	case "web":
		sub := c.browsers.Subscribe()
		d = webPushDevice(sub)
		d.AppID = appID
		c.names[sub.Path], c.keys[sub.Path] = d.Pushkey, sub
	case "up":
		d = upDevice(c.phones.Endpoint(name))
		d.AppID = appID
		c.names[pathOf(d.Pushkey)] = d.Pushkey
	}
	return d
}

// each lets all users do something at the same time, and waits.
func (c *chaos) each(users []*user, do func(*user)) {
	var running sync.WaitGroup
	for _, u := range users {
		running.Go(func() { do(u) })
	}
	running.Wait()
}

// watch lets the checker judge the logs again and again, until over. Pushes in flight can look wrong once, but not twice.
func (c *chaos) watch(over <-chan time.Time) {
	var before []string
	for {
		select {
		case <-over:
			return
		case <-time.After(2 * time.Second):
		}
		c.evidence.mu.Lock()
		r := checker.Check(slices.Clone(c.requests), slices.Clone(c.evidence.pushes), nil)
		c.evidence.mu.Unlock()
		var now []string
		for _, f := range r.Findings {
			if f.Kind == checker.Lost {
				continue // it may still arrive
			}
			now = append(now, f.String())
			if slices.Contains(before, f.String()) {
				c.t.Error(f)
			}
		}
		if c.t.Failed() {
			return
		}
		before = now
	}
}

// reload loads a configuration with a difference that no test depends on. The gateway then retries all pending pushes at once.
func (c *chaos) reload() {
	c.t.Helper()
	if err := c.gateway.load(strings.Replace(c.config, "matrix_push {\n", "matrix_push {\nmax_devices 200\n", 1)); err != nil {
		c.t.Fatal(err)
	}
}

// die makes a device's pushkey dead, as of its registration.
func (c *chaos) die(d device) { c.tell(d, false) }

// revive makes the pushkey live again, as a new registration does.
func (c *chaos) revive(d device) { c.tell(d, true) }

func (c *chaos) tell(d device, alive bool) {
	switch provider := strings.Split(d.AppID, ".")[2]; {
	case provider == "ios" && alive:
		c.apns.Unregister(d.path(), time.Time{})
	case provider == "ios":
		c.apns.Unregister(d.path(), time.Unix(*d.PushkeyTS, 0))
	case provider == "android" && alive:
		c.fcm.Answer(d.Pushkey)
	case provider == "android":
		c.fcm.Unregister(d.Pushkey)
	case provider == "web":
		endpoint, _ := d.Data["endpoint"].(string)
		c.browsers.Answer(endpoint, gone(alive)...)
	default:
		c.phones.Answer(d.Pushkey, gone(alive)...)
	}
}

// gone returns the answers for a dead subscription, and for a live one.
func gone(alive bool) []providertest.Answer {
	if alive {
		return nil
	}
	return []providertest.Answer{answerGone}
}

// name returns the device of a path.
func (c *chaos) name(path string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names[path] == "" {
		c.t.Errorf("a push for an unknown device: %s", path)
	}
	return c.names[path]
}

func (c *chaos) readAPNs(path string, body []byte) (device, event string) {
	var push struct {
		EventID string `json:"event_id"`
	}
	c.read(body, &push)
	return c.name(path), push.EventID
}

func (c *chaos) readPlain(path string, body []byte) (device, event string) {
	event, _, err := pushBody(body)
	if err != nil {
		c.t.Errorf("a push is not JSON: %v", err)
	}
	return c.name(path), event
}

func (c *chaos) readEncrypted(path string, body []byte) (device, event string) {
	c.mu.Lock()
	sub := c.keys[path]
	c.mu.Unlock()
	plain, err := sub.Decrypt(body)
	if err != nil {
		c.t.Errorf("a push cannot be decrypted: %v", err)
	}
	return c.readAPNs(path, plain)
}

// readFCM reads a message. A request for an access token is not a message.
func (c *chaos) readFCM(path string, body []byte) (device, event string) {
	if !strings.HasSuffix(path, ":send") {
		return "", ""
	}
	var push struct {
		Message struct {
			Token string `json:"token"`
			Data  struct {
				EventID string `json:"event_id"`
			} `json:"data"`
		} `json:"message"`
	}
	c.read(body, &push)
	return push.Message.Token, push.Message.Data.EventID
}

func (c *chaos) read(body []byte, push any) {
	if err := json.Unmarshal(body, push); err != nil {
		c.t.Errorf("a push is not JSON: %v", err)
	}
}
