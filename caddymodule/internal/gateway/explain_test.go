package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// listedStore is a rejected store that can list its records, one at a time.
type listedStore struct {
	*memoryStore
	broken error
}

func (s listedStore) List(_ context.Context, q rejected.Query) (page []rejected.Entry, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	all := make(map[string]rejected.Key)
	for k := range s.records {
		if strings.HasPrefix(k.String(), q.Prefix) && k.String() > q.Cursor {
			keys, all[k.String()] = append(keys, k.String()), k
		}
	}
	if len(keys) == 0 || s.broken != nil {
		return nil, "", s.broken
	}
	slices.Sort(keys)
	k := all[keys[0]]
	return []rejected.Entry{{Key: k, Record: s.records[k]}}, keys[0], nil
}

func TestADeadDeviceIsExplained(t *testing.T) {
	t.Parallel()
	verdict := providers.Rejected("gone")
	verdict.Since, verdict.Err = time.UnixMilli(2_000_000), errors.New("410")
	r := newRig(t, appFor("app*", always(verdict)))
	r.notify(event("$1", deviceOf("app1", "key", 1000)))
	e, err := r.Explain(t.Context(), rejected.KeyOf("app1", "key"), Described{AppID: "app1"})
	if err != nil || e.App != "app*" || e.Record == nil || e.Last == nil || e.Waiting || !e.Known() {
		t.Fatalf("explained as %+v: %v", e, err)
	}
	record := e.Record
	if record.Reason != "gone" || record.Verdicts != 1 || record.App != "app*" || record.PushkeyHash != e.PushkeyHash {
		t.Errorf("the record is %+v", record)
	}
	// A device that registered in the second of its death gets the benefit of the doubt.
	if !record.ServiceTime.Equal(verdict.Since) || record.CondemnedUntil.Unix() != 1999 || record.ProbeAt.Sub(record.FirstSeen) != time.Hour {
		t.Errorf("dead since %v, condemned until %v, probed at %v", record.ServiceTime, record.CondemnedUntil, record.ProbeAt)
	}
	if e.Last.Outcome != "rejected" || e.Last.Reason != "gone" || e.Last.Detail != "410" {
		t.Errorf("the last attempt is %+v", e.Last)
	}
}

func TestAnExplanationTellsWhoServesADevice(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("one", always(providers.Delivered())), appFor("two", always(providers.Delivered()))).withOutbox()
	k, waiting := rejected.KeyOf("one", "key"), rejected.KeyOf("two", "waiting")
	r.notify(event("$1", deviceOf("one", "key", 1)))
	r.box.entries = []outbox.Entry{{ID: "1", App: "two", Device: waiting}}
	for _, tt := range []struct {
		name  string
		key   rejected.Key
		appID string
		app   string
		known bool
	}{
		{"by its app_id", k, "one", "one", true},
		{"by the latest attempt", k, "", "one", true},
		{"by its app_id, though there was no attempt", rejected.KeyOf("two", "other"), "two", "two", false},
		{"nobody", rejected.KeyOf("three", "key"), "three", "", false},
		{"nobody that is known", rejected.KeyOf("three", "key"), "", "", false},
	} {
		r.use(new(memoryBox))
		e, err := r.Explain(t.Context(), tt.key, Described{AppID: tt.appID})
		if err != nil || e.App != tt.app || e.Known() != tt.known {
			t.Errorf("%s: explained as %+v: %v", tt.name, e, err)
		}
	}
	r.use(r.box)
	if e, err := r.Explain(t.Context(), waiting, Described{}); err != nil || !e.Waiting || e.App == "" {
		t.Errorf("by the outbox: explained as %+v: %v", e, err)
	}
	r.use(&memoryBox{err: errBroken})
	if _, err := r.Explain(t.Context(), k, Described{AppID: "one"}); !errors.Is(err, errBroken) {
		t.Errorf("an outbox that cannot tell: %v", err)
	}
}

func TestDevicesAreFoundByTheBeginningOfTheirHash(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("app", byPushkey(map[string]providers.Outcome{"dead": providers.Rejected("gone"), "alive": providers.Delivered()})))
	dead, alive := rejected.KeyOf("app", "dead"), rejected.KeyOf("app", "alive")
	r.notify(event("$1", device("dead"), device("alive")))
	for i := range 10 {
		r.store.records[rejected.Key{0xff, byte(i)}] = rejected.Record{}
	}
	r.Rejected = listedStore{memoryStore: r.store}
	for prefix, want := range map[string][]rejected.Key{
		dead.Short(): {dead}, alive.String()[:10]: {alive}, "ff07": {{0xff, 7}}, "ff": {{0xff, 0}, {0xff, 1}, {0xff, 2}}, "fe00": nil,
	} {
		if got, err := r.Find(t.Context(), prefix, 3); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s finds %v: %v", prefix, got, err)
		}
	}
	r.Rejected = listedStore{r.store, errBroken}
	if _, err := r.Find(t.Context(), "ff", 3); !errors.Is(err, errBroken) {
		t.Errorf("a store that fails: %v", err)
	}
	r.Rejected = r.store
	if got, err := r.Find(t.Context(), alive.Short(), 3); err != nil || !slices.Equal(got, []rejected.Key{alive}) {
		t.Errorf("a store that lists nothing: %v: %v", got, err)
	}
}

func TestATrialTellsTheVerdictAndChangesNothing(t *testing.T) {
	t.Parallel()
	later := providers.Retry("http_429", 30*time.Second, errors.New("slow down"))
	doubtful := providers.Rejected("bad_device_token")
	doubtful.Doubtful = true
	for _, tt := range []struct {
		name         string
		outcome      providers.Outcome
		unproven     bool
		outbox       bool
		kind, result string
	}{
		{"delivered", providers.Delivered(), true, true, "delivered", "delivered"},
		{"dead", providers.Rejected("gone"), false, true, "rejected", "rejected"},
		{"dead, which nothing proves yet", doubtful, true, true, "rejected", "queued"},
		{"never", providers.Dropped("too_large", nil), false, true, "dropped", "dropped"},
		{"later", later, false, true, "retry", "queued"},
		{"later, without an outbox", later, false, false, "retry", "unavailable"},
		{"the operator's to fix", providers.Misconfigured("http_403", nil), false, true, "misconfigured", "queued"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := always(tt.outcome)
			app := appFor("app", p)
			app.proven.Store(!tt.unproven)
			r := newRig(t, app)
			if tt.outbox {
				r.use(&inspectedBox{memoryBox: r.withOutbox().box})
			}
			request, _ := Decode([]byte(event("$1", device("key"))), 1)
			site := providers.Site{Host: "push.example.org", Port: "443"}
			got, err := r.Try(t.Context(), request, Address{Host: site.Host})
			if err != nil || got.Outcome != tt.kind || got.Reason != tt.outcome.Reason || got.Result != tt.result || got.OnRecord || got.App != "app" {
				t.Errorf("got %+v: %v", got, err)
			}
			if got.RetryAfter != tt.outcome.RetryAfter.Seconds() || (got.Detail != "") != (tt.outcome.Err != nil) {
				t.Errorf("got %+v", got)
			}
			if pushes := p.asked(); len(pushes) != 1 || pushes[0].Site != site || pushes[0].ID == "" {
				t.Errorf("asked was %+v", pushes)
			}
			if len(r.store.records) != 0 || r.box.happened() != "" || len(r.attempts()) != 0 {
				t.Errorf("it changed the store %v, the outbox %s, or was reported as an attempt", r.store.records, r.box.happened())
			}
		})
	}
}

func TestATrialOfADeviceThatIsOnRecordSaysSo(t *testing.T) {
	t.Parallel()
	p := inTurn(providers.Rejected("gone"), providers.Delivered())
	r := newRig(t, appFor("app", p))
	r.notify(event("$1", deviceOf("app", "key", 1000)))
	for pushkeyTS, want := range map[int64]bool{1000: true, 5000: false} {
		request, _ := Decode([]byte(event("$2", deviceOf("app", "key", pushkeyTS))), 1)
		if got, err := r.Try(t.Context(), request, Address{}); err != nil || got.OnRecord != want || got.Outcome != "delivered" {
			t.Errorf("pushkey_ts %d: got %+v: %v", pushkeyTS, got, err)
		}
	}
	request, _ := Decode([]byte(event("$2", deviceOf("unknown", "key", 1))), 1)
	if _, err := r.Try(t.Context(), request, Address{}); !errors.Is(err, ErrUnknownApp) {
		t.Errorf("of an app that nobody serves: %v", err)
	}
}

func TestAnAppsRejectionsSinceATimeAreForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("app", always(providers.Delivered())))
	begin := time.Unix(1_800_000_000, 0)
	for i := range 5 {
		_ = r.store.Reject(t.Context(), rejected.Key{byte(i)}, rejected.Verdict{App: "app", At: begin.Add(time.Duration(i) * time.Hour)})
		_ = r.store.Reject(t.Context(), rejected.Key{9, byte(i)}, rejected.Verdict{App: "other", At: begin.Add(time.Duration(i) * time.Hour)})
	}
	lister, forgotten := listedStore{memoryStore: r.store}, 0
	for q := (rejected.Query{Limit: 1}); ; {
		n, next, err := r.ForgetSince(t.Context(), lister, "app", begin.Add(2*time.Hour), q)
		if err != nil {
			t.Fatal(err)
		}
		if forgotten += n; next == "" {
			break
		}
		q.Cursor = next
	}
	var left []string
	for k := range r.store.records {
		left = append(left, fmt.Sprint(k[0], k[1]))
	}
	slices.Sort(left)
	if got := strings.Join(left, ", "); forgotten != 3 || got != "0 0, 1 0, 9 0, 9 1, 9 2, 9 3, 9 4" {
		t.Errorf("%d were forgotten, left are %s", forgotten, got)
	}
	if _, _, err := r.ForgetSince(t.Context(), listedStore{r.store, errBroken}, "app", begin, rejected.Query{}); !errors.Is(err, errBroken) {
		t.Errorf("a store that fails: %v", err)
	}
	for _, want := range []bool{true, false} {
		if known, err := r.Forget(t.Context(), rejected.Key{0}); err != nil || known != want {
			t.Errorf("forgetting one: %v %v, want %v", known, err, want)
		}
	}
}
