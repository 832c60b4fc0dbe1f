package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/file"
)

// aimed is a provider whose pushes go to the endpoint in a device's data, as with Web Push. It answers by the endpoint's path: /410 and
// the paths in says have their outcomes, and all others take the push.
type aimed struct {
	*scripted
	says map[string]providers.Outcome
}

func newAimed() *aimed {
	a := &aimed{says: map[string]providers.Outcome{
		"/410": providers.Rejected("gone"), "/404": providers.Suspected("not_found"), "/503": providers.Retry("unavailable", time.Hour, nil),
	}}
	a.scripted = &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
		for path, o := range a.says {
			if strings.Contains(endpointOf(p.Device), path) {
				return o
			}
		}
		return providers.Delivered()
	}}
	return a
}

func (*aimed) Target(d *providers.Device) string { return endpointOf(d) }

func (*aimed) Host(d *providers.Device) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(endpointOf(d), "https://"), "/")
	return host
}

func endpointOf(d *providers.Device) string {
	var data struct{ Endpoint string }
	_ = json.Unmarshal(d.Data, &data)
	return data.Endpoint
}

// at returns a device of the app "web" with a pushkey_ts in seconds, or without one if that is 0.
func at(pushkey, endpoint string, pushkeyTS int64) string {
	d := map[string]any{"app_id": "web", "pushkey": pushkey, "data": map[string]string{"endpoint": endpoint, "auth": "x"}}
	if pushkeyTS != 0 {
		d["pushkey_ts"] = pushkeyTS
	}
	b, _ := json.Marshal(d)
	return string(b)
}

// to returns the events that went to an endpoint, in order.
func (a *aimed) to(endpoint string) (events []string) {
	for _, p := range a.asked() {
		if endpointOf(p.Device) == endpoint {
			events = append(events, p.Notification.EventID)
		}
	}
	return events
}

const (
	victims = "https://8.8.8.8/201/v"
	hostile = "https://66.6.6.6"
)

// From a review: the victim was rejected until 2106, and so was anyone who registered the same subscription again.
func TestAnotherEndpointWithTheSamePushkeyCondemnsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(1_795_930_000, 0)))
		p := newAimed()
		r := newRig(t, appFor("web", p))
		wantLine(t, r.notify(event("$1", at("BCVx", victims, 1_795_930_000))), `[]`)
		wantLine(t, r.notify(event("$2", at("BCVx", hostile+"/410/x", math.MaxInt64))), `["BCVx"]`)
		wantLine(t, r.notify(event("$3", at("BCVx", hostile+"/410/x", 1_795_930_000))), `["BCVx"]`)
		if got := p.to(hostile + "/410/x"); len(got) != 1 {
			t.Errorf("the dead endpoint was asked for %q: the verdict about it does not stand", got)
		}
		for i, registered := range []int64{1_795_930_000, 1_795_930_001, 4_102_444_800, 0} {
			wantLine(t, r.notify(event(fmt.Sprint("$victim", i), at("BCVx", victims, registered))), `[]`)
		}
		if got := p.to(victims); len(got) != 5 {
			t.Errorf("the victim got %q", got)
		}
		dead := rejected.KeyAt("web", "BCVx", hostile+"/410/x")
		if keys := slices.Collect(maps.Keys(r.store.records)); len(keys) != 1 || keys[0] != dead {
			t.Errorf("on record are %v", keys)
		}
		e, err := r.Explain(t.Context(), dead, Described{AppID: "web"})
		if err != nil || e.Record == nil || e.Record.CondemnedUntil.After(time.Now()) {
			t.Fatalf("the record is %+v: %v", e.Record, err)
		}
		// The attacker's endpoint works again: a device that registered after the verdict is not condemned.
		p.says = nil
		time.Sleep(2 * time.Second)
		wantLine(t, r.notify(event("$4", at("BCVx", hostile+"/410/x", time.Now().Unix()))), `[]`)
	})
}

// From a review, the milder variant: the victim's pushes were due in an hour, behind the attacker's.
func TestAnotherEndpointWithTheSamePushkeyHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/503", "/404"} {
		t.Run(path, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newAimed()
				r, _ := keeping(t, appFor("web", p))
				for i := range 5 {
					wantLine(t, r.notify(event(fmt.Sprint("$hostile", i), at("key", fmt.Sprint(hostile, path, "/x"), 1000))), `[]`)
					start := time.Now()
					wantLine(t, r.notify(event(fmt.Sprint("$", i), at("key", victims, 1000))), `[]`)
					if waited := time.Since(start); waited > 0 || len(p.to(victims)) != i+1 {
						t.Errorf("answered after %s, and delivered are %q", waited, p.to(victims))
					}
				}
				if waits, err := r.Outbox.Waiting(t.Context(), "web", rejected.KeyAt("web", "key", victims)); waits || err != nil {
					t.Errorf("the victim's pushes wait: %v, %v", waits, err)
				}
			})
		})
	}
}

func TestOneEventForTwoEndpointsOfAPushkeyGoesToBoth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newAimed()
		slow := p.script
		p.become(func(ctx context.Context, push *providers.Push) providers.Outcome {
			time.Sleep(time.Second)
			return slow(ctx, push)
		})
		r := newRig(t, appFor("web", p))
		for range 2 { // at the same time, and one after the other
			for _, endpoint := range []string{hostile + "/201/x", victims} {
				go r.notify(event("$e", at("key", endpoint, 1000)))
			}
			time.Sleep(2 * time.Second)
		}
		if len(p.to(victims)) != 1 || len(p.to(hostile+"/201/x")) != 1 {
			t.Errorf("delivered %q and %q", p.to(victims), p.to(hostile+"/201/x"))
		}
	})
}

// A homeserver drops every pusher with a listed pushkey.
func TestAPushkeyIsListedIfAllOfItsEndpointsAreDead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ first, second, want string }{
		{hostile + "/410/x", victims, `[]`},
		{victims, hostile + "/410/x", `[]`},
		{hostile + "/410/x", hostile + "/410/y", `["key"]`},
	} {
		bubbleIn(t, tt.first+" "+tt.second, func(t *testing.T) {
			r := newRig(t, appFor("web", newAimed()))
			for i := range 2 { // the second time from the record
				wantLine(t, r.notify(event(fmt.Sprint("$", i), at("key", tt.first, 1000), at("key", tt.second, 1000))), tt.want)
			}
		})
	}
}

// bubbleIn is a subtest in a bubble.
func bubbleIn(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { bubble(t, test) })
}

// The journal of one endpoint makes no other endpoint trusted: its blocked push is not held.
func TestADeliveryToOneEndpointSpeaksForNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newAimed()
		p.says["/blocked"] = providers.Blocked("blocked", nil)
		r, _ := keeping(t, appFor("web", p))
		wantLine(t, r.notify(event("$1", at("key", victims, 1000))), `[]`)
		wantLine(t, r.notify(event("$2", at("key", hostile+"/blocked", 1000))), `[]`)
		last := r.attempts()[len(r.attempts())-1]
		if last.Result != Dropped || last.Key == r.attempts()[0].Key {
			t.Errorf("the blocked push is %s", last.Result)
		}
	})
}

// Any provider may get a pushkey_ts that cannot be true.
func TestAPushkeyTSFromTheFutureCondemnsNoLaterRegistration(t *testing.T) {
	for _, made := range []int64{math.MaxInt64, 4_102_444_800, 9_999_999_999_999, 946_684_800 + 2*86_400} {
		bubbleIn(t, fmt.Sprint(made), func(t *testing.T) {
			p := newOutage(providers.Rejected("gone"))
			r := newRig(t, appFor("app", p))
			wantLine(t, r.notify(event("$1", deviceOf("app", "key", made))), `["key"]`)
			p.fixed.Store(true)
			time.Sleep(time.Second)
			wantLine(t, r.notify(event("$2", deviceOf("app", "key", time.Now().Unix()))), `[]`)
			wantLine(t, r.notify(event("$3", deviceOf("app", "key", time.Now().Unix()-1))), `["key"]`) // the registration that died
		})
	}
}

// A dead registration's pushes are discarded, but not those of a later one.
func TestAPushkeyTSFromTheFutureDiscardsNoLaterRegistrationsPushes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Retry("unavailable", 0, nil))
		r, _ := keeping(t, appFor("app", p))
		wantLine(t, r.notify(event("$dead", deviceOf("app", "key", math.MaxInt64))), `[]`)
		time.Sleep(5 * time.Second)
		wantLine(t, r.notify(event("$alive", deviceOf("app", "key", time.Now().Unix()))), `[]`)
		p.become(func(_ context.Context, push *providers.Push) providers.Outcome {
			if push.Notification.EventID == "$dead" {
				return providers.Rejected("gone")
			}
			return providers.Delivered()
		})
		before := len(p.asked())
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := p.since(before, "key"); !slices.Equal(got, []string{"$dead", "$alive"}) {
			t.Errorf("tried were %q", got)
		}
	})
}

// accepted returns an entry as an earlier version wrote it.
func accepted(t *testing.T, b outbox.Box, eventID, deviceJSON string) outbox.Entry {
	t.Helper()
	request, refused := Decode([]byte(event(eventID, deviceJSON)), 1)
	if refused != nil {
		t.Fatal(refused)
	}
	d := &request.Devices[0]
	id := newID()
	push, err := json.Marshal(&providers.Push{Notification: request.Notification.Alone(), Device: d, ID: id, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	e := outbox.Entry{
		ID: id, App: "web", Device: rejected.KeyOf(d.AppID, d.Pushkey), Event: keyOfEvent(eventID, d), EventUntil: time.Now().Add(24 * time.Hour),
		PushkeyTS: d.PushkeyTS, Push: push, Accepted: time.Now(), Expires: time.Now().Add(time.Hour),
	}
	if _, err := b.Accept(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPendingPushesOfAnEarlierVersionKeepTheirOrderAndHoldUpNoOtherEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newAimed()
		delivers := p.script
		p.become(func(ctx context.Context, push *providers.Push) providers.Outcome {
			time.Sleep(100 * time.Millisecond)
			return delivers(ctx, push)
		})
		r := newRig(t, appFor("web", p))
		r.Jitter = func(time.Duration) time.Duration { return 500 * time.Millisecond }
		box := openFile(t, filepath.Join(t.TempDir(), "outbox.db"))
		r.use(box)
		hostiles := hostile + "/503/x"
		accepted(t, box, "$h1", at("key", hostiles, 1000))
		var want []string
		for i := range 5 {
			want = append(want, fmt.Sprint("$old", i))
			accepted(t, box, want[i], at("key", victims, 1000))
			accepted(t, box, fmt.Sprint("$dead", i), at("key", hostile+"/410/x", 1000))
		}
		r.Recall(t.Context())
		r.works()
		for i := range 3 { // while they are moved
			want = append(want, fmt.Sprint("$new", i))
			wantLine(t, r.notify(event(want[5+i], at("key", victims, 1000))), `[]`)
		}
		for i := range 5 { // the homeserver sends them again
			wantLine(t, r.notify(event(want[i], at("key", victims, 1000))), `[]`)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := p.to(victims); !slices.Equal(got, want) {
			t.Errorf("the victim got %q, want %q", got, want)
		}
		if got := p.to(hostile + "/410/x"); len(got) != 1 { // its other pending pushes go with the verdict
			t.Errorf("the dead endpoint was asked for %q", got)
		}
		for k, waits := range map[rejected.Key]bool{
			rejected.KeyOf("web", "key"): false, rejected.KeyAt("web", "key", victims): false, rejected.KeyAt("web", "key", hostiles): true,
		} {
			if got, err := box.Waiting(t.Context(), "web", k); err != nil || got != waits {
				t.Errorf("pushes wait for %s: %v, %v", k, got, err)
			}
		}
		if keys := slices.Collect(maps.Keys(r.store.records)); !slices.Equal(keys, []rejected.Key{rejected.KeyAt("web", "key", hostile+"/410/x")}) {
			t.Errorf("on record are %v", keys)
		}
	})
}

func TestAPendingPushThatCannotBeMovedIsTriedWhereItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newAimed()
		app := appFor("web", p)
		r := newRig(t, app).withOutbox()
		for i, tt := range []struct {
			endpoint, did string
			records       int
		}{
			{victims, "settle of no running entry", 0},
			{hostile + "/503/x", "release in 1h0m0s of no running entry", 0},
			{hostile + "/410/x", "settle of no running entry", 1},
		} {
			r.box.err, r.box.log = nil, nil
			e := accepted(t, r.box, fmt.Sprint("$", i), at("key", tt.endpoint, 1000))
			r.box.err, r.box.log = outbox.ErrFull, nil
			r.use(queueBox{r.box})
			r.retry(app, outbox.Leased{Entry: e})
			if got := r.box.happened(); got != tt.did || len(p.to(tt.endpoint)) != 1 || len(r.store.records) != tt.records {
				t.Errorf("%s: %s, tried for %q, on record %v", tt.endpoint, got, p.to(tt.endpoint), r.store.records)
			}
			if _, old := r.store.records[rejected.KeyOf("web", "key")]; old {
				t.Error("all endpoints are on record")
			}
		}
	})
}

// queueBox is an outbox with a queue that is empty.
type queueBox struct{ *memoryBox }

func (queueBox) Lease(ctx context.Context, _ string, _ int) ([]outbox.Leased, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func (queueBox) Discard(context.Context, string, [16]byte, int64) error      { return nil }
func (queueBox) Rouse(context.Context, string) error                         { return nil }
func (queueBox) RouseHost(context.Context, string, string, int) (int, error) { return 0, nil }
func (queueBox) RouseDevice(context.Context, string, [16]byte) (found bool, _ error) {
	return false, nil
}

// fickle is a provider that never gives the same target twice.
type fickle struct {
	*aimed
	asked int
}

func (f *fickle) Target(*providers.Device) string {
	f.asked = min(f.asked+1, 100) // so a push that is moved forever arrives late
	return fmt.Sprint(f.asked)
}

func TestAPushIsNotMovedForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &fickle{aimed: newAimed()}
		r := newRig(t, appFor("web", p))
		box := openFile(t, filepath.Join(t.TempDir(), "outbox.db"))
		r.use(box)
		accepted(t, box, "$e", at("key", victims, 1000))
		r.works()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := p.to(victims); !slices.Equal(got, []string{"$e"}) || p.asked > 5 {
			t.Errorf("delivered %q after %d questions", got, p.asked)
		}
	})
}

// A queue that an earlier version of another gateway holds delays nothing for long.
func TestAQueueThatIsNotMovedHoldsAPushUpForAMomentOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newAimed()
		r := newRig(t, appFor("web", p)).withOutbox()
		accepted(t, r.box, "$old", at("key", victims, 1000))
		r.use(queueBox{r.box})
		r.Recall(t.Context())
		start := time.Now()
		wantLine(t, r.notify(event("$new", at("key", victims, 1000))), `[]`)
		if waited := time.Since(start); waited < movedWait || waited > 2*movedWait {
			t.Errorf("answered after %s", waited)
		}
		start = start.Add(movingTime)
		time.Sleep(time.Until(start))
		wantLine(t, r.notify(event("$newer", at("key", victims, 1000))), `[]`)
		if waited := time.Since(start); waited > 0 || len(p.to(victims)) != 2 {
			t.Errorf("answered after %s; delivered are %q", waited, p.to(victims))
		}
	})
}

// openRejected opens a rejected store in a file; it is closed when the test ends.
func openRejected(t *testing.T, path string) *file.Store {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	s := &file.Store{Path: path}
	if err := s.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Cleanup() })
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecordsOfAnEarlierVersionAreDroppedOnceWhereTheyDoNotSayWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rejected.db")
	store := openRejected(t, path)
	reject := func(app string, k rejected.Key) {
		if err := store.Reject(t.Context(), k, rejected.Verdict{App: app, Reason: "gone", PushkeyTS: 1000, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	others := []rejected.Key{rejected.KeyOf("app", "a"), rejected.KeyOf("app", "b")}
	for _, k := range others {
		reject("app", k)
	}
	var group errgroup.Group
	for i := range 2 * rejected.MaxPage { // several pages
		k := rejected.KeyOf("web", fmt.Sprint(i))
		group.Go(func() (err error) {
			if v := (rejected.Verdict{App: "web", Reason: "gone", At: time.Now()}); i%2 == 0 {
				err = store.Reject(t.Context(), k, v)
			} else {
				v.App = "web*"
				_, err = store.Suspect(t.Context(), k, v)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for written := time.Now().UnixMilli(); time.Now().UnixMilli() == written; { // records are in milliseconds
		runtime.Gosched()
	}
	drop := func() map[string]int {
		r := newRig(t, appFor("app", always(providers.Delivered())), appFor("web", newAimed()), appFor("web*", newAimed()))
		r.keep(store)
		dropped, err := r.DropUntargeted(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return dropped
	}
	if got := drop(); got["web"] != rejected.MaxPage || got["web*"] != rejected.MaxPage || len(got) != 2 {
		t.Errorf("dropped were %v", got)
	}
	own := rejected.KeyAt("web", "key", victims)
	reject("web", own)
	for range 2 {
		if got := drop(); len(got) != 0 {
			t.Errorf("dropped once more were %v", got)
		}
		if err := store.Cleanup(); err != nil {
			t.Fatal(err)
		}
		store = openRejected(t, path)
	}
	page, _, err := store.List(t.Context(), rejected.Query{})
	if err != nil || len(page) != 3 {
		t.Errorf("%d records are left: %v", len(page), err)
	}
	for _, k := range append(others, own) {
		if _, err := store.Get(t.Context(), k); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
}

// migratingStore remembers its migrations in memory.
type migratingStore struct {
	listedStore
	noted map[string]bool
	fails bool
}

func (s *migratingStore) Migrated(_ context.Context, change string) (bool, error) {
	return s.noted[change], nil
}

func (s *migratingStore) NoteMigrated(_ context.Context, change string) error {
	s.noted[change] = true
	return nil
}

func (s *migratingStore) Forget(ctx context.Context, k rejected.Key) error {
	if s.fails {
		return errBroken
	}
	return s.listedStore.Forget(ctx, k)
}

func TestWhatCouldNotBeDroppedIsDroppedNextTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("web", newAimed()))
		s := &migratingStore{listedStore{memoryStore: r.store}, make(map[string]bool), true}
		r.keep(s)
		old, late := rejected.KeyOf("web", "key"), rejected.KeyAt("web", "key", victims)
		_ = s.Reject(t.Context(), old, rejected.Verdict{App: "web", At: time.Now()})
		time.Sleep(time.Second)
		_ = s.Reject(t.Context(), late, rejected.Verdict{App: "web", At: time.Now()}) // as if learned in the meantime
		if _, err := r.DropUntargeted(t.Context()); err == nil || len(s.noted) != 0 || len(s.records) != 2 {
			t.Errorf("noted are %v, on record %d: %v", s.noted, len(s.records), err)
		}
		s.fails = false
		if dropped, err := r.DropUntargeted(t.Context()); err != nil || dropped["web"] != 1 {
			t.Errorf("dropped are %v: %v", dropped, err)
		}
		if _, ok := s.records[late]; !ok || len(s.records) != 1 {
			t.Errorf("left are %v", s.records)
		}
	})
}

// If an entry's event is on record as delivered, Redis treats the entry as a repetition and keeps nothing.
func TestAPendingPushIsMovedUnchangedExceptForItsNamesAndItsEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newAimed()
		app := appFor("web", p)
		r := newRig(t, app).withOutbox()
		e := accepted(t, r.box, "$e", at("key", victims, 1000))
		e.Host, e.Replace, e.Standing = "8.8.8.8:443", "room", outbox.Proven
		r.box.entries, r.box.log = nil, nil
		r.retry(app, outbox.Leased{Entry: e, Attempts: 3})
		wantPushes(t, p.scripted, 0)
		if got := r.box.happened(); got != "accept, settle of no running entry" {
			t.Fatal(got)
		}
		// memoryBox settles everything, so the push is moved once more to see it.
		r.use(&keptBox{memoryBox: r.box})
		r.retry(app, outbox.Leased{Entry: e})
		got := r.box.entries[0]
		push := new(providers.Push)
		if err := json.Unmarshal(got.Push, push); err != nil || push.ID != got.ID || endpointOf(push.Device) != victims || push.Notification.EventID != "$e" {
			t.Errorf("the push is %s: %v", got.Push, err)
		}
		if got.ID == e.ID || got.Device != rejected.KeyAt("web", "key", victims) {
			t.Errorf("moved to %s of %x", got.ID, got.Device)
		}
		got.ID, got.Device, got.Push = e.ID, e.Device, e.Push
		e.Event, e.EventUntil = [16]byte{}, time.Time{}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, want %+v", got, e)
		}
	})
}

// keptBox settles nothing.
type keptBox struct{ *memoryBox }

func (*keptBox) Settle(context.Context, outbox.Ref) error { return nil }

func TestAnEntryHasThePushkeyTSThatIsBelieved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", always(providers.Retry("unavailable", 0, nil)))).withOutbox()
		wantLine(t, r.notify(event("$e", deviceOf("app", "key", math.MaxInt64))), `[]`)
		if got := r.box.entries[0].PushkeyTS; got != time.Now().UnixMilli() {
			t.Errorf("it is %d", got)
		}
	})
}
