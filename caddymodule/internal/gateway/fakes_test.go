package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// errBroken is the error of a failing store in these tests.
var errBroken = errors.New("the disk is on fire")

// scripted is a provider that answers by a script and remembers its pushes.
type scripted struct {
	script func(ctx context.Context, p *providers.Push) providers.Outcome

	mu     sync.Mutex
	pushes []*providers.Push
	times  []time.Time
}

// always gives the same answer to each push.
func always(o providers.Outcome) *scripted {
	return &scripted{script: func(context.Context, *providers.Push) providers.Outcome { return o }}
}

// inTurn answers each push with the next outcome, and with the last one from then on.
func inTurn(outcomes ...providers.Outcome) *scripted {
	turns := make(chan providers.Outcome, len(outcomes))
	for _, o := range outcomes {
		turns <- o
	}
	last := outcomes[len(outcomes)-1]
	return &scripted{script: func(context.Context, *providers.Push) providers.Outcome {
		select {
		case o := <-turns:
			return o
		default:
			return last
		}
	}}
}

// after gives the same answer to each push, d later. It is for use in a synctest bubble.
func after(d time.Duration, o providers.Outcome) *scripted {
	return &scripted{script: func(context.Context, *providers.Push) providers.Outcome {
		time.Sleep(d) // the bubble's time
		return o
	}}
}

// byPushkey answers by the device.
func byPushkey(outcomes map[string]providers.Outcome) *scripted {
	return &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
		return outcomes[p.Device.Pushkey]
	}}
}

// byPrefix answers by the host that a pushkey begins with.
func byPrefix(outcomes map[string]providers.Outcome) func(context.Context, *providers.Push) providers.Outcome {
	return func(_ context.Context, p *providers.Push) providers.Outcome {
		host, _, _ := strings.Cut(p.Device.Pushkey, "/")
		return outcomes[host]
	}
}

func (s *scripted) Push(ctx context.Context, p *providers.Push) providers.Outcome {
	s.mu.Lock()
	s.pushes, s.times = append(s.pushes, p), append(s.times, time.Now())
	script := s.script
	s.mu.Unlock()
	return script(ctx, p)
}

// become replaces the script.
func (s *scripted) become(script func(context.Context, *providers.Push) providers.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

func (s *scripted) asked() []*providers.Push {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*providers.Push(nil), s.pushes...)
}

// began returns when the provider was last asked to deliver a push.
func (s *scripted) began(p *providers.Push) (at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.pushes {
		if other == p {
			at = s.times[i]
		}
	}
	return at
}

// memoryStore is a rejected store in memory that fails on demand.
type memoryStore struct {
	mu                   sync.Mutex
	records              map[rejected.Key]rejected.Record
	lookups              int
	failLookup, failNext error
}

func (s *memoryStore) Lookup(_ context.Context, keys []rejected.Key, marks []rejected.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups++
	for i, k := range keys {
		if r, ok := s.records[k]; ok {
			marks[i] = r.Mark()
		}
	}
	return s.failLookup
}

// LookupNow answers from memory, as the stores in this repository do.
func (s *memoryStore) LookupNow(keys []rejected.Key, marks []rejected.Mark) bool {
	s.mu.Lock()
	slow := s.failLookup != nil
	s.mu.Unlock()
	return !slow && s.Lookup(context.Background(), keys, marks) == nil
}

func (s *memoryStore) Reject(_ context.Context, key rejected.Key, v rejected.Verdict) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failNext != nil {
		return s.failNext
	}
	s.records[key] = s.records[key].Add(v)
	return nil
}

func (s *memoryStore) Suspect(_ context.Context, key rejected.Key, v rejected.Verdict) (rejected.Suspicion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failNext != nil {
		return rejected.Suspicion{}, s.failNext
	}
	s.records[key] = s.records[key].Suspect(v)
	return s.records[key].Suspicion, nil
}

func (s *memoryStore) Acquit(_ context.Context, key rejected.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, some := s.records[key].Acquit(); some {
		s.records[key] = r
	} else {
		delete(s.records, key)
	}
	return nil
}

func (s *memoryStore) Get(_ context.Context, key rejected.Key) (rejected.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[key]
	if !ok {
		return r, rejected.ErrNotFound
	}
	return r, nil
}

func (s *memoryStore) Forget(_ context.Context, key rejected.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

// memoryBox is an outbox in memory that notes what happens to its entries, and does nothing else with them.
type memoryBox struct {
	mu      sync.Mutex
	err     error // what Accept and Waiting return
	entries []outbox.Entry
	// log has the calls: "accept running", "accept", "settle", "release in 5s".
	log []string
}

func (b *memoryBox) Accept(_ context.Context, e outbox.Entry) ([]outbox.Ref, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	b.entries = append(b.entries, e)
	doing := "accept"
	if e.Running {
		doing += " running"
	}
	b.log = append(b.log, doing)
	return nil, nil
}

func (b *memoryBox) Settle(_ context.Context, r outbox.Ref) error {
	b.conclude(r.ID, "settle")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = b.entries[:0]
	return nil
}

func (b *memoryBox) Release(_ context.Context, r outbox.Ref, due time.Time, _ bool) error {
	b.conclude(r.ID, "release in "+time.Until(due).String())
	return nil
}

func (b *memoryBox) conclude(id, doing string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.ID == id && e.Running {
			b.log = append(b.log, doing)
			return
		}
	}
	b.log = append(b.log, doing+" of no running entry")
}

func (b *memoryBox) Waiting(_ context.Context, _ string, device [16]byte) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return false, b.err
	}
	for _, e := range b.entries {
		if e.Device == device {
			return true, nil
		}
	}
	return false, nil
}

func (b *memoryBox) happened() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.log, ", ")
}

// witness is an observer that remembers.
type witness struct {
	mu       sync.Mutex
	attempts []Attempt
	answers  []string
	failures []string
	changes  []string // to breakers and fuses
}

func (w *witness) Attempted(a Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attempts = append(w.attempts, a)
}

// reported returns the failures of stores so far; seen returns the changes of breakers and fuses.
func (w *witness) reported() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.failures)
}

func (w *witness) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.changes)
}

func (w *witness) Answered(a *App, r Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	app := "?"
	if a != nil {
		app = a.Pattern
	}
	w.answers = append(w.answers, app+" "+r.String())
}

func (w *witness) Refused(a *App, why Refusal) {
	w.see("outbox refused: " + a.Pattern + " " + string(why))
}

func (w *witness) Lost(a *App, why outbox.Loss, pushes int) {
	w.see(fmt.Sprintf("lost: %s %s %d", a.Pattern, why, pushes))
}

func (w *witness) Forgot(events int) { w.see(fmt.Sprintf("forgot: %d", events)) }

func (w *witness) HostPaused(a *App, host string) {
	w.see("host paused: " + a.Pattern + " " + host)
}

func (w *witness) BreakerOpened(a *App, host string) {
	w.see("breaker opened: " + a.Pattern + " " + host)
}

func (w *witness) BreakerClosed(a *App, host string) {
	w.see("breaker closed: " + a.Pattern + " " + host)
}

func (w *witness) AppFailing(a *App, why Failing) {
	w.see("app fails: " + a.Pattern + " " + why.Reason + " " + why.Host)
}

func (w *witness) AppRecovered(a *App) {
	w.see("app works: " + a.Pattern)
}

func (w *witness) FuseTripped(app, host string, pushkeys int, alarm bool) {
	w.see(fmt.Sprintf("fuse of %q trips at %d%s", app+host, pushkeys, loud(alarm)))
}

func (w *witness) FuseReset(app, host string, _, alarm bool) {
	w.see(fmt.Sprintf("fuse of %q reset%s", app+host, loud(alarm)))
}

// loud marks what alerts the operator.
func loud(alarm bool) string {
	if alarm {
		return "!"
	}
	return ""
}

func (w *witness) see(change string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, change)
}

func (w *witness) Probed(by Sighting, isDoctor bool) {
	w.see(fmt.Sprintf("probed from %s by doctor: %v", by.From, isDoctor))
}

func (w *witness) StoreFailed(doing string, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, doing)
}

// rig is a gateway with a fake of everything around it.
type rig struct {
	site providers.Site // where notifications come in
	*Gateway
	t     testing.TB
	store *memoryStore
	box   *memoryBox
	saw   *witness
}

// appFor returns an app with the usual policy for a provider.
func appFor(pattern string, p providers.Provider) *App {
	a := &App{
		Pattern: pattern, ProviderName: "scripted", Provider: p, Wait: DefaultWait, TTL: 24 * time.Hour,
		Badges: providers.BadgesOn, Limit: limit.NewFair(512, 512),
	}
	a.proven.Store(true)
	return a
}

// newRig returns a gateway without an outbox. It drains when the test ends.
func newRig(t testing.TB, apps ...*App) *rig {
	t.Helper()
	router, err := NewRouter(apps)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, store: &memoryStore{records: make(map[rejected.Key]rejected.Record)},
		box: &memoryBox{err: outbox.ErrOff}, saw: new(witness),
	}
	r.Gateway = New(Options{
		Router: router, Rejected: r.store, Outbox: r.box, Dedupe: 24 * time.Hour, Fuse: FuseOptions{Share: 1}, Shared: NewShared(), Observer: r.saw, Now: time.Now,
		Jitter: func(time.Duration) time.Duration { return 0 },
	})
	first := r.Shared
	t.Cleanup(func() {
		r.Shared.Drain(context.Background())
		first.crew.close() // otherwise, a bubble would wait for its goroutines
		r.Shared.crew.close()
	})
	return r
}

// attempts returns those that the observer saw, once all have ended.
func (r *rig) attempts() []Attempt {
	r.Shared.Drain(context.Background())
	r.saw.mu.Lock()
	defer r.saw.mu.Unlock()
	return slices.Clone(r.saw.attempts)
}

// sharing makes it a gateway in the same process as another one.
func (r *rig) sharing(with *rig) *rig {
	synctest.Wait() // the flights of answered requests may not have ended yet
	r.Options.Shared = with.Shared
	r.Gateway = New(r.Options)
	return r
}

// use replaces the fake outbox.
func (r *rig) use(b outbox.Box) {
	r.Outbox = b
	r.Gateway.box = newBox(b, r.Observer)
}

// withOutbox turns the outbox on.
func (r *rig) withOutbox() *rig {
	r.box.err = nil
	return r
}

func everything(*App) bool { return true }

// notify has the gateway handle a request, and returns the answer in one line.
func (r *rig) notify(body string) string {
	r.t.Helper()
	request, err := Decode([]byte(body), 1000)
	if err != nil {
		r.t.Fatalf("%v: %s", err, body)
	}
	return line(r.Notify(request, r.site, everything))
}

// line returns an answer as these tests write it: `[]`, `["a","b"]`, or `503 after 5s`.
func line(a Answer) string {
	if a.Err != nil {
		return fmt.Sprintf("%d after %s", a.Err.Status, a.RetryAfter)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(a.Body()), `{"rejected":`), "}")
}

// event is a request to notify devices of an event.
func event(id string, devices ...string) string {
	return fmt.Sprintf(`{"notification":{"event_id":%q,"room_id":"!r:example.org","type":"m.room.message","devices":[%s]}}`,
		id, strings.Join(devices, ","))
}

// device is a device of the app that most tests use.
func device(pushkey string) string { return deviceOf("app", pushkey, 1000) }

func deviceOf(appID, pushkey string, pushkeyTS int64) string {
	d, _ := json.Marshal(map[string]any{"app_id": appID, "pushkey": pushkey, "pushkey_ts": pushkeyTS})
	return string(d)
}

// badge is a badge update.
func badge(devices ...string) string {
	return fmt.Sprintf(`{"notification":{"counts":{"unread":3},"devices":[%s]}}`, strings.Join(devices, ","))
}

func wantLine(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
}

func wantPushes(t *testing.T, p *scripted, want int) {
	t.Helper()
	if got := len(p.asked()); got != want {
		t.Errorf("the provider was asked %d times, want %d", got, want)
	}
}

// retry makes an attempt at an entry of the outbox, as a worker does.
func (r *rig) retry(app *App, entry outbox.Leased) {
	r.Shared.began()
	r.Gateway.retry(app, entry, nil)
}
