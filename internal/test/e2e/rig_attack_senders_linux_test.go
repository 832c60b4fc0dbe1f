package e2e

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// answerCounts has the number of requests for each status. 0 means no answer.
type answerCounts map[int]int

func (a answerCounts) String() string {
	var list []string
	for _, status := range slices.Sorted(maps.Keys(a)) {
		list = append(list, fmt.Sprintf("%d × %d", a[status], status))
	}
	return strings.Join(list, ", ")
}

// attack posts a number of requests, several at a time. It returns a function that waits for the answers.
func (l *attackLab) attack(requests, atOnce int, body func(n int) string) (wait func() answerCounts) {
	l.t.Helper()
	return l.attackAt(0, requests, atOnce, body)
}

// attackAt is attack by senders that pause before each request.
func (l *attackLab) attackAt(pause time.Duration, requests, atOnce int, body func(n int) string) (wait func() answerCounts) {
	l.t.Helper()
	hs := l.gateway.homeserver()
	answers := make(answerCounts)
	var mu sync.Mutex
	var next atomic.Int64
	var senders sync.WaitGroup
	for range atOnce {
		senders.Go(func() {
			for {
				select {
				case <-time.After(pause):
				case <-l.t.Context().Done():
					return
				}
				n := int(next.Add(1)) - 1
				if n >= requests {
					return
				}
				status := l.status(hs, body(n))
				mu.Lock()
				answers[status]++
				mu.Unlock()
			}
		})
	}
	return func() answerCounts {
		senders.Wait()
		return answers
	}
}

// storm posts a request at each tick of a clock, without waiting for the answers to earlier ones. It returns a function that waits for all
// answers.
func (l *attackLab) storm(pace time.Duration, until time.Time, hs *homeserver, body func(n int) string) (wait func() answerCounts) {
	l.t.Helper()
	const mostAtOnce = 30 // a sender has limited patience
	answers := make(answerCounts)
	var mu sync.Mutex
	var senders sync.WaitGroup
	places := make(chan struct{}, mostAtOnce)
	senders.Go(func() {
		turns := time.NewTicker(pace)
		defer turns.Stop()
		for n := 0; time.Now().Before(until); n++ {
			select {
			case <-l.t.Context().Done():
				return
			case places <- struct{}{}:
			}
			senders.Go(func() {
				status := l.status(hs, body(n))
				mu.Lock()
				answers[status]++
				mu.Unlock()
				<-places
			})
			<-turns.C
		}
	})
	return func() answerCounts {
		senders.Wait()
		return answers
	}
}

// status posts a request and returns the status of the answer, or 0 if there was none.
func (l *attackLab) status(hs *homeserver, body string) int {
	r, err := hs.try(body)
	if err != nil {
		return 0
	}
	if r.Status == http.StatusServiceUnavailable && r.Header.Get("Retry-After") == "" {
		l.t.Errorf("a request is answered 503 without Retry-After: %s", r.Body)
	}
	return r.Status
}

// madeUp returns devices of the attacker, with these endpoints.
func madeUp(number int, endpoint func(n int) string) (devices []device) {
	for n := range number {
		devices = append(devices, device{AppID: "org.example.stranger", Pushkey: endpoint(n)})
	}
	return devices
}

// keyed gives devices keys, so they get all of the content.
func keyed(devices []device) []device {
	p256dh, auth := newKeys()
	for i := range devices {
		devices[i].Data = map[string]any{"p256dh": p256dh, "auth": auth}
	}
	return devices
}

// newKeys returns new keys of a subscription (RFC 8291).
func newKeys() (p256dh, auth string) {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	secret := make([]byte, 16)
	_, _ = rand.Read(secret)
	return base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()), base64.RawURLEncoding.EncodeToString(secret)
}

// large returns an alert with an amount of content.
func large(event string, size int, devices []device) string {
	return compose(map[string]any{
		"event_id": event, "room_id": "!room:hs.test", "type": "m.room.message",
		"content": map[string]any{"msgtype": "m.text", "body": strings.Repeat("large ", size/6)},
	}, devices)
}

// manifold returns an alert with a number of members.
func manifold(event string, members int, devices []device) string {
	notification := map[string]any{"event_id": event, "room_id": "!room:hs.test", "type": "m.room.message"}
	for n := range members {
		notification[fmt.Sprint("k", n)] = 0
	}
	return compose(notification, devices)
}

// client is a device that was delivered to before the attack, with its sender.
type client struct {
	device
	lab    *attackLab
	hs     *homeserver
	sent   int
	direct bool // whether it never repeats after a 503, like some homeservers
}

// proven returns a UnifiedPush device that was delivered to.
func (l *attackLab) proven(endpoint string) *client {
	l.t.Helper()
	return l.provenDevice(device{AppID: "org.example.phone", Pushkey: endpoint, PushkeyTS: at(1_700_000_000)})
}

// provenWeb returns a browser that was delivered to.
func (l *attackLab) provenWeb(endpoint string) *client {
	l.t.Helper()
	p256dh, auth := newKeys()
	return l.provenDevice(device{
		AppID: "web.example", Pushkey: p256dh, PushkeyTS: at(1_700_000_000), Data: map[string]any{"endpoint": endpoint, "auth": auth},
	})
}

func (l *attackLab) provenDevice(d device) *client {
	l.t.Helper()
	c := &client{device: d, lab: l, hs: l.gateway.homeserver()}
	if _, err := c.push(patience); err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (c *client) endpoint() string {
	if endpoint, ok := c.Data["endpoint"].(string); ok {
		return endpoint
	}
	return c.Pushkey
}

// push sends an event, repeats it while it is answered 503, and waits until it has arrived. It returns how long that took.
func (c *client) push(patience time.Duration) (took time.Duration, err error) {
	began, before := time.Now(), c.lab.taken(c.endpoint())
	if err := c.accepted(patience); err != nil {
		return time.Since(began), err
	}
	if !c.lab.await(patience-time.Since(began), c.lab.moreTaken(c.endpoint(), before)) {
		return time.Since(began), fmt.Errorf("event %d for %s does not arrive within %s", c.sent, c.endpoint(), patience)
	}
	return time.Since(began), nil
}

// accepted sends an event until it is answered with 200.
func (c *client) accepted(patience time.Duration) error {
	c.sent++
	body := alert(fmt.Sprintf("$%d-%s", c.sent, c.endpoint()), c.device)
	for over := time.Now().Add(patience); ; {
		r, err := c.hs.try(body)
		switch {
		case err == nil && r.Status == http.StatusOK && r.Body == nothingRejected:
			return nil
		case err == nil && r.Status == http.StatusOK:
			return fmt.Errorf("event %d for %s is answered %s", c.sent, c.endpoint(), r.Body)
		case err != nil && time.Now().After(over):
			return fmt.Errorf("event %d for %s is not answered: %w", c.sent, c.endpoint(), err)
		case err == nil && (c.direct || time.Now().After(over)):
			return fmt.Errorf("event %d for %s is answered %d %s", c.sent, c.endpoint(), r.Status, r.Body)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-c.lab.t.Context().Done():
			return c.lab.t.Context().Err()
		}
	}
}

// latencies has how long pushes took.
type latencies struct {
	mu   sync.Mutex
	took []time.Duration
}

func (s *latencies) add(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, took)
}

// within returns the time within which so many of a thousand pushes arrived.
func (s *latencies) within(perMille int) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return s.took[min(len(s.took)*perMille/1000, len(s.took)-1)]
}

func (s *latencies) String() string {
	return fmt.Sprintf("%d pushes, half within %v, 99%% within %v, all within %v", len(s.took), s.within(500), s.within(990), s.within(1000))
}

// lost is the time after which pushAll counts a push as lost.
const lost = 20 * time.Second

// pushAll lets each client push at its own pace for some time, and wait for each push to arrive. It returns how long the pushes took.
func (l *attackLab) pushAll(clients []*client, pace, howLong time.Duration) *latencies {
	l.t.Helper()
	var all latencies
	var failed errorList
	var running sync.WaitGroup
	began := time.Now()
	for i, c := range clients {
		running.Go(func() {
			for next := pace * time.Duration(i) / time.Duration(len(clients)); next < howLong; next += pace {
				select {
				case <-time.After(next - time.Since(began)):
				case <-l.t.Context().Done():
					return
				}
				took, err := c.push(lost)
				all.add(took)
				if err != nil {
					failed.add(err)
					return
				}
			}
		})
	}
	running.Wait()
	failed.report(l.t)
	l.t.Logf("pushes of devices that attack nobody: %v", &all)
	return &all
}

// peakOwnMemory returns the process's peak resident memory, in bytes, without what is mapped from files now: the program itself.
func (p *process) peakOwnMemory() int {
	p.t.Helper()
	sizes := p.memory()
	return sizes["VmHWM"] - sizes["RssFile"]
}

// ownMemory returns the process's resident memory that is not backed by files, in bytes. The system cannot drop it and read it again.
func (p *process) ownMemory() int { p.t.Helper(); return p.memory()["RssAnon"] }

func (p *process) memory() map[string]int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	sizes := make(map[string]int)
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if size, ok := strings.CutSuffix(strings.TrimSpace(value), " kB"); ok {
			n, err := strconv.Atoi(size)
			if err != nil {
				p.t.Fatal(err)
			}
			sizes[name] = n << 10
		}
	}
	p.t.Logf("resident at most %d bytes; now %d, and %d of files", sizes["VmHWM"], sizes["RssAnon"], sizes["RssFile"])
	return sizes
}

// cpu returns the CPU time that the process has used so far.
func (p *process) cpu() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may have any characters
	fields := strings.Fields(rest)
	const utime, stime, perTick = 14 - 3, 15 - 3, 10 * time.Millisecond // proc_pid_stat(5), sysconf(3): _SC_CLK_TCK is 100 on Linux
	var ticks int
	for _, i := range []int{utime, stime} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * perTick
}
