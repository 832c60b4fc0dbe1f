package admin

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// canary is a pushkey, or a part of one, that no answer may contain.
const canary = "CANARY-f00d"

// fakeStore is a rejected store in memory. It lists records in the order of their keys, two at a time.
type fakeStore struct {
	mu      sync.Mutex
	records map[rejected.Key]rejected.Record
	err     error
}

func (s *fakeStore) Lookup(_ context.Context, keys []rejected.Key, marks []rejected.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range keys {
		marks[i] = s.records[k].Mark()
	}
	return s.err
}

func (s *fakeStore) Reject(_ context.Context, k rejected.Key, v rejected.Verdict) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[k] = s.records[k].Add(v)
	return s.err
}

func (s *fakeStore) Suspect(_ context.Context, k rejected.Key, v rejected.Verdict) (rejected.Suspicion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[k] = s.records[k].Suspect(v)
	return s.records[k].Suspicion, s.err
}

func (s *fakeStore) Acquit(_ context.Context, k rejected.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[k], _ = s.records[k].Acquit()
	return s.err
}

// LookupNow answers from memory, as the stores in this repository do.
func (s *fakeStore) LookupNow(keys []rejected.Key, marks []rejected.Mark) bool {
	return s.Lookup(context.Background(), keys, marks) == nil
}

func (s *fakeStore) Get(_ context.Context, k rejected.Key) (rejected.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[k]
	if !ok {
		return r, cmp.Or(s.err, rejected.ErrNotFound)
	}
	return r, s.err
}

func (s *fakeStore) Forget(_ context.Context, k rejected.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, k)
	return s.err
}

// listedStore can list its records.
type listedStore struct{ *fakeStore }

func (s listedStore) Len() int { return len(s.records) }

func (s listedStore) List(_ context.Context, q rejected.Query) (page []rejected.Entry, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Cursor == "nonsense" {
		return nil, "", rejected.ErrCursor
	}
	var keys []rejected.Key
	for k := range s.records {
		if strings.HasPrefix(k.String(), q.Prefix) && k.String() > q.Cursor {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b rejected.Key) int { return strings.Compare(a.String(), b.String()) })
	if len(keys) > min(2, q.Limit) {
		keys = keys[:min(2, q.Limit)]
		next = keys[len(keys)-1].String()
	}
	for _, k := range keys {
		page = append(page, rejected.Entry{Key: k, Record: s.records[k]})
	}
	return page, next, s.err
}

// offBox is an outbox that keeps nothing.
type offBox struct{}

func (offBox) Accept(context.Context, outbox.Entry) ([]outbox.Ref, error)  { return nil, outbox.ErrOff }
func (offBox) Settle(context.Context, outbox.Ref) error                    { return nil }
func (offBox) Release(context.Context, outbox.Ref, time.Time, bool) error  { return nil }
func (offBox) Waiting(context.Context, string, [16]byte) (bool, error)     { return false, nil }
func (offBox) Lease(context.Context, string, int) ([]outbox.Leased, error) { return nil, nil }

// fakeBox is an outbox with these entries. It lists two at a time.
type fakeBox struct {
	part *outbox.PartError
	offBox
	mu      sync.Mutex
	entries []outbox.Waiting
	roused  []string
	err     error
}

func (b *fakeBox) Waiting(_ context.Context, app string, device [16]byte) (bool, error) {
	return slices.ContainsFunc(b.entries, func(w outbox.Waiting) bool { return w.App == app && w.Device == device }), b.err
}

func (b *fakeBox) Discard(context.Context, string, [16]byte, int64) error { return b.err }

func (b *fakeBox) Rouse(_ context.Context, app string) error {
	b.roused = append(b.roused, app)
	return b.err
}

func (b *fakeBox) RouseHost(context.Context, string, string, int) (int, error) { return 0, b.err }

func (b *fakeBox) Depths(ctx context.Context) (depths []outbox.Depth, err error) {
	if b.err != nil {
		return nil, b.err
	}
	for _, w := range b.entries {
		i := slices.IndexFunc(depths, func(d outbox.Depth) bool { return d.App == w.App })
		if i < 0 {
			i, depths = len(depths), append(depths, outbox.Depth{App: w.App, Oldest: w.Accepted})
		}
		depths[i].Entries++
		depths[i].Devices = 1
	}
	if b.part != nil {
		return depths, b.part
	}
	return depths, ctx.Err()
}

func (b *fakeBox) List(_ context.Context, app, cursor string, limit int) (page []outbox.Waiting, next string, err error) {
	if cursor == "nonsense" {
		return nil, "", outbox.ErrCursor
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.entries {
		if w.App != app || w.ID <= cursor {
			continue
		}
		if len(page) == min(2, limit) {
			return page, page[len(page)-1].ID, b.err
		}
		page = append(page, w)
	}
	return page, "", b.err
}

func (b *fakeBox) RouseDevice(ctx context.Context, app string, device [16]byte) (bool, error) {
	b.roused = append(b.roused, app+" "+hex.EncodeToString(device[:]))
	return b.Waiting(ctx, app, device)
}

func (b *fakeBox) Drop(_ context.Context, app string, device [16]byte, id string) (dropped int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = slices.DeleteFunc(b.entries, func(w outbox.Waiting) bool {
		drop := w.App == app && w.Device == device && !w.Running && (id == "" || w.ID == id)
		if drop {
			dropped++
		}
		return drop
	})
	return dropped, b.err
}

// fakeProvider answers every push the same way and keeps the last one. Its credential may expire. It shows what it would send, unless a
// test hides that.
type fakeProvider struct {
	outcome providers.Outcome
	expiry  time.Time
	pushed  *providers.Push
}

func (p *fakeProvider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	p.pushed = push
	if ctx.Err() != nil {
		return providers.Retry("timeout", 0, ctx.Err())
	}
	return p.outcome
}

func (p *fakeProvider) Preview(push *providers.Push) providers.Preview {
	return providers.Preview{Requests: []providers.Request{{
		Method: http.MethodPost, URL: "https://push.example.net/" + providers.Masked, Header: http.Header{"Ttl": {"60"}},
		Body: []byte(`{"event_id":"` + push.Notification.EventID + `"}`),
	}}}
}

func (p *fakeProvider) CredentialExpiry() time.Time { return p.expiry }

// deaf is an observer that ignores attempts, answers, store failures and probes.
type deaf struct{ gateway.Observer }

func (deaf) Attempted(gateway.Attempt) {}

func (deaf) Answered(*gateway.App, gateway.Result) {}

func (deaf) StoreFailed(string, error) {}

func (deaf) Probed(gateway.Sighting, bool) {}

// today is the current time in these tests.
var today = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// rig is the admin API of a gateway with fakes around it. Its apps are org.example.ios and org.example.*.
type rig struct {
	t        *testing.T
	find     func() (*gateway.Gateway, error)
	gateway  *gateway.Gateway
	store    *fakeStore
	box      *fakeBox
	provider *fakeProvider
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		t: t, store: &fakeStore{records: make(map[rejected.Key]rejected.Record)}, box: new(fakeBox),
		provider: &fakeProvider{outcome: providers.Delivered()},
	}
	var apps []*gateway.App
	for _, pattern := range []string{"org.example.*", "org.example.ios"} {
		apps = append(apps, &gateway.App{
			Pattern: pattern, ProviderName: "fake", Provider: r.provider, TTL: time.Hour, Badges: providers.BadgesOn, Limit: limit.NewFair(8, 8),
		})
	}
	router, err := gateway.NewRouter(apps)
	if err != nil {
		t.Fatal(err)
	}
	r.gateway = gateway.New(gateway.Options{
		Router: router, Rejected: listedStore{r.store}, Outbox: r.box, Fuse: gateway.FuseOptions{Share: 0.5, Window: time.Hour},
		Shared: gateway.NewShared(), Observer: deaf{}, Now: func() time.Time { return today },
		Jitter: func(time.Duration) time.Duration { return 0 },
	})
	r.find = func() (*gateway.Gateway, error) { return r.gateway, nil }
	return r
}

// serve replaces the gateway's stores.
func (r *rig) serve(store rejected.Store, box outbox.Box) {
	options := r.gateway.Options
	options.Rejected, options.Outbox = store, box
	r.gateway = gateway.New(options)
}

// reject records a device as dead.
func (r *rig) reject(app, appID, pushkey string, at time.Time) rejected.Key {
	k := rejected.KeyOf(appID, pushkey)
	_ = r.store.Reject(r.t.Context(), k, rejected.Verdict{App: app, Reason: "unregistered", PushkeyTS: 1_700_000_000_000, At: at})
	return k
}

// wait adds an entry to the outbox.
func (r *rig) wait(app, id string, device rejected.Key, running bool) {
	r.box.entries = append(r.box.entries, outbox.Waiting{
		ID: id, App: app, Device: device, Size: 300, Accepted: today.Add(-time.Hour), Expires: today.Add(time.Hour), Due: today, Running: running,
	})
}

// do makes a request as Caddy's admin server would serve it. Its context has ended, as after the server's read timeout.
func (r *rig) do(method, path, body string) (status int, header http.Header, answer string) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	if strings.HasSuffix(path, "/send") {
		cancel()
	}
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	w := httptest.NewRecorder()
	routes := Routes(r.find)
	route := slices.IndexFunc(routes, func(route caddy.AdminRoute) bool { return route.Pattern == request.URL.Path })
	if route < 0 {
		r.t.Fatalf("there is no route %s", request.URL.Path)
	}
	if err := routes[route].Handler.ServeHTTP(w, request); err != nil {
		var refused caddy.APIError
		if !errors.As(err, &refused) {
			refused = caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
		}
		w.WriteHeader(refused.HTTPStatus)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": refused.Err.Error()})
	}
	answer = w.Body.String()
	if strings.Contains(answer, canary) {
		r.t.Errorf("%s %s: the answer has a pushkey in it: %s", method, path, answer)
	}
	return w.Code, w.Header(), answer
}

// want makes a request and checks that the answer contains these parts.
func (r *rig) want(status int, method, path, body string, parts ...string) string {
	r.t.Helper()
	got, _, answer := r.do(method, path, body)
	if got != status {
		r.t.Errorf("%s %s %s is answered %d %s, want %d", method, path, body, got, answer, status)
	}
	for _, part := range parts {
		if !strings.Contains(answer, part) {
			r.t.Errorf("%s %s %s: the answer has no %q: %s", method, path, body, part, answer)
		}
	}
	return answer
}
